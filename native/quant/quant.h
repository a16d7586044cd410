#pragma once
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "../types.h"

// What each GGUF tensor type means. One entry and one decoder per type; nothing above the backends
// names a type.
namespace lacuna {

struct TypeInfo {
  Type type;
  const char* name;     // as GGUF tools print it: "Q4_K"
  uint32_t blockSize;   // elements per block (1 for float types)
  uint32_t blockBytes;  // bytes per block
  uint32_t group;       // elements that share one scale and offset: 16 or 32; 0 for float types
  // Quantised types: w = scale · (code − zero) + offset, or scale · levels[code] + offset. A scale
  // is d, or where blocks have several groups d · (the group's integer); an offset is m, or m ·
  // (another integer).
  int bits = 0;            // of a code
  int zero = 0;            // the code that stands for 0
  bool offsets = false;    // has offsets
  bool nonlinear = false;  // has levels
};

// The 16 levels of IQ4_NL and IQ4_XS, spaced like the quantiles of a bell curve.
inline constexpr int8_t nonlinearLevels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};

// nullptr when this build does not know the type.
const TypeInfo* typeInfo(uint32_t type);
inline const TypeInfo& typeInfo(Type type) { return *typeInfo(static_cast<uint32_t>(type)); }

// By the name that GGUF tools print; nullptr when there is none.
const TypeInfo* typeByName(std::string_view name);

// "F32, F16, …": for error messages.
std::string supportedTypes();

// "type 39 (MXFP4)": a type this build does not decode, by its GGUF name where it has one.
std::string foreignType(uint32_t type);

inline bool isFloat(Type type) { return typeInfo(type).group == 0; }

// Where the parts of n elements of a quantised row go.
struct Codes {
  uint8_t* code;    // (n) below 2^bits
  int8_t* scale;    // (n / group), where blocks have several groups
  int8_t* minimum;  // (n / group), the same, for types with offsets
  uint16_t* d;      // (n / blockSize) half floats
  uint16_t* m;      // (n / blockSize) half floats, for types with offsets
};

// Takes n elements of a quantised row apart (n a multiple of blockSize). Every decoder is plain
// C++; backends that multiply in int8 and the float decoder below share it.
void decodeCodes(Type type, const uint8_t* src, int64_t n, Codes out);

// Decodes n elements of a row of any type to f32 (n a multiple of blockSize).
void decodeRow(Type type, const uint8_t* src, int64_t n, float* dst);

// The inverse: puts n elements of a quantised row together again from their parts.
void encodeCodes(Type type, Codes codes, int64_t n, uint8_t* dst);

// Encodes n elements of a row (n a multiple of blockSize) so that they decode to numbers near the
// given ones. The values must be finite and, except for F32 and BF16, at most `largestHalf` in
// magnitude. Scales are searched for the least square error: see fit.h.
void encodeRow(Type type, const float* src, int64_t n, uint8_t* dst);

inline constexpr float largestHalf = 65504;

// Bytes of a row of n elements (n a multiple of blockSize).
inline size_t rowBytes(Type type, int64_t n) {
  const TypeInfo& info = typeInfo(type);
  return static_cast<size_t>(n / info.blockSize) * info.blockBytes;
}

// Exact, for every bit pattern. Without branches on the value and without float denormals, so that
// loops over it vectorise and run at the same speed on any data.
inline float halfToFloat(uint16_t half) {
  const int32_t rest = half & 0x7fff;
  const int32_t rebias = 112 << 23;  // exponent bias 15 -> 127; again for infinity and NaN
  const int32_t normal = (rest << 13) + rebias + (rest >= 0x7c00 ? rebias : 0);
  const int32_t small = std::bit_cast<int32_t>(static_cast<float>(rest) * 0x1p-24f);
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const int32_t isSmall = -static_cast<int32_t>(rest < 0x0400);  // all ones or 0
  const uint32_t bits = static_cast<uint32_t>((small & isSmall) | (normal & ~isSmall));
  return std::bit_cast<float>(bits | sign);
}

inline float bfloatToFloat(uint16_t bfloat) {
  return std::bit_cast<float>(static_cast<uint32_t>(bfloat) << 16);
}

// To nearest, ties to even, as long as |value| < 2^22. Plain arithmetic, for loops to vectorise.
inline float roundEven(float value) { return value + 0x1.8p23f - 0x1.8p23f; }

// To nearest, ties to even; too large: infinity.
inline uint16_t floatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), rest = bits & 0x7fffffff;
  const uint32_t sign = bits >> 16 & 0x8000;
  uint32_t half;
  if (rest > 0x7f800000) {
    half = 0x7e00;
  } else if (rest >= 0x477ff000) {  // rounds to 65536 or more
    half = 0x7c00;
  } else if (rest < 0x38800000) {  // below 2^-14: steps of 2^-24
    half = static_cast<uint32_t>(roundEven(std::bit_cast<float>(rest) * 0x1p24f));
  } else {
    half = (rest - (112u << 23) + 0xfff + (rest >> 13 & 1)) >> 13;
  }
  return static_cast<uint16_t>(sign | half);
}

// To nearest, ties to even.
inline uint16_t floatToBfloat(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace lacuna
