#pragma once
#include <bit>
#include <cstdint>

// The blocks of the quantised GGUF types as they lie in a file: little-endian, no padding, at any
// address (copy one out before use). `d` is a scale and `m` a minimum, both half floats.
namespace lacuna {

static_assert(std::endian::native == std::endian::little,
              "GGUF tensors are read in place, which needs a little-endian machine");

// Blocks of 32 elements. Nibbles: element i is the low half of byte i, element i + 16 the high
// half. Fifth bits: bit i of `high` belongs to element i.

struct BlockQ4_0 {
  static constexpr int size = 32, group = 32;
  uint16_t d;
  uint8_t nibbles[16];
};
struct BlockQ4_1 {
  static constexpr int size = 32, group = 32;
  uint16_t d, m;
  uint8_t nibbles[16];
};
struct BlockQ5_0 {
  static constexpr int size = 32, group = 32;
  uint16_t d;
  uint8_t high[4];
  uint8_t nibbles[16];
};
struct BlockQ5_1 {
  static constexpr int size = 32, group = 32;
  uint16_t d, m;
  uint8_t high[4];
  uint8_t nibbles[16];
};
struct BlockQ8_0 {
  static constexpr int size = 32, group = 32;
  uint16_t d;
  int8_t values[32];
};
struct BlockIQ4_NL {
  static constexpr int size = 32, group = 32;
  uint16_t d;
  uint8_t nibbles[16];  // indices into a table of 16 levels
};

// K types subtract their minima: a block holds them with the sign of a scale.
inline uint16_t negated(uint16_t half) { return half ^ 0x8000; }

// Superblocks of 256 elements, in groups of 16 or 32 that have small integer scales of their own.

struct BlockQ2_K {
  static constexpr int size = 256, group = 16;
  uint8_t scales[16];  // low nibble: scale, high nibble: minimum
  uint8_t low[64];     // 2 bits an element
  uint16_t d, m;
};
struct BlockQ3_K {
  static constexpr int size = 256, group = 16;
  uint8_t high[32];    // third bit
  uint8_t low[64];     // 2 bits an element
  uint8_t scales[12];  // 16 of 6 bits
  uint16_t d;
};
struct BlockQ4_K {
  static constexpr int size = 256, group = 32;
  uint16_t d, m;
  uint8_t scales[12];  // 8 scales and 8 minima of 6 bits
  uint8_t low[128];    // 4 bits an element
};
struct BlockQ5_K {
  static constexpr int size = 256, group = 32;
  uint16_t d, m;
  uint8_t scales[12];  // 8 scales and 8 minima of 6 bits
  uint8_t high[32];    // fifth bit
  uint8_t low[128];    // 4 bits an element
};
struct BlockQ6_K {
  static constexpr int size = 256, group = 16;
  uint8_t low[128];  // 4 bits an element
  uint8_t high[64];  // 2 more bits
  int8_t scales[16];
  uint16_t d;
};
struct BlockIQ4_XS {
  static constexpr int size = 256, group = 32;
  uint16_t d;
  uint16_t scalesHigh;   // 2 bits a group
  uint8_t scalesLow[4];  // 4 bits a group
  uint8_t nibbles[128];  // indices into the table of IQ4_NL, 16 bytes a group
};

static_assert(sizeof(BlockQ4_0) == 18);
static_assert(sizeof(BlockQ4_1) == 20);
static_assert(sizeof(BlockQ5_0) == 22);
static_assert(sizeof(BlockQ5_1) == 24);
static_assert(sizeof(BlockQ8_0) == 34);
static_assert(sizeof(BlockIQ4_NL) == 18);
static_assert(sizeof(BlockQ2_K) == 84);
static_assert(sizeof(BlockQ3_K) == 110);
static_assert(sizeof(BlockQ4_K) == 144);
static_assert(sizeof(BlockQ5_K) == 176);
static_assert(sizeof(BlockQ6_K) == 210);
static_assert(sizeof(BlockIQ4_XS) == 136);

}  // namespace lacuna
