#pragma once
#include <cstring>

#include "blocks.h"
#include "quant.h"

// One decoder per block type: writes `size` integers to q, and a scale and an offset per group.
// Plain loops with fixed bounds, for the compiler to vectorise.
namespace lacuna {

// The 16 levels of IQ4_NL and IQ4_XS, spaced like the quantiles of a bell curve.
inline constexpr int8_t nonlinearLevels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};

// Both levels of a byte of nibbles at once, which halves the look-ups: the low nibble's in the low
// byte.
struct LevelPairs {
  uint16_t of[256];
};
inline constexpr LevelPairs levelPairs = [] {
  LevelPairs pairs{};
  for (int byte = 0; byte < 256; ++byte)
    pairs.of[byte] = static_cast<uint16_t>(static_cast<uint8_t>(nonlinearLevels[byte & 15]) |
                                           static_cast<uint8_t>(nonlinearLevels[byte >> 4]) << 8);
  return pairs;
}();

inline void lookUpNibbles(const uint8_t* nibbles, int8_t* q) {
  uint16_t pairs[16];
  for (int i = 0; i < 16; ++i) pairs[i] = levelPairs.of[nibbles[i]];
  for (int i = 0; i < 16; ++i) {
    q[i] = static_cast<int8_t>(pairs[i] & 255);
    q[i + 16] = static_cast<int8_t>(pairs[i] >> 8);
  }
}

inline void splitNibbles(const uint8_t (&nibbles)[16], int minus, int8_t* q) {
  for (int i = 0; i < 16; ++i) {
    q[i] = static_cast<int8_t>((nibbles[i] & 15) - minus);
    q[i + 16] = static_cast<int8_t>((nibbles[i] >> 4) - minus);
  }
}

// Gives every nibble q[i] its upper half, `one` or `zero` by its fifth bit, 8 elements at a time:
// byte k of `picked` is bit k of the byte, moved down to a 1 by a carry from below.
inline void addFifthBits(const uint8_t (&high)[4], int one, int zero, int8_t* q) {
  constexpr uint64_t ones = 0x0101010101010101;
  for (int byte = 0; byte < 4; ++byte) {
    const uint64_t picked = high[byte] * ones & 0x8040201008040201;
    const uint64_t bits = ((picked + 0x7f * ones) >> 7) & ones;
    uint64_t values;
    std::memcpy(&values, q + 8 * byte, sizeof values);
    values |= bits * static_cast<uint64_t>(one) | (ones - bits) * static_cast<uint64_t>(zero);
    std::memcpy(q + 8 * byte, &values, sizeof values);
  }
}

inline void decode(const BlockQ4_0& b, int8_t* q, float* scale, float* offset) {
  splitNibbles(b.nibbles, 8, q);
  *scale = halfToFloat(b.d);
  *offset = 0;
}

inline void decode(const BlockQ4_1& b, int8_t* q, float* scale, float* offset) {
  splitNibbles(b.nibbles, 0, q);
  *scale = halfToFloat(b.d);
  *offset = halfToFloat(b.m);
}

inline void decode(const BlockQ5_0& b, int8_t* q, float* scale, float* offset) {
  splitNibbles(b.nibbles, 0, q);
  addFifthBits(b.high, 0x00, 0xf0, q);  // minus 16
  *scale = halfToFloat(b.d);
  *offset = 0;
}

inline void decode(const BlockQ5_1& b, int8_t* q, float* scale, float* offset) {
  splitNibbles(b.nibbles, 0, q);
  addFifthBits(b.high, 0x10, 0x00, q);
  *scale = halfToFloat(b.d);
  *offset = halfToFloat(b.m);
}

inline void decode(const BlockQ8_0& b, int8_t* q, float* scale, float* offset) {
  std::memcpy(q, b.values, sizeof b.values);
  *scale = halfToFloat(b.d);
  *offset = 0;
}

inline void decode(const BlockIQ4_NL& b, int8_t* q, float* scale, float* offset) {
  lookUpNibbles(b.nibbles, q);
  *scale = halfToFloat(b.d);
  *offset = 0;
}

// Superblocks store 128 (Q2_K, Q3_K, Q6_K) or 64 (Q4_K, Q5_K) elements at a time; run r of 32 of
// them takes the same bits of 32 consecutive bytes.

