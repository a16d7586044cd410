// The AVX-512 kernels for machines without AVX-512: SIMDe says its intrinsics in plain C, and those
// that some version of it lacks are said here, lane by lane.
#if __has_include(<simde/x86/avx512.h>)
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"
#endif
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "quant/quant.h"

namespace {

// to[i] = f(from[i]) for 16 lanes of these types.
template <class A, class B, class To, class From, class F>
To each(const From& from, const F& f) {
  A a[16];
  B b[16];
  To to;
  static_assert(sizeof a == sizeof from && sizeof b == sizeof to);
  std::memcpy(a, &from, sizeof a);
  for (int i = 0; i < 16; i++) b[i] = f(a[i]);
  std::memcpy(&to, b, sizeof b);
  return to;
}

inline simde__m512 emulatedFromHalf(simde__m256i a) {
  return each<uint16_t, float, simde__m512>(a, lacuna::halfToFloat);
}
inline simde__m512i emulatedWiden(simde__m256i a) {
  return each<uint16_t, uint32_t, simde__m512i>(a, [](uint16_t x) { return uint32_t{x}; });
}
inline simde__m512i emulatedWidenBytes(simde__m128i a) {
  return each<int8_t, int32_t, simde__m512i>(a, [](int8_t x) { return int32_t{x}; });
}
inline simde__m512i emulatedToInt(simde__m512 a) {
  return each<float, int32_t, simde__m512i>(
      a, [](float x) { return static_cast<int32_t>(std::nearbyint(x)); });
}
inline simde__m512 emulatedToFloat(simde__m512i a) {
  return each<int32_t, float, simde__m512>(a, [](int32_t x) { return static_cast<float>(x); });
}
inline simde__m128i emulatedNarrow(simde__m512i a) {
  return each<int32_t, int8_t, simde__m128i>(a, [](int32_t x) { return static_cast<int8_t>(x); });
}
inline simde__m512 emulatedPermute(simde__m512 a, int control) {
  float in[16], out[16];
  std::memcpy(in, &a, sizeof in);
  for (int i = 0; i < 16; i++) out[i] = in[(i & ~3) + (control >> (2 * (i & 3)) & 3)];
  std::memcpy(&a, out, sizeof out);
  return a;
}

}  // namespace

#undef _mm512_cvtph_ps
#undef _mm512_cvtepu16_epi32
#undef _mm512_cvtepi8_epi32
#undef _mm512_cvtps_epi32
#undef _mm512_cvtepi32_ps
#undef _mm512_cvtepi32_epi8
#undef _mm512_permute_ps
#define _mm512_cvtph_ps emulatedFromHalf
#define _mm512_cvtepu16_epi32 emulatedWiden
#define _mm512_cvtepi8_epi32 emulatedWidenBytes
#define _mm512_cvtps_epi32 emulatedToInt
#define _mm512_cvtepi32_ps emulatedToFloat
#define _mm512_cvtepi32_epi8 emulatedNarrow
#define _mm512_permute_ps emulatedPermute

#define LACUNA_EMULATED
#define LACUNA_ISA avx512_emulated
#include "cpu/isa_avx512.h"

#include "cpu/kernels.inc"
#endif
