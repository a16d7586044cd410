#pragma once
#include "device.cuh"

// native/session/philox.h for the card: the same words, bit for bit.
namespace lacuna::cuda {

struct PhiloxWords {
  uint32_t word[4];
};

DEVICE PhiloxWords philox(uint64_t seed, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * a, p1 = uint64_t{0xCD9E8D57u} * c;
    a = static_cast<uint32_t>(p1 >> 32) ^ b ^ key0;
    c = static_cast<uint32_t>(p0 >> 32) ^ d ^ key1;
    b = static_cast<uint32_t>(p1);
    d = static_cast<uint32_t>(p0);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return {{a, b, c, d}};
}

DEVICE float philoxUniform(uint32_t bits) {
  return (static_cast<float>(bits >> 9) + 0.5f) * (1.0f / 8388608.0f);
}

// Gumbel noise of the token whose word it is.
DEVICE float philoxGumbel(uint32_t bits) { return -logf(-logf(philoxUniform(bits))); }

// Philox::score.
DEVICE float philoxScore(uint64_t seed, uint32_t step, uint32_t position) {
  return philoxUniform(philox(seed, 0, position, step, 1).word[0]);
}

}  // namespace lacuna::cuda
