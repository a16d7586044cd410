#include "quant.h"

#include <cstring>

#include "decode.h"
#include "encode.h"

namespace lacuna {

namespace {

template <class Block>
void decodeBlocks(const uint8_t* src, int64_t n, Codes out) {
  constexpr int groups = Block::size / Block::group;
  for (int64_t i = 0; i < n / Block::size; ++i) {
    Block block;
    std::memcpy(&block, src + i * static_cast<int64_t>(sizeof block), sizeof block);
    decode(block, {out.code + i * Block::size, out.scale + i * groups, out.minimum + i * groups,
                   out.d + i, out.m + i});
  }
}

template <class Block>
void encodeBlocks(Codes in, int64_t n, uint8_t* dst) {
  constexpr int groups = Block::size / Block::group;
  for (int64_t i = 0; i < n / Block::size; ++i) {
    Block block{};
    encode({in.code + i * Block::size, in.scale + i * groups, in.minimum + i * groups, in.d + i,
            in.m + i},
           block);
    std::memcpy(dst + i * static_cast<int64_t>(sizeof block), &block, sizeof block);
  }
}

struct Entry {
  TypeInfo info;
  void (*decode)(const uint8_t*, int64_t, Codes);  // null for float types
  void (*encode)(Codes, int64_t, uint8_t*);        // null for float types
};

template <class Block>
constexpr Entry quantised(Type type, const char* name, int bits, int zero, bool offsets = false,
                          bool nonlinear = false) {
  return {{type, name, Block::size, sizeof(Block), Block::group, bits, zero, offsets, nonlinear},
          decodeBlocks<Block>,
          encodeBlocks<Block>};
}

constexpr Entry entries[] = {
    {{Type::f32, "F32", 1, 4, 0}, nullptr, nullptr},
    {{Type::f16, "F16", 1, 2, 0}, nullptr, nullptr},
    {{Type::bf16, "BF16", 1, 2, 0}, nullptr, nullptr},
    quantised<BlockQ8_0>(Type::q8_0, "Q8_0", 8, 128),
    quantised<BlockQ4_0>(Type::q4_0, "Q4_0", 4, 8),
    quantised<BlockQ4_1>(Type::q4_1, "Q4_1", 4, 0, true),
    quantised<BlockQ5_0>(Type::q5_0, "Q5_0", 5, 16),
    quantised<BlockQ5_1>(Type::q5_1, "Q5_1", 5, 0, true),
    quantised<BlockQ2_K>(Type::q2_K, "Q2_K", 2, 0, true),
    quantised<BlockQ3_K>(Type::q3_K, "Q3_K", 3, 4),
    quantised<BlockQ4_K>(Type::q4_K, "Q4_K", 4, 0, true),
    quantised<BlockQ5_K>(Type::q5_K, "Q5_K", 5, 0, true),
    quantised<BlockQ6_K>(Type::q6_K, "Q6_K", 6, 32),
    quantised<BlockIQ4_NL>(Type::iq4_nl, "IQ4_NL", 4, 0, false, true),
    quantised<BlockIQ4_XS>(Type::iq4_xs, "IQ4_XS", 4, 0, false, true),
};

const Entry* entry(uint32_t type) {
  for (const Entry& e : entries)
    if (static_cast<uint32_t>(e.info.type) == type) return &e;
  return nullptr;
}

}  // namespace

const TypeInfo* typeInfo(uint32_t type) {
  const Entry* e = entry(type);
  return e ? &e->info : nullptr;
}

const TypeInfo* typeByName(std::string_view name) {
  for (const Entry& e : entries)
    if (name == e.info.name) return &e.info;
  return nullptr;
}

std::string supportedTypes() {
  std::string names;
  for (const Entry& e : entries) names += (names.empty() ? "" : ", ") + std::string(e.info.name);
  return names;
}

std::string foreignType(uint32_t type) {
  struct Name {
    uint32_t type;
    const char* name;
  };
  constexpr Name names[] = {
      {9, "Q8_1"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"},
      {21, "IQ3_S"}, {22, "IQ2_S"}, {24, "I8"},      {25, "I16"},    {26, "I32"},     {27, "I64"},
      {28, "F64"},   {29, "IQ1_M"}, {34, "TQ1_0"},   {35, "TQ2_0"},  {39, "MXFP4"},
  };
  std::string number = "type " + std::to_string(type);
  for (const Name& n : names)
    if (n.type == type) return number + " (" + n.name + ")";
  return number;
}

void decodeCodes(Type type, const uint8_t* src, int64_t n, Codes out) {
  entry(static_cast<uint32_t>(type))->decode(src, n, out);
}

void encodeCodes(Type type, Codes codes, int64_t n, uint8_t* dst) {
  entry(static_cast<uint32_t>(type))->encode(codes, n, dst);
}

namespace {

void decodeHalfs(const uint8_t* src, int64_t n, float* dst) {
  for (int64_t i = 0; i < n; ++i) {
    uint16_t half;
    std::memcpy(&half, src + 2 * i, 2);
    dst[i] = halfToFloat(half);
  }
}

void decodeBfloats(const uint8_t* src, int64_t n, float* dst) {
  for (int64_t i = 0; i < n; ++i) {
    uint16_t bfloat;
    std::memcpy(&bfloat, src + 2 * i, 2);
    dst[i] = bfloatToFloat(bfloat);
  }
}

void decodeQuantised(const Entry& e, const uint8_t* src, int64_t n, float* dst) {
  constexpr int chunk = 256;  // a multiple of every block size
  const TypeInfo& info = e.info;
  const int group = static_cast<int>(info.group), size = static_cast<int>(info.blockSize);
  uint8_t code[chunk] = {};
  int8_t scales[chunk / 16] = {}, minima[chunk / 16] = {};
  uint16_t d[chunk / 32] = {}, m[chunk / 32] = {};  // the decoder fills what its type has
  for (int64_t first = 0; first < n; first += chunk) {
    const int count = static_cast<int>(n - first < chunk ? n - first : chunk);
    e.decode(src, count, {code, scales, minima, d, m});
    for (int at = 0; at < count; at += group) {
      float scale = halfToFloat(d[at / size]);
      float offset = info.offsets ? halfToFloat(m[at / size]) : 0;
      if (size > group) {
        scale *= static_cast<float>(scales[at / group]);
        if (info.offsets) offset *= static_cast<float>(minima[at / group]);
      }
      for (int i = at; i < at + group; i++) {
        const int q = info.nonlinear ? nonlinearLevels[code[i]] : code[i] - info.zero;
        dst[first + i] = scale * static_cast<float>(q) + offset;
      }
    }
    src += rowBytes(info.type, count);
  }
}

}  // namespace

void decodeRow(Type type, const uint8_t* src, int64_t n, float* dst) {
  switch (type) {
    case Type::f32: std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(float)); break;
    case Type::f16: decodeHalfs(src, n, dst); break;
    case Type::bf16: decodeBfloats(src, n, dst); break;
    default: decodeQuantised(*entry(static_cast<uint32_t>(type)), src, n, dst);
  }
}

}  // namespace lacuna
