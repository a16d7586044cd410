#pragma once
#include <immintrin.h>

#include <cstdint>

namespace {

// What the ISAs with vectors of 256 bits share: AVX2, FMA and F16C.
struct Base256 {
  static constexpr int lanes = 8, vectors = 2;
  using F = __m256;
  using I = __m256i;  // 32-bit integers
  using B = __m256i;  // bytes

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

  static B loadBytes(const uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static void storeBytes(uint8_t* p, B a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a); }
  // The bits of `mask` of every byte moved right by `shift` (left where it is negative).
  static B bits(B a, int shift, int mask) {
    const B moved = shift < 0 ? _mm256_slli_epi16(a, -shift) : _mm256_srli_epi16(a, shift);
    return _mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(mask)));
  }
  static B either(B a, B b) { return _mm256_or_si256(a, b); }
  static B sixteen(const int8_t* table) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  }
  static B lookUp(B table, B index) { return _mm256_shuffle_epi8(table, index); }
  static F fromInt8(const int8_t* p) {
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
  }

  static I zeroInt() { return _mm256_setzero_si256(); }
  static I setInt(int32_t a) { return _mm256_set1_epi32(a); }
  static B broadcast4(int32_t a) { return _mm256_set1_epi32(a); }
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
