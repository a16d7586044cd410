#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "cuda/backend.h"
#include "ops.h"
#include "quant/quant.h"

namespace lacuna::ops {

uint32_t Random::bits() {  // SplitMix64 (Steele, Lea, Flood 2014)
  uint64_t z = state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return static_cast<uint32_t>((z ^ z >> 31) >> 32);
}

float Random::normal() {
  const double radius = std::sqrt(-2 * std::log(1.0 - static_cast<double>(uniform())));
  return static_cast<float>(radius * std::cos(2 * std::numbers::pi * uniform()));
}

std::vector<float> Random::normals(size_t n, float deviation) {
  std::vector<float> values(n);
  for (float& value : values) value = deviation * normal();
  return values;
}

std::vector<float> Random::representable(size_t n) {
  std::vector<float> values(n);
  for (size_t group = 0; group < n; group += 32) {
    const float scale = std::ldexp(1.0f + static_cast<float>(below(8)) / 8, -8 - below(3));
    const size_t largest = group + static_cast<size_t>(below(32));
    for (size_t i = group; i < std::min(n, group + 32); i++) {
      const int q = i == largest ? (below(2) ? 127 : -127) : below(253) - 126;
      values[i] = scale * static_cast<float>(q);
    }
  }
  return values;
}

std::vector<int32_t> Random::subset(int from, int count) {
  std::vector<int32_t> all(static_cast<size_t>(from));
  for (int i = 0; i < from; i++) all[static_cast<size_t>(i)] = i;
  for (int i = 0; i < count; i++) {
    std::swap(all[static_cast<size_t>(i)], all[static_cast<size_t>(i + below(from - i))]);
  }
  all.resize(static_cast<size_t>(count));
  std::sort(all.begin(), all.end());
  return all;
}

namespace {

// A block of random bytes whose values are of a sane size: drawn again until they are.
void randomBlock(Random& random, Type type, uint8_t* block) {
  const TypeInfo& info = typeInfo(type);
  std::vector<float> values(info.blockSize);
  for (;;) {
    for (uint32_t i = 0; i < info.blockBytes; i++) block[i] = static_cast<uint8_t>(random.bits());
    decodeRow(type, block, info.blockSize, values.data());
    float largest = 0;
    bool finite = true;
    for (float value : values) {
      finite = finite && std::isfinite(value);
      largest = std::max(largest, std::fabs(value));
    }
    if (finite && largest > 0.05f && largest < 1) return;
  }
}

}  // namespace

HostTensor randomTensor(Random& random, Type type, int64_t cols, int64_t rows, int64_t depth) {
  HostTensor tensor;
  const TypeInfo& info = typeInfo(type);
  tensor.bytes.resize(rowBytes(type, cols) * static_cast<size_t>(rows * depth));
  tensor.view = {info.name, type, cols, rows, depth, tensor.bytes.data(), tensor.bytes.size()};
  // Some distinct blocks, then repeats in random order: enough variety, and quick to make.
  const size_t blocks = tensor.bytes.size() / info.blockBytes,
               distinct = std::min<size_t>(blocks, 64);
  std::vector<uint8_t> pool(distinct * info.blockBytes);
  if (isFloat(type)) {
    for (size_t i = 0; i < blocks; i++) {
      const float value = 0.3f * random.normal();
      uint32_t bits;
      std::memcpy(&bits, &value, 4);
      uint8_t* out = tensor.bytes.data() + i * info.blockBytes;
      if (type == Type::f32) {
        std::memcpy(out, &bits, 4);
      } else {  // bf16: the upper half; f16: random bits of magnitude below 2
        uint16_t half = static_cast<uint16_t>(bits >> 16);
        if (type == Type::f16) half = static_cast<uint16_t>(random.bits() & 0xBFFF);
        std::memcpy(out, &half, 2);
      }
    }
    return tensor;
  }
  for (size_t i = 0; i < distinct; i++)
    randomBlock(random, type, pool.data() + i * info.blockBytes);
  for (size_t i = 0; i < blocks; i++) {
    const size_t from = static_cast<size_t>(random.below(static_cast<int>(distinct)));
    std::memcpy(tensor.bytes.data() + i * info.blockBytes, pool.data() + from * info.blockBytes,
                info.blockBytes);
  }
  return tensor;
}

HostTensor floatTensor(const std::vector<float>& values, int64_t cols, int64_t rows) {
  HostTensor tensor;
  tensor.bytes.resize(values.size() * sizeof(float));
  std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  tensor.view = {"F32", Type::f32, cols, rows, 1, tensor.bytes.data(), tensor.bytes.size()};
  return tensor;
}

WeightPtr upload(Backend& backend, const HostTensor& tensor, Use use) {
  const std::atomic<bool> cancelled{false};
  return backend.upload(tensor.view, use, cancelled);
}

// The other backends keep their memory on the host.
Buffer::Buffer(Backend& backend, const std::vector<float>& values, int rows, int cols)
    : backend(backend),
      memory(backend.alloc(values.size(), nullptr)),
      tensor{memory->data, rows, cols} {
  if (auto* card = dynamic_cast<cuda::CudaBackend*>(&backend)) {
    card->write(memory->data, values);
  } else {
    std::copy(values.begin(), values.end(), memory->data);
  }
}

std::vector<float> Buffer::read() const {
  std::vector<float> values(memory->count);
  if (auto* card = dynamic_cast<cuda::CudaBackend*>(&backend)) {
    card->read(memory->data, values);
  } else {
    std::copy_n(memory->data, memory->count, values.begin());
  }
  return values;
}

Output output(const Buffer& buffer) {
  const std::vector<float> values = buffer.read();
  return {{values.begin(), values.end()}, {}};
}

std::vector<Type> allTypes() {
  std::vector<Type> types;
  for (uint32_t number = 0; number < 64; number++) {
    if (typeInfo(number)) types.push_back(static_cast<Type>(number));
  }
  return types;
}

}  // namespace lacuna::ops
