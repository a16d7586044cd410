#include "memory.h"

#if defined(__SANITIZE_ADDRESS__)
#define FUZZ_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FUZZ_ASAN 1
#endif
#endif

#ifdef FUZZ_ASAN

#include <atomic>

// Of <sanitizer/allocator_interface.h>, which GCC does not ship although its runtime has them.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*onMalloc)(const volatile void*,
                                                                          size_t),
                                                         void (*onFree)(const volatile void*));
extern "C" size_t __sanitizer_get_allocated_size(const volatile void* pointer);

namespace {

// Process-wide by nature: the sanitizer's hooks take no context.
std::atomic<size_t> alive{0}, start{0}, peak{0};

void onMalloc(const volatile void*, size_t size) {
  const size_t now = alive += size;
  size_t before = peak;
  while (now > before && !peak.compare_exchange_weak(before, now)) {
  }
}

void onFree(const volatile void* pointer) {
  if (pointer) alive -= __sanitizer_get_allocated_size(pointer);
}

const int installed = __sanitizer_install_malloc_and_free_hooks(onMalloc, onFree);

}  // namespace

// A single allocation this large is a finding by itself; the process stops there and names it.
extern "C" const char* __asan_default_options() { return "max_allocation_size_mb=1024"; }

namespace fuzz {

bool countsMemory() { return installed > 0; }

void startCounting() {
  start = alive.load();
  peak = alive.load();
}

size_t peakBytes() { return peak - start; }

}  // namespace fuzz

#else

namespace fuzz {

bool countsMemory() { return false; }
void startCounting() {}
size_t peakBytes() { return 0; }

}  // namespace fuzz

#endif
