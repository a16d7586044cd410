#pragma once
#ifndef LACUNA_EMULATED
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 takes the "undefined" operand inside its own intrinsics for a bug of ours (GCC PR 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif
#endif

#include <cstdint>

namespace {

// AVX-512 with VNNI: Cascade Lake, Ice Lake, Zen 4 and later.
struct Isa {
  static constexpr const char *name = "avx512", *title = "AVX-512";
  static constexpr int lanes = 16, vectors = 2, intRows = 6, floatRows = 6;
  static constexpr bool signedCodes = false;
  using F = __m512;
  using I = __m512i;  // 32-bit integers
  using B = __m512i;  // bytes

  static F zero() { return _mm512_setzero_ps(); }
  static F set(float a) { return _mm512_set1_ps(a); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static F load(const uint16_t* p, bool half) {
    const __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    if (half) return _mm512_cvtph_ps(raw);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(raw), 16));
  }
  static void store(float* p, F a) { _mm512_storeu_ps(p, a); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F abs(F a) { return _mm512_abs_ps(a); }
  static F round(F a) { return _mm512_roundscale_ps(a, 0); }
  // v where x > bound, else 0.
  static F keepAbove(F v, F x, F bound) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, bound, _CMP_GT_OQ), v);
  }
  static unsigned above(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
  static F swapPairs(F a) { return _mm512_permute_ps(a, 0xB1); }
  // 2^n for integral n in [-126, 127].
  static F exp2(F n) {
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23));
  }

  static B loadBytes(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static void storeBytes(uint8_t* p, B a) { _mm512_storeu_si512(p, a); }
  // The bits of `mask` of every byte moved right by `shift` (left where it is negative).
  static B bits(B a, int shift, int mask) {
    const B moved = shift < 0 ? _mm512_slli_epi16(a, static_cast<unsigned>(-shift))
                              : _mm512_srli_epi16(a, static_cast<unsigned>(shift));
    return _mm512_and_si512(moved, _mm512_set1_epi8(static_cast<char>(mask)));
  }
  static B either(B a, B b) { return _mm512_or_si512(a, b); }
  static B sixteen(const int8_t* table) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  }
  static B lookUp(B table, B index) { return _mm512_shuffle_epi8(table, index); }
  static F fromInt8(const int8_t* p) {
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }

  static I zeroInt() { return _mm512_setzero_si512(); }
  static I setInt(int32_t a) { return _mm512_set1_epi32(a); }
  static B broadcast4(int32_t a) { return _mm512_set1_epi32(a); }
  struct Dot {
    I sum;
    void start(B w, B a) { sum = _mm512_dpbusd_epi32(_mm512_setzero_si512(), w, a); }
    void add(B w, B a) { sum = _mm512_dpbusd_epi32(sum, w, a); }
    I total() const { return sum; }
  };
  using SmallDot = Dot;
  static constexpr int smallSteps(int, int most) { return most; }
  static I addInt(I a, I b) { return _mm512_add_epi32(a, b); }
  static I times256(I a) { return _mm512_slli_epi32(a, 8); }
  static F toFloat(I a) { return _mm512_cvtepi32_ps(a); }
  static I toInt(F a) { return _mm512_cvtps_epi32(a); }
  static void storeInt8(int8_t* p, I a) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a));
  }

  using W = __m512i;
  static W setWide(uint64_t a) { return _mm512_set1_epi64(static_cast<int64_t>(a)); }
  static W loadWide(const uint64_t* p) { return _mm512_loadu_si512(p); }
  static W addWide(W a, W b) { return _mm512_add_epi64(a, b); }
  static W xorWide(W a, W b) { return _mm512_xor_si512(a, b); }
  static W mulWide(W a, W b) { return _mm512_mul_epu32(a, b); }
  static W highWide(W a) { return _mm512_srli_epi64(a, 32); }
  static void storeQuads(uint32_t* p, W a, W b, W c, W d) {
    const W low = setWide(0xFFFFFFFF);
    const W ab = _mm512_or_si512(_mm512_and_si512(a, low), _mm512_slli_epi64(b, 32));
    const W cd = _mm512_or_si512(_mm512_and_si512(c, low), _mm512_slli_epi64(d, 32));
    _mm512_storeu_si512(p, _mm512_unpacklo_epi64(ab, cd));
    _mm512_storeu_si512(p + 16, _mm512_unpackhi_epi64(ab, cd));
  }
  static F upper23(const uint32_t* p) {
    return _mm512_cvtepi32_ps(_mm512_srli_epi32(_mm512_loadu_si512(p), 9));
  }
};

}  // namespace
