#pragma once
#include "device.cuh"

// Numbers as unsigned keys in the same order, so that the best of many is a maximum of integers:
// exact, and the same in whatever order it is taken. 0 is the key of nothing.
namespace lacuna::cuda {

DEVICE uint32_t orderOf(float value) {
  const uint32_t bits = __float_as_uint(value == 0 ? 0.0f : value);  // −0 equals 0
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

DEVICE uint64_t orderOf(double value) {
  const uint64_t bits = static_cast<uint64_t>(__double_as_longlong(value == 0 ? 0.0 : value));
  return bits >> 63 ? ~bits : bits | uint64_t{1} << 63;
}

DEVICE double doubleOfOrder(uint64_t key) {
  return __longlong_as_double(
      static_cast<long long>(key >> 63 ? key & ~(uint64_t{1} << 63) : ~key));
}

// A token with its logit or score: the largest first, of equals the lower token.
DEVICE uint64_t tokenKey(float value, int token) {
  return uint64_t{orderOf(value)} << 32 | (0xFFFFFFFFu - static_cast<uint32_t>(token));
}

DEVICE int keyToken(uint64_t key) {
  return static_cast<int>(0xFFFFFFFFu - static_cast<uint32_t>(key));
}

DEVICE float keyValue(uint64_t key) {
  const uint32_t order = static_cast<uint32_t>(key >> 32);
  return __uint_as_float(order & 0x80000000u ? order & 0x7FFFFFFFu : ~order);
}

}  // namespace lacuna::cuda
