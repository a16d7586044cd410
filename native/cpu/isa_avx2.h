#pragma once
#include <immintrin.h>

#include <cstdint>

namespace {

// AVX2 + FMA + F16C: Haswell (2013), Zen and later.
struct Isa {
  static constexpr const char *name = "avx2", *title = "AVX2";
  static constexpr int lanes = 8, vectors = 2, intRows = 4, floatRows = 6;
  static constexpr uint8_t flip = 0;
  using F = __m256;
  using I = __m256i;

  static F zero() { return _mm256_setzero_ps(); }
  static F set(float a) { return _mm256_set1_ps(a); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static F load(const uint16_t* p, bool half) {
    const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    if (half) return _mm256_cvtph_ps(raw);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(raw), 16));
  }
  static void store(float* p, F a) { _mm256_storeu_ps(p, a); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static F round(F a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // v where x > bound, else 0.
  static F keepAbove(F v, F x, F bound) {
    return _mm256_and_ps(v, _mm256_cmp_ps(x, bound, _CMP_GT_OQ));
  }
  static unsigned above(F a, F b) {
    return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)));
  }
  static F swapPairs(F a) { return _mm256_permute_ps(a, 0xB1); }
  // 2^n for integral n in [-126, 127].
  static F exp2(F n) {
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
  }

  static I zeroInt() { return _mm256_setzero_si256(); }
  static I loadInt(const int8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static I broadcast4(int32_t a) { return _mm256_set1_epi32(a); }
  static I start(int32_t) { return zeroInt(); }
  // maddubs wants an unsigned side: |w| · (a with w's sign). |w| ≤ 128, |a| ≤ 127: a pair fits i16.
  static I dot(I sum, I w, I a) {
    const I pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  static I addInt(I a, I b) { return _mm256_add_epi32(a, b); }
  static I times256(I a) { return _mm256_slli_epi32(a, 8); }
  static F toFloat(I a) { return _mm256_cvtepi32_ps(a); }
  static I toInt(F a) { return _mm256_cvtps_epi32(a); }
  static void storeInt8(int8_t* p, I a) {
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
  }

  using W = __m256i;
  static W setWide(uint64_t a) { return _mm256_set1_epi64x(static_cast<int64_t>(a)); }
  static W loadWide(const uint64_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static W addWide(W a, W b) { return _mm256_add_epi64(a, b); }
  static W xorWide(W a, W b) { return _mm256_xor_si256(a, b); }
  static W mulWide(W a, W b) { return _mm256_mul_epu32(a, b); }
  static W highWide(W a) { return _mm256_srli_epi64(a, 32); }
  static void storeQuads(uint32_t* p, W a, W b, W c, W d) {
    const W ab = _mm256_blend_epi32(a, _mm256_slli_epi64(b, 32), 0xAA);
    const W cd = _mm256_blend_epi32(c, _mm256_slli_epi64(d, 32), 0xAA);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_unpacklo_epi64(ab, cd));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), _mm256_unpackhi_epi64(ab, cd));
  }
  static F upper23(const uint32_t* p) {
    const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm256_cvtepi32_ps(_mm256_srli_epi32(words, 9));
  }
};

}  // namespace
