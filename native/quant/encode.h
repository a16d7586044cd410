#pragma once
#include <cstring>

#include "blocks.h"
#include "quant.h"

// One encoder per block type, the inverse of its decoder: puts a block together from its codes,
// small scales and halves.
namespace lacuna {

inline void joinNibbles(const uint8_t* code, uint8_t (&nibbles)[16]) {
  for (int i = 0; i < 16; ++i)
    nibbles[i] = static_cast<uint8_t>((code[i] & 15) | (code[i + 16] & 15) << 4);
}

inline void joinFifthBits(const uint8_t* code, uint8_t (&high)[4]) {
  for (int i = 0; i < 32; ++i)
    high[i / 8] = static_cast<uint8_t>(high[i / 8] | (code[i] >> 4 & 1) << (i % 8));
}

inline void encode(const Codes& in, BlockQ4_0& b) {
  joinNibbles(in.code, b.nibbles);
  b.d = *in.d;
}

inline void encode(const Codes& in, BlockQ4_1& b) {
  joinNibbles(in.code, b.nibbles);
  b.d = *in.d;
  b.m = *in.m;
}

inline void encode(const Codes& in, BlockQ5_0& b) {
  joinNibbles(in.code, b.nibbles);
  joinFifthBits(in.code, b.high);
  b.d = *in.d;
}

inline void encode(const Codes& in, BlockQ5_1& b) {
  joinNibbles(in.code, b.nibbles);
  joinFifthBits(in.code, b.high);
  b.d = *in.d;
  b.m = *in.m;
}

inline void encode(const Codes& in, BlockQ8_0& b) {
  for (int i = 0; i < 32; ++i) b.values[i] = static_cast<int8_t>(in.code[i] ^ 0x80);
  b.d = *in.d;
}

inline void encode(const Codes& in, BlockIQ4_NL& b) {
  joinNibbles(in.code, b.nibbles);
  b.d = *in.d;
}

// Bits are added to bytes that start at 0.
inline void addBits(uint8_t& byte, int bits, int shift) {
  byte = static_cast<uint8_t>(byte | bits << shift);
}

inline void encode(const Codes& in, BlockQ2_K& b) {
  for (int run = 0; run < 8; ++run)
    for (int i = 0; i < 32; ++i)
      addBits(b.low[32 * (run / 4) + i], in.code[32 * run + i], 2 * (run % 4));
  for (int g = 0; g < 16; ++g) b.scales[g] = static_cast<uint8_t>(in.scale[g] | in.minimum[g] << 4);
  b.d = *in.d;
  b.m = negated(*in.m);
}

inline void encode(const Codes& in, BlockQ3_K& b) {
  for (int run = 0; run < 8; ++run)
    for (int i = 0; i < 32; ++i) {
      addBits(b.low[32 * (run / 4) + i], in.code[32 * run + i] & 3, 2 * (run % 4));
      addBits(b.high[i], in.code[32 * run + i] >> 2, run);
    }
  for (int g = 0; g < 16; ++g) {
    addBits(b.scales[g % 8], (in.scale[g] + 32) & 15, 4 * (g / 8));
    addBits(b.scales[8 + g % 4], (in.scale[g] + 32) >> 4, 2 * (g / 4));
  }
  b.d = *in.d;
}

inline void encodeScales(const Codes& in, uint8_t (&s)[12]) {
  for (int g = 0; g < 4; ++g) {
    s[g] = static_cast<uint8_t>(in.scale[g] | in.scale[g + 4] >> 4 << 6);
    s[g + 4] = static_cast<uint8_t>(in.minimum[g] | in.minimum[g + 4] >> 4 << 6);
    s[g + 8] = static_cast<uint8_t>((in.scale[g + 4] & 15) | (in.minimum[g + 4] & 15) << 4);
  }
}

inline void encode(const Codes& in, BlockQ4_K& b) {
  for (int run = 0; run < 8; ++run)
    for (int i = 0; i < 32; ++i)
      addBits(b.low[32 * (run / 2) + i], in.code[32 * run + i], 4 * (run % 2));
  encodeScales(in, b.scales);
  b.d = *in.d;
  b.m = negated(*in.m);
}

inline void encode(const Codes& in, BlockQ5_K& b) {
  for (int run = 0; run < 8; ++run)
    for (int i = 0; i < 32; ++i) {
      addBits(b.low[32 * (run / 2) + i], in.code[32 * run + i] & 15, 4 * (run % 2));
      addBits(b.high[i], in.code[32 * run + i] >> 4, run);
    }
  encodeScales(in, b.scales);
  b.d = *in.d;
  b.m = negated(*in.m);
}

inline void encode(const Codes& in, BlockQ6_K& b) {
  for (int run = 0; run < 8; ++run)
    for (int i = 0; i < 32; ++i) {
      const int half = run / 4, part = run % 4, code = in.code[32 * run + i];
      addBits(b.low[64 * half + 32 * (part % 2) + i], code & 15, 4 * (part / 2));
      addBits(b.high[32 * half + i], code >> 4, 2 * part);
    }
  std::memcpy(b.scales, in.scale, sizeof b.scales);
  b.d = *in.d;
}

inline void encode(const Codes& in, BlockIQ4_XS& b) {
  for (int g = 0; g < 8; ++g) {
    for (int i = 0; i < 16; ++i)
      b.nibbles[16 * g + i] =
          static_cast<uint8_t>(in.code[32 * g + i] | in.code[32 * g + i + 16] << 4);
    addBits(b.scalesLow[g / 2], (in.scale[g] + 32) & 15, 4 * (g % 2));
    b.scalesHigh = static_cast<uint16_t>(b.scalesHigh | (in.scale[g] + 32) >> 4 << (2 * g));
  }
  b.d = *in.d;
}

}  // namespace lacuna