inline void decode(const BlockQ2_K& b, int8_t* q, float* scale, float* offset) {
  for (int run = 0; run < 8; ++run)
    for (int i = 0; i < 32; ++i)
      q[32 * run + i] = static_cast<int8_t>((b.low[32 * (run / 4) + i] >> (2 * (run % 4))) & 3);
  const float d = halfToFloat(b.d), m = halfToFloat(b.m);
  for (int g = 0; g < 16; ++g) {
    scale[g] = d * static_cast<float>(b.scales[g] & 15);
    offset[g] = -m * static_cast<float>(b.scales[g] >> 4);
  }
}

inline void decode(const BlockQ3_K& b, int8_t* q, float* scale, float* offset) {
  for (int run = 0; run < 8; ++run)
    for (int i = 0; i < 32; ++i) {
      const int low = (b.low[32 * (run / 4) + i] >> (2 * (run % 4))) & 3;
      const int high = (b.high[i] >> run) & 1;
      q[32 * run + i] = static_cast<int8_t>(low + 4 * high - 4);
    }
  const float d = halfToFloat(b.d);
  for (int g = 0; g < 16; ++g) {
    const int low = (b.scales[g % 8] >> (4 * (g / 8))) & 15;
    const int high = (b.scales[8 + g % 4] >> (2 * (g / 4))) & 3;
    scale[g] = d * static_cast<float>(low + 16 * high - 32);
    offset[g] = 0;
  }
}

// The 8 scales and 8 minima of Q4_K and Q5_K, 6 bits each in 12 bytes: groups 0..3 have bytes of
// their own, whose upper 2 bits complete the nibbles of groups 4..7.
inline void decodeScales(const uint8_t (&s)[12], float d, float m, float* scale, float* offset) {
  for (int g = 0; g < 4; ++g) {
    scale[g] = d * static_cast<float>(s[g] & 63);
    offset[g] = -m * static_cast<float>(s[g + 4] & 63);
    scale[g + 4] = d * static_cast<float>((s[g + 8] & 15) | (s[g] >> 6 << 4));
    offset[g + 4] = -m * static_cast<float>((s[g + 8] >> 4) | (s[g + 4] >> 6 << 4));
  }
}

inline void decode(const BlockQ4_K& b, int8_t* q, float* scale, float* offset) {
  for (int run = 0; run < 8; ++run)
    for (int i = 0; i < 32; ++i)
      q[32 * run + i] = static_cast<int8_t>((b.low[32 * (run / 2) + i] >> (4 * (run % 2))) & 15);
  decodeScales(b.scales, halfToFloat(b.d), halfToFloat(b.m), scale, offset);
}

inline void decode(const BlockQ5_K& b, int8_t* q, float* scale, float* offset) {
  for (int run = 0; run < 8; ++run)
    for (int i = 0; i < 32; ++i) {
      const int low = (b.low[32 * (run / 2) + i] >> (4 * (run % 2))) & 15;
      const int high = (b.high[i] >> run) & 1;
      q[32 * run + i] = static_cast<int8_t>(low + 16 * high);
    }
  decodeScales(b.scales, halfToFloat(b.d), halfToFloat(b.m), scale, offset);
}

inline void decode(const BlockQ6_K& b, int8_t* q, float* scale, float* offset) {
  for (int run = 0; run < 8; ++run)
    for (int i = 0; i < 32; ++i) {
      const int half = run / 4, part = run % 4;
      const int low = (b.low[64 * half + 32 * (part % 2) + i] >> (4 * (part / 2))) & 15;
      const int high = (b.high[32 * half + i] >> (2 * part)) & 3;
      q[32 * run + i] = static_cast<int8_t>(low + 16 * high - 32);
    }
  const float d = halfToFloat(b.d);
  for (int g = 0; g < 16; ++g) {
    scale[g] = d * static_cast<float>(b.scales[g]);
    offset[g] = 0;
  }
}

inline void decode(const BlockIQ4_XS& b, int8_t* q, float* scale, float* offset) {
  const float d = halfToFloat(b.d);
  for (int g = 0; g < 8; ++g) {
    lookUpNibbles(b.nibbles + 16 * g, q + 32 * g);
    const int low = (b.scalesLow[g / 2] >> (4 * (g % 2))) & 15;
    const int high = (b.scalesHigh >> (2 * g)) & 3;
    scale[g] = d * static_cast<float>(low + 16 * high - 32);
    offset[g] = 0;
  }
}

}  // namespace lacuna
