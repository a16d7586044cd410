#include "encoders.h"

#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "quant/quant.h"

namespace fuzz {

namespace {

using namespace lacuna;

constexpr int64_t length = 2048 + 768;  // two whole chunks of the encoder and a part of one

constexpr Type quantisedTypes[] = {
    Type::q8_0, Type::q4_0, Type::q4_1, Type::q5_0, Type::q5_1,   Type::q2_K,
    Type::q3_K, Type::q4_K, Type::q5_K, Type::q6_K, Type::iq4_nl, Type::iq4_xs,
};

[[noreturn]] void fail(Type type, const std::string& what) {
  throw std::runtime_error(std::string("encoder of ") + typeInfo(type).name + ": " + what);
}

// Blocks taken apart and put together again are the same, bit for bit.
void checkInverse(Type type, std::mt19937_64& random) {
  std::vector<uint8_t> bytes(rowBytes(type, length)), again(bytes.size(), 0xa5);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  const size_t n = static_cast<size_t>(length);
  std::vector<uint8_t> code(n);
  std::vector<int8_t> scales(n / 16), minima(n / 16);
  std::vector<uint16_t> d(n / 32), m(n / 32);
  const Codes codes{code.data(), scales.data(), minima.data(), d.data(), m.data()};
  decodeCodes(type, bytes.data(), length, codes);
  encodeCodes(type, codes, length, again.data());
  if (bytes != again) fail(type, "a block is not what it was taken apart from");
}

// Everything is finite, and no worse than writing zeros would be.
void checkValues(Type type, const std::string& kind, const std::vector<float>& values) {
  std::vector<uint8_t> bytes(rowBytes(type, length));
  std::vector<float> decoded(values.size());
  encodeRow(type, values.data(), length, bytes.data());
  decodeRow(type, bytes.data(), length, decoded.data());
  double power = 0, error = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(decoded[i])) fail(type, kind + ": " + std::to_string(decoded[i]));
    power += static_cast<double>(values[i]) * values[i];
    error += std::pow(static_cast<double>(values[i]) - decoded[i], 2);
  }
  if (error > 1.01 * power)
    fail(type,
         kind + ": an error of " + std::to_string(std::sqrt(error / power)) + " of the values");
}

struct Kind {
  const char* name;
  std::function<float(std::mt19937_64&)> draw;
};

float uniform(std::mt19937_64& random) {
  return static_cast<float>(random() >> 40) * 0x1p-23f - 1;  // -1 to 1
}

float sign(std::mt19937_64& random) { return random() & 1 ? -1.0f : 1.0f; }

const Kind kinds[] = {
    {"zeros", [](auto&) { return 0.0f; }},
    {"negative zeros", [](auto&) { return -0.0f; }},
    {"denormals", [](auto& r) { return uniform(r) * 1e-40f; }},
    {"numbers below the least scale", [](auto& r) { return uniform(r) * 1e-9f; }},
    {"numbers near the least scale", [](auto& r) { return uniform(r) * 1e-6f; }},
    {"usual weights", [](auto& r) { return uniform(r) * 0.02f; }},
    {"the largest numbers", [](auto& r) { return sign(r) * largestHalf; }},
    {"large numbers", [](auto& r) { return uniform(r) * largestHalf; }},
    {"one number", [](auto&) { return 0.37f; }},
    {"one negative number", [](auto&) { return -0.37f; }},
    {"numbers that differ little", [](auto& r) { return 100 + 1e-3f * uniform(r); }},
    {"positive numbers", [](auto& r) { return 2 + uniform(r); }},
    {"few numbers among zeros", [](auto& r) { return r() % 61 ? 0.0f : uniform(r); }},
    {"few large among small numbers",
     [](auto& r) { return r() % 97 ? 1e-4f * uniform(r) : 1e4f * uniform(r); }},
    {"all magnitudes", [](auto& r) { return sign(r) * std::pow(10.0f, 25 * uniform(r) - 21); }},
};

}  // namespace

int checkEncoders() {
  std::mt19937_64 random(1);
  int count = 0;
  for (const Type type : quantisedTypes) {
    for (int round = 0; round < 4; ++round, ++count) checkInverse(type, random);
    for (const Kind& kind : kinds) {
      std::vector<float> values(static_cast<size_t>(length));
      for (float& value : values) value = kind.draw(random);
      checkValues(type, kind.name, values);
      ++count;
    }
  }
  return count;
}

}  // namespace fuzz
