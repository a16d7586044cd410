#pragma once
#include "isa_256.h"

namespace {

// AVX2 + FMA + F16C: Haswell (2013), Zen and later.
struct Isa : Base256 {
  static constexpr const char *name = "avx2", *title = "AVX2";
  static constexpr int intRows = 4, floatRows = 6;
  static constexpr bool signedCodes = true;

  // Signed bytes. maddubs wants an unsigned side: |w| · (a with w's sign). |w| ≤ 128, |a| ≤ 127: a
  // pair fits i16.
  struct Dot {
    I sum;
    static I products(B w, B a) {
      const I pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
      return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    }
    void start(B w, B a) { sum = products(w, a); }
    void add(B w, B a) { sum = _mm256_add_epi32(sum, products(w, a)); }
    I total() const { return sum; }
  };
  // Small unsigned codes: no sign trick, and several products fit i16 before they must be widened.
  struct SmallDot {
    I pairs;
    void start(B w, B a) { pairs = _mm256_maddubs_epi16(w, a); }
    void add(B w, B a) {
      pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(w, a));
#if defined(__GNUC__) && !defined(__clang__)
      __asm__("" : "+x"(pairs));  // else GCC multiplies everything first and adds up in a tree
#endif
    }
    I total() const { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }
  };
  // k steps of such codes that fit: 2 · 127 · (2^bits − 1) each.
  static constexpr int smallSteps(int bits, int most) {
    const int fit = 32767 / (2 * 127 * ((1 << bits) - 1)), steps = fit >= 8 ? 8 : fit >= 4 ? 4 : 2;
    return steps < most ? steps : most;
  }
};

}  // namespace
