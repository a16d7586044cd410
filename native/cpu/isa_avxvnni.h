#pragma once
#include "isa_256.h"

namespace {

// AVX2 with VNNI in 256 bits: Alder Lake, Zen 5 and later.
struct Isa : Base256 {
  static constexpr const char *name = "avxvnni", *title = "AVX-VNNI";
  // 12 chains: dpbusd takes 4 to 5 cycles and runs twice a cycle.
  static constexpr int intRows = 6, floatRows = 6;
  static constexpr bool signedCodes = false;

  struct Dot {
    I sum;
    void start(B w, B a) { sum = _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), w, a); }
    void add(B w, B a) { sum = _mm256_dpbusd_avx_epi32(sum, w, a); }
    I total() const { return sum; }
  };
  using SmallDot = Dot;
  static constexpr int smallSteps(int, int most) { return most; }
};

}  // namespace
