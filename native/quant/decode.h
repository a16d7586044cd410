#pragma once
#include <cstring>

#include "blocks.h"
#include "quant.h"

// One decoder per block type: takes a block apart into its codes, small scales and halves. Plain
// loops with fixed bounds, for the compiler to vectorise; `out` by value, because bytes written
// through a reference's pointers might be the pointers themselves.
namespace lacuna {

inline void splitNibbles(const uint8_t (&nibbles)[16], uint8_t* code) {
  for (int i = 0; i < 16; ++i) {
    code[i] = nibbles[i] & 15;
    code[i + 16] = nibbles[i] >> 4;
  }
}

// Adds fifth bits to 32 nibbles, 8 at a time: byte k of `picked` is bit k of the byte, moved to 16
// by a carry from below.
inline void addFifthBits(const uint8_t (&high)[4], uint8_t* code) {
  constexpr uint64_t ones = 0x0101010101010101;
  for (int byte = 0; byte < 4; ++byte) {
    const uint64_t picked = high[byte] * ones & 0x8040201008040201;
    const uint64_t bits = ((picked + 0x7f * ones) >> 7) & ones;
    uint64_t values;
    std::memcpy(&values, code + 8 * byte, sizeof values);
    values |= bits << 4;
    std::memcpy(code + 8 * byte, &values, sizeof values);
  }
}

inline void decode(const BlockQ4_0& b, Codes out) {
  splitNibbles(b.nibbles, out.code);
  *out.d = b.d;
}

inline void decode(const BlockQ4_1& b, Codes out) {
  splitNibbles(b.nibbles, out.code);
  *out.d = b.d;
  *out.m = b.m;
}

inline void decode(const BlockQ5_0& b, Codes out) {
  splitNibbles(b.nibbles, out.code);
  addFifthBits(b.high, out.code);
  *out.d = b.d;
}

inline void decode(const BlockQ5_1& b, Codes out) {
  splitNibbles(b.nibbles, out.code);
  addFifthBits(b.high, out.code);
  *out.d = b.d;
  *out.m = b.m;
}

inline void decode(const BlockQ8_0& b, Codes out) {
  for (int i = 0; i < 32; ++i) out.code[i] = static_cast<uint8_t>(b.values[i]) ^ 0x80;
  *out.d = b.d;
}

inline void decode(const BlockIQ4_NL& b, Codes out) {
  splitNibbles(b.nibbles, out.code);
  *out.d = b.d;
}

// Superblocks store 128 (Q2_K, Q3_K, Q6_K) or 64 (Q4_K, Q5_K) elements at a time; run r of 32 of
// them takes the same bits of 32 consecutive bytes. Their minima are subtracted.

inline void decode(const BlockQ2_K& b, Codes out) {
  for (int run = 0; run < 8; ++run)
    for (int i = 0; i < 32; ++i)
      out.code[32 * run + i] = (b.low[32 * (run / 4) + i] >> (2 * (run % 4))) & 3;
  for (int g = 0; g < 16; ++g) {
    out.scale[g] = static_cast<int8_t>(b.scales[g] & 15);
    out.minimum[g] = static_cast<int8_t>(b.scales[g] >> 4);
  }
  *out.d = b.d;
  *out.m = negated(b.m);
}

inline void decode(const BlockQ3_K& b, Codes out) {
  for (int run = 0; run < 8; ++run)
    for (int i = 0; i < 32; ++i) {
      const int low = (b.low[32 * (run / 4) + i] >> (2 * (run % 4))) & 3;
      const int high = (b.high[i] >> run) & 1;
      out.code[32 * run + i] = static_cast<uint8_t>(low + 4 * high);
    }
  for (int g = 0; g < 16; ++g) {
    const int low = (b.scales[g % 8] >> (4 * (g / 8))) & 15;
    const int high = (b.scales[8 + g % 4] >> (2 * (g / 4))) & 3;
    out.scale[g] = static_cast<int8_t>(low + 16 * high - 32);
  }
  *out.d = b.d;
}

// The 8 scales and 8 minima of Q4_K and Q5_K, 6 bits each in 12 bytes: groups 0..3 have bytes of
// their own, whose upper 2 bits complete the nibbles of groups 4..7.
inline void decodeScales(const uint8_t (&s)[12], Codes out) {
  for (int g = 0; g < 4; ++g) {
    out.scale[g] = static_cast<int8_t>(s[g] & 63);
    out.minimum[g] = static_cast<int8_t>(s[g + 4] & 63);
    out.scale[g + 4] = static_cast<int8_t>((s[g + 8] & 15) | (s[g] >> 6 << 4));
    out.minimum[g + 4] = static_cast<int8_t>((s[g + 8] >> 4) | (s[g + 4] >> 6 << 4));
  }
}

inline void decode(const BlockQ4_K& b, Codes out) {
  for (int run = 0; run < 8; ++run)
    for (int i = 0; i < 32; ++i)
      out.code[32 * run + i] = (b.low[32 * (run / 2) + i] >> (4 * (run % 2))) & 15;
  decodeScales(b.scales, out);
  *out.d = b.d;
  *out.m = negated(b.m);
}

inline void decode(const BlockQ5_K& b, Codes out) {
  for (int run = 0; run < 8; ++run)
    for (int i = 0; i < 32; ++i) {
      const int low = (b.low[32 * (run / 2) + i] >> (4 * (run % 2))) & 15;
      const int high = (b.high[i] >> run) & 1;
      out.code[32 * run + i] = static_cast<uint8_t>(low + 16 * high);
    }
  decodeScales(b.scales, out);
  *out.d = b.d;
  *out.m = negated(b.m);
}

inline void decode(const BlockQ6_K& b, Codes out) {
  for (int run = 0; run < 8; ++run)
    for (int i = 0; i < 32; ++i) {
      const int half = run / 4, part = run % 4;
      const int low = (b.low[64 * half + 32 * (part % 2) + i] >> (4 * (part / 2))) & 15;
      const int high = (b.high[32 * half + i] >> (2 * part)) & 3;
      out.code[32 * run + i] = static_cast<uint8_t>(low + 16 * high);
    }
  std::memcpy(out.scale, b.scales, sizeof b.scales);
  *out.d = b.d;
}

inline void decode(const BlockIQ4_XS& b, Codes out) {
  for (int g = 0; g < 8; ++g) {
    for (int i = 0; i < 16; ++i) {
      out.code[32 * g + i] = b.nibbles[16 * g + i] & 15;
      out.code[32 * g + i + 16] = b.nibbles[16 * g + i] >> 4;
    }
    const int low = (b.scalesLow[g / 2] >> (4 * (g % 2))) & 15;
    const int high = (b.scalesHigh >> (2 * g)) & 3;
    out.scale[g] = static_cast<int8_t>(low + 16 * high - 32);
  }
  *out.d = b.d;
}

}  // namespace lacuna
