// The NEON kernels for machines that are not Arm: SIMDe says its intrinsics in plain C, and the one
// that some version of it lacks is said here.
#if __has_include(<simde/arm/neon.h>) && !defined(__aarch64__) && !defined(_M_ARM64)
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/arm/neon.h>

namespace {

inline simde_float32x4_t emulatedDivide(simde_float32x4_t a, simde_float32x4_t b) {
  float x[4], y[4];
  simde_vst1q_f32(x, a);
  simde_vst1q_f32(y, b);
  for (int i = 0; i < 4; i++) x[i] /= y[i];
  return simde_vld1q_f32(x);
}

}  // namespace

#undef vdivq_f32
#define vdivq_f32 emulatedDivide

#define LACUNA_EMULATED
#define LACUNA_ISA neon_emulated
#include "cpu/isa_neon.h"

#include "cpu/kernels.inc"
#endif
