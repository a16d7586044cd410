#include "api.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#include "../native/error.h"

namespace lacuna::cuda {
namespace {

#ifdef _WIN32
constexpr const char* kLibrary = "nvcuda.dll";
void* openLibrary() {
  return reinterpret_cast<void*>(LoadLibraryExA(kLibrary, nullptr, LOAD_LIBRARY_SEARCH_SYSTEM32));
}
void* symbolOf(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}
#else
constexpr const char* kLibrary = "libcuda.so.1";
void* openLibrary() { return dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL); }
void* symbolOf(void* library, const char* name) { return dlsym(library, name); }
#endif

Api open() {
  Api api;
  void* const library = openLibrary();
  if (!library) {
    api.missing = std::string("no NVIDIA driver was found (") + kLibrary + ")";
    return api;
  }
#define LACUNA_CUDA_LOAD(name, symbol, parameters)                                        \
  api.name = reinterpret_cast<decltype(api.name)>(symbolOf(library, symbol));             \
  if (!api.name) {                                                                        \
    api.missing =                                                                         \
        std::string("the NVIDIA driver is too old: ") + kLibrary + " has no " + (symbol); \
    return api;                                                                           \
  }
  LACUNA_CUDA_API(LACUNA_CUDA_LOAD)
#undef LACUNA_CUDA_LOAD
  api.cuDriverGetVersion(&api.version);
  const CUresult result = api.cuInit(0);
  if (result == CUDA_ERROR_NO_DEVICE) {
    api.missing = "the NVIDIA driver found no card";
  } else if (result != CUDA_SUCCESS) {
    api.missing = "the NVIDIA driver does not start: " + api.text(result);
  }
  return api;
}

}  // namespace

std::string Api::text(CUresult result) const {
  const char *name = nullptr, *sentence = nullptr;
  cuGetErrorName(result, &name);
  cuGetErrorString(result, &sentence);
  return std::string(name ? name : "unknown error") +
         (sentence ? std::string(", ") + sentence : "");
}

void Api::check(CUresult result, const char* call) const {
  if (result == CUDA_SUCCESS) return;
  const Code code = result == CUDA_ERROR_OUT_OF_MEMORY ? Code::outOfMemory : Code::internal;
  throw Error(code, std::string("CUDA: ") + call + " failed: " + text(result));
}

const Api& api() {
  static const Api opened = open();
  return opened;
}

}  // namespace lacuna::cuda
