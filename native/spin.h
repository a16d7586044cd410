#pragma once
#include <chrono>
#include <thread>

#if defined(_M_X64) || defined(__x86_64__)
#include <emmintrin.h>
#elif defined(_M_ARM64)
#include <intrin.h>
#endif

namespace lacuna {

inline void relax() {
#if defined(_M_X64) || defined(__x86_64__)
  _mm_pause();
#elif defined(_M_ARM64)
  __yield();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Spins until `ready` or for as long as `most`; returns whether it is ready. Yields on the way:
// where there are more threads than cores, the one that is waited for may need this one's.
template <class Ready>
bool spinUntil(const Ready& ready, std::chrono::microseconds most) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + most;
  do {
    for (int i = 0; i < 64; i++) {
      if (ready()) return true;
      relax();
    }
    std::this_thread::yield();
  } while (Clock::now() < end);
  return ready();
}

}  // namespace lacuna
