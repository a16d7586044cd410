#pragma once
#include <array>
#include <cmath>
#include <cstdint>

// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): noise as a
// pure function of (seed, step, position, token), so that results depend neither on the order of
// evaluation nor on the number of threads or the device. lib/decoding/philox.ts is its twin.
namespace lacuna {

struct Philox {
  static std::array<uint32_t, 4> block(uint64_t seed, uint32_t a, uint32_t b, uint32_t c,
                                       uint32_t d) {
    uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; round++) {
      const uint64_t p0 = uint64_t{0xD2511F53u} * a, p1 = uint64_t{0xCD9E8D57u} * c;
      const uint32_t na = static_cast<uint32_t>(p1 >> 32) ^ b ^ key0;
      const uint32_t nc = static_cast<uint32_t>(p0 >> 32) ^ d ^ key1;
      b = static_cast<uint32_t>(p1);
      d = static_cast<uint32_t>(p0);
      a = na;
      c = nc;
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    return {a, b, c, d};
  }

  // Uniform in (0, 1): 23 bits and a half, never 0 or 1, exact in f32.
  static float uniform(uint32_t bits) {
    return (static_cast<float>(bits >> 9) + 0.5f) * (1.0f / 8388608.0f);
  }

  // Gumbel noise for one token. Counter: {token / 4, position, step, 0}; word token % 4.
  static float gumbel(uint64_t seed, uint32_t step, uint32_t position, uint32_t token) {
    const auto words = block(seed, token / 4, position, step, 0);
    return -std::log(-std::log(uniform(words[token % 4])));
  }

  // Score of `random`. Counter: {0, position, step, 1}; word 0.
  static float score(uint64_t seed, uint32_t step, uint32_t position) {
    return uniform(block(seed, 0, position, step, 1)[0]);
  }
};

}  // namespace lacuna
