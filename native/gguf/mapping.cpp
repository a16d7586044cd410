#include <system_error>

#include "../error.h"
#include "gguf.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define LACUNA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LACUNA_ASAN 1
#endif
#endif
#ifdef LACUNA_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace lacuna {

static_assert(sizeof(size_t) == 8, "model files do not fit a 32-bit address space");

struct Mapping::Handle {
  const uint8_t* data = nullptr;
  size_t size = 0;
  ~Handle();
};

namespace {

// `number` is errno or GetLastError(). Text comes from the generic category alone: Windows writes
// its own in the local code page, which is not UTF-8.
[[noreturn]] void fail(const std::string& path, const char* action, int number,
                       const std::error_category& category) {
  const std::error_condition reason = category.default_error_condition(number);
  const bool generic = reason.category() == std::generic_category();
  throw Error(Code::fileError,
              path + ": cannot " + action + ": " +
                  (generic ? reason.message() : "system error " + std::to_string(number)));
}

void checkPath(const std::string& path) {
  if (path.empty()) throw Error(Code::fileError, "the path of the model file is empty");
  if (path.find('\0') != std::string::npos)
    throw Error(Code::fileError, "the path of the model file contains a NUL byte");
}

}  // namespace

#ifdef _WIN32

namespace {

std::wstring widen(const std::string& path) {
  const int bytes = static_cast<int>(path.size());
  const int length =
      MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path.data(), bytes, nullptr, 0);
  if (length == 0) throw Error(Code::fileError, "the path of the model file is not valid UTF-8");
  std::wstring wide(static_cast<size_t>(length), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, path.data(), bytes, wide.data(), length);
  return wide;
}

[[noreturn]] void fail(const std::string& path, const char* action) {
  fail(path, action, static_cast<int>(GetLastError()), std::system_category());
}

struct OpenHandle {
  HANDLE handle;
  ~OpenHandle() {
    if (handle != nullptr && handle != INVALID_HANDLE_VALUE) CloseHandle(handle);
  }
};

}  // namespace

Mapping::Mapping(const std::string& path) : handle(std::make_unique<Handle>()) {
  checkPath(path);
  const std::wstring wide = widen(path);
  const DWORD attributes = GetFileAttributesW(wide.c_str());
  if (attributes == INVALID_FILE_ATTRIBUTES) fail(path, "open the file");
  if (attributes & FILE_ATTRIBUTE_DIRECTORY)
    throw Error(Code::fileError, path + ": is a directory, must be a GGUF file");
  const OpenHandle file{CreateFileW(wide.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE,
                                    nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr)};
  if (file.handle == INVALID_HANDLE_VALUE) fail(path, "open the file");
  LARGE_INTEGER size;
  if (!GetFileSizeEx(file.handle, &size)) fail(path, "read the size");
  handle->size = static_cast<size_t>(size.QuadPart);
  if (handle->size == 0) return;
  const OpenHandle section{CreateFileMappingW(file.handle, nullptr, PAGE_READONLY, 0, 0, nullptr)};
  if (section.handle == nullptr) fail(path, "map the file");
  handle->data = static_cast<const uint8_t*>(MapViewOfFile(section.handle, FILE_MAP_READ, 0, 0, 0));
  if (handle->data == nullptr) fail(path, "map the file");
}

Mapping::Handle::~Handle() {
  if (data) UnmapViewOfFile(data);
}

void Mapping::release() {}

#else

namespace {

[[noreturn]] void fail(const std::string& path, const char* action) {
  fail(path, action, errno, std::generic_category());
}

struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) close(number);
  }
};

#ifdef LACUNA_ASAN
// The rest of the last page is readable; make touching it an error like any other overrun.
size_t tail(size_t size) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return (page - size % page) % page;
}
#endif

}  // namespace

Mapping::Mapping(const std::string& path) : handle(std::make_unique<Handle>()) {
  checkPath(path);
  // Before open(), which would wait for a writer if this were a pipe.
  struct stat info;
  if (stat(path.c_str(), &info) != 0) fail(path, "open the file");
  if (S_ISDIR(info.st_mode))
    throw Error(Code::fileError, path + ": is a directory, must be a GGUF file");
  if (!S_ISREG(info.st_mode))
    throw Error(Code::fileError, path + ": is not a regular file and cannot be mapped");
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.number < 0) fail(path, "open the file");
  if (fstat(file.number, &info) != 0) fail(path, "read the size");
  handle->size = static_cast<size_t>(info.st_size);
  if (handle->size == 0) return;
  void* data = mmap(nullptr, handle->size, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (data == MAP_FAILED) fail(path, "map the file");
  handle->data = static_cast<const uint8_t*>(data);
#ifdef LACUNA_ASAN
  ASAN_POISON_MEMORY_REGION(handle->data + handle->size, tail(handle->size));
#endif
}

Mapping::Handle::~Handle() {
  if (!data) return;
#ifdef LACUNA_ASAN
  ASAN_UNPOISON_MEMORY_REGION(data + size, tail(size));
#endif
  munmap(const_cast<uint8_t*>(data), size);
}

void Mapping::release() {
  if (handle->data) madvise(const_cast<uint8_t*>(handle->data), handle->size, MADV_DONTNEED);
}

#endif

Mapping::Mapping(Mapping&&) noexcept = default;
Mapping& Mapping::operator=(Mapping&&) noexcept = default;
Mapping::~Mapping() = default;

const uint8_t* Mapping::data() const { return handle->data; }
size_t Mapping::size() const { return handle->size; }

}  // namespace lacuna
