#pragma once
#ifndef LACUNA_EMULATED
#include <arm_neon.h>
#endif

#include <cstdint>
#include <cstring>

namespace {

// 64-bit Arm with the dot product (Armv8.2): Apple silicon, Cortex-A76 and later.
struct Isa {
  static constexpr const char *name = "neon", *title = "NEON";
  static constexpr int lanes = 4, vectors = 4, intRows = 4, floatRows = 4;
  static constexpr bool signedCodes = true;
  using F = float32x4_t;
  using I = int32x4_t;
  using B = uint8x16_t;

  static F zero() { return vdupq_n_f32(0); }
  static F set(float a) { return vdupq_n_f32(a); }
  static F load(const float* p) { return vld1q_f32(p); }
  static F load(const uint16_t* p, bool half) {
    const uint16x4_t raw = vld1_u16(p);
    if (half) return vcvt_f32_f16(vreinterpret_f16_u16(raw));
    return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(raw), 16));
  }
  static void store(float* p, F a) { vst1q_f32(p, a); }
  static F add(F a, F b) { return vaddq_f32(a, b); }
  static F sub(F a, F b) { return vsubq_f32(a, b); }
  static F mul(F a, F b) { return vmulq_f32(a, b); }
  static F div(F a, F b) { return vdivq_f32(a, b); }
  static F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  // The second where the first is no number, as on x86.
  static F max(F a, F b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
  static F min(F a, F b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
  static F abs(F a) { return vabsq_f32(a); }
  static F round(F a) { return vrndnq_f32(a); }
  // v where x > bound, else 0.
  static F keepAbove(F v, F x, F bound) { return vbslq_f32(vcgtq_f32(x, bound), v, zero()); }
  static unsigned above(F a, F b) {
    const int32_t bits[4] = {0, 1, 2, 3};
    const uint32x4_t one = vshrq_n_u32(vcgtq_f32(a, b), 31);
    return vaddvq_u32(vshlq_u32(one, vld1q_s32(bits)));
  }
  static F swapPairs(F a) { return vrev64q_f32(a); }
  // 2^n for integral n in [-126, 127].
  static F exp2(F n) {
    const int32x4_t biased = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
    return vreinterpretq_f32_s32(vshlq_n_s32(biased, 23));
  }

  static B loadBytes(const uint8_t* p) { return vld1q_u8(p); }
  static void storeBytes(uint8_t* p, B a) { vst1q_u8(p, a); }
  // The bits of `mask` of every byte moved right by `shift` (left where it is negative).
  static B bits(B a, int shift, int mask) {
    const B moved = vshlq_u8(a, vdupq_n_s8(static_cast<int8_t>(-shift)));
    return vandq_u8(moved, vdupq_n_u8(static_cast<uint8_t>(mask)));
  }
  static B either(B a, B b) { return vorrq_u8(a, b); }
  static B sixteen(const int8_t* table) { return vreinterpretq_u8_s8(vld1q_s8(table)); }
  static B lookUp(B table, B index) { return vqtbl1q_u8(table, index); }
  static F fromInt8(const int8_t* p) {
    int32_t four;
    std::memcpy(&four, p, 4);
    const int8x8_t bytes = vreinterpret_s8_s32(vdup_n_s32(four));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes))));
  }

  static I zeroInt() { return vdupq_n_s32(0); }
  static I setInt(int32_t a) { return vdupq_n_s32(a); }
  static int8x16_t broadcast4(int32_t a) { return vreinterpretq_s8_s32(vdupq_n_s32(a)); }
  struct Dot {  // codes of less than 8 bits are signed bytes as well
    I sum;
    void start(B w, int8x16_t a) { sum = vdotq_s32(vdupq_n_s32(0), vreinterpretq_s8_u8(w), a); }
    void add(B w, int8x16_t a) { sum = vdotq_s32(sum, vreinterpretq_s8_u8(w), a); }
    I total() const { return sum; }
  };
  using SmallDot = Dot;
  static constexpr int smallSteps(int, int most) { return most; }
  static I addInt(I a, I b) { return vaddq_s32(a, b); }
  static I times256(I a) { return vshlq_n_s32(a, 8); }
  static F toFloat(I a) { return vcvtq_f32_s32(a); }
  static I toInt(F a) { return vcvtq_s32_f32(a); }
  static void storeInt8(int8_t* p, I a) {
    const int8x8_t bytes = vmovn_s16(vcombine_s16(vmovn_s32(a), vmovn_s32(a)));
    const int32_t four = vget_lane_s32(vreinterpret_s32_s8(bytes), 0);
    p[0] = static_cast<int8_t>(four);
    p[1] = static_cast<int8_t>(four >> 8);
    p[2] = static_cast<int8_t>(four >> 16);
    p[3] = static_cast<int8_t>(four >> 24);
  }

  using W = uint64x2_t;
  static W setWide(uint64_t a) { return vdupq_n_u64(a); }
  static W loadWide(const uint64_t* p) { return vld1q_u64(p); }
  static W addWide(W a, W b) { return vaddq_u64(a, b); }
  static W xorWide(W a, W b) { return veorq_u64(a, b); }
  static W mulWide(W a, W b) { return vmull_u32(vmovn_u64(a), vmovn_u64(b)); }
  static W highWide(W a) { return vshrq_n_u64(a, 32); }
  static void storeQuads(uint32_t* p, W a, W b, W c, W d) {
    const uint32x2x2_t ab = vzip_u32(vmovn_u64(a), vmovn_u64(b));
    const uint32x2x2_t cd = vzip_u32(vmovn_u64(c), vmovn_u64(d));
    vst1q_u32(p, vcombine_u32(ab.val[0], cd.val[0]));
    vst1q_u32(p + 4, vcombine_u32(ab.val[1], cd.val[1]));
  }
  static F upper23(const uint32_t* p) { return vcvtq_f32_u32(vshrq_n_u32(vld1q_u32(p), 9)); }
};

}  // namespace
