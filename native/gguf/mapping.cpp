#include <functional>
#include <initializer_list>
#include <string>
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
  std::string identity;
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

std::string joined(std::initializer_list<uint64_t> numbers) {
  std::string text;
  for (const uint64_t number : numbers) text += std::to_string(number) + ".";
  return text;
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

// Windows' structures have their 64-bit numbers in halves.
uint64_t whole(DWORD high, DWORD low) { return uint64_t{high} << 32 | low; }

std::string identityOf(HANDLE file, const std::string& path) {
  BY_HANDLE_FILE_INFORMATION info;
  FILE_BASIC_INFO times;
  if (!GetFileInformationByHandle(file, &info) ||
      !GetFileInformationByHandleEx(file, FileBasicInfo, &times, sizeof times))
    fail(path, "read the attributes");
  return joined({info.dwVolumeSerialNumber, whole(info.nFileIndexHigh, info.nFileIndexLow),
                 whole(info.nFileSizeHigh, info.nFileSizeLow),
                 static_cast<uint64_t>(times.LastWriteTime.QuadPart),
                 static_cast<uint64_t>(times.ChangeTime.QuadPart)});
}

size_t pageSize() {
  SYSTEM_INFO info;
  GetSystemInfo(&info);
  return info.dwPageSize;
}

// Unlocking pages that are not locked fails, and takes them out of the working set.
void dropPages(uint8_t* data, size_t bytes) { VirtualUnlock(data, bytes); }

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
  handle->identity = identityOf(file.handle, path);
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

// Status times count too: a file can be rewritten and its modification time put back.
std::string identityOf(const struct stat& info) {
#ifdef __APPLE__
  const timespec &written = info.st_mtimespec, &changed = info.st_ctimespec;
#else
  const timespec &written = info.st_mtim, &changed = info.st_ctim;
#endif
  const auto number = [](auto n) { return static_cast<uint64_t>(n); };
  return joined({number(info.st_dev), number(info.st_ino), number(info.st_size),
                 number(written.tv_sec), number(written.tv_nsec), number(changed.tv_sec),
                 number(changed.tv_nsec)});
}

size_t pageSize() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

void dropPages(uint8_t* data, size_t bytes) { madvise(data, bytes, MADV_DONTNEED); }

#ifdef LACUNA_ASAN
// The rest of the last page is readable; make touching it an error like any other overrun.
size_t tail(size_t size) {
  const size_t page = pageSize();
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
  handle->identity = identityOf(info);
  handle->size = static_cast<size_t>(info.st_size);
  if (handle->size == 0) return;
  void* data = mmap(nullptr, handle->size, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (data == MAP_FAILED) fail(path, "map the file");
  handle->data = static_cast<const uint8_t*>(data);
  madvise(data, handle->size, MADV_SEQUENTIAL);  // far more is read ahead: see bench/SPEED.md
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

#endif

Mapping::Mapping(Mapping&&) noexcept = default;
Mapping& Mapping::operator=(Mapping&&) noexcept = default;
Mapping::~Mapping() = default;

const uint8_t* Mapping::data() const { return handle->data; }
size_t Mapping::size() const { return handle->size; }
const std::string& Mapping::identity() const { return handle->identity; }

void Mapping::release(const uint8_t* data, size_t bytes) {
  const uint8_t *begin = handle->data, *end = begin + handle->size;
  if (bytes == 0 || std::less<>()(data, begin) || !std::less<>()(data, end)) return;
  // The mapping starts on a page; the last page of the file counts as whole.
  const size_t page = pageSize(), from = static_cast<size_t>(data - begin), to = from + bytes;
  const size_t first = (from + page - 1) / page * page;
  const size_t last = to == handle->size ? to : to / page * page;
  if (first < last) dropPages(const_cast<uint8_t*>(begin) + first, last - first);
}

}  // namespace lacuna
