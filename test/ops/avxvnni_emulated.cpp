// The AVX-VNNI kernels for machines that have AVX2 only: the one instruction they add is said here.
#ifdef LACUNA_EMULATE_AVXVNNI
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace {

inline __m256i emulatedDot(__m256i sum, __m256i unsignedBytes, __m256i signedBytes) {
  uint8_t a[32];
  int8_t b[32];
  int32_t total[8];
  std::memcpy(a, &unsignedBytes, 32);
  std::memcpy(b, &signedBytes, 32);
  std::memcpy(total, &sum, 32);
  for (int i = 0; i < 32; i++) total[i / 4] += a[i] * b[i];
  std::memcpy(&sum, total, 32);
  return sum;
}

}  // namespace

#undef _mm256_dpbusd_avx_epi32
#define _mm256_dpbusd_avx_epi32 emulatedDot

#define LACUNA_ISA avxvnni_emulated
#include "cpu/isa_avxvnni.h"

#include "cpu/kernels.inc"
#endif
