#include "pages.h"

#include <string>

#include "../error.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <cstdio>

#include <sys/mman.h>
#endif

namespace lacuna::cpu {

Pages::Pages(size_t bytes) : size(bytes) {
  if (bytes == 0) return;
#ifdef _WIN32
  start = VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
#else
  start = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
  if (start == MAP_FAILED) start = nullptr;
#endif
  if (!start) {
    throw Error(Code::outOfMemory, "Not enough memory: " + std::to_string(bytes) +
                                       " bytes were asked for. A smaller model, a stronger "
                                       "quantisation or a shorter canvas needs less.");
  }
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  // Advice only: fewer page-table walks while panels stream through.
  if (bytes >= (size_t{4} << 20)) madvise(start, bytes, MADV_HUGEPAGE);
#endif
}

Pages::~Pages() {
  if (!start) return;
#ifdef _WIN32
  VirtualFree(start, 0, MEM_RELEASE);
#else
  munmap(start, size);
#endif
}

uint64_t freeHostBytes() {
#if defined(_WIN32)
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof status;
  return GlobalMemoryStatusEx(&status) ? status.ullAvailPhys : 0;
#elif defined(__linux__)
  unsigned long long kilobytes = 0;
  if (std::FILE* file = std::fopen("/proc/meminfo", "r")) {
    char line[128];
    while (std::fgets(line, sizeof line, file)) {
      if (std::sscanf(line, "MemAvailable: %llu", &kilobytes) == 1) break;
    }
    std::fclose(file);
  }
  return uint64_t{kilobytes} * 1024;
#else
  return 0;
#endif
}

}  // namespace lacuna::cpu
