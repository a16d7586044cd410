#pragma once
#include <cstdint>

// Half-precision numbers as bits, and pairs of them, the lower one in the lower half.
namespace lacuna::emulate {

float halfToFloat(uint16_t half);
uint16_t floatToHalf(float value);    // to nearest, ties to even
uint16_t doubleToHalf(double value);  // rounded once

inline uint32_t packHalves(float low, float high) {
  return floatToHalf(low) | static_cast<uint32_t>(floatToHalf(high)) << 16;
}
inline float lowHalf(uint32_t pair) { return halfToFloat(static_cast<uint16_t>(pair)); }
inline float highHalf(uint32_t pair) { return halfToFloat(static_cast<uint16_t>(pair >> 16)); }

// a · b + c, a + b, a − b and a · b of pairs, each rounded once.
uint32_t fmaHalves(uint32_t a, uint32_t b, uint32_t c);
uint32_t addHalves(uint32_t a, uint32_t b);
uint32_t subHalves(uint32_t a, uint32_t b);
uint32_t mulHalves(uint32_t a, uint32_t b);

}  // namespace lacuna::emulate
