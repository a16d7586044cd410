#include "pack.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "../native/error.h"
#include "../native/quant/quant.h"

namespace lacuna::cuda {
namespace {

template <class T>
T loadAs(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
void storeAs(uint8_t* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

// One strip: 16 rows of the file, of which those past the end are null.
struct Strip {
  const uint8_t* rows[kStripRows];
};

Strip stripOf(const TensorView& view, int64_t number, int strip) {
  Strip s{};
  const size_t bytes = rowBytes(view.type, view.cols);
  for (int i = 0; i < kStripRows; i++) {
    const int64_t row = int64_t{strip} * kStripRows + i;
    if (row < view.rows)
      s.rows[i] = view.data + static_cast<size_t>(number * view.rows + row) * bytes;
  }
  return s;
}

void packFloats(const TensorView& view, const Strip& strip, uint8_t* out) {
  for (int64_t c = 0; c < view.cols; c += 4) {  // [k / 4][row][4], bricks follow each other
    const size_t count = static_cast<size_t>(std::min<int64_t>(4, view.cols - c)) * sizeof(float);
    for (const uint8_t* row : strip.rows) {
      if (row) std::memcpy(out, row + static_cast<size_t>(c) * sizeof(float), count);
      out += 4 * sizeof(float);
    }
  }
}

// The halves of a row: those of the file, or BF16 times a power of two that brings the largest into
// [2^14, 2^15).
struct HalfRow {
  const uint8_t* data = nullptr;
  bool bfloats = false;
  float factor = 1;

  uint16_t at(int64_t column) const {
    const uint16_t bits = loadAs<uint16_t>(data + 2 * column);
    return bfloats ? floatToHalf(bfloatToFloat(bits) * factor) : bits;
  }
};

HalfRow halfRow(const TensorView& view, const uint8_t* row, float& scale) {
  HalfRow half{row, view.type == Type::bf16, 1};
  scale = 1;
  if (!row || !half.bfloats) return half;
  int largest = 0;  // magnitudes of BF16 are in the order of their bits
  for (int64_t c = 0; c < view.cols; c++)
    largest = std::max(largest, loadAs<uint16_t>(row + 2 * c) & 0x7FFF);
  const int exponent = (largest >> 7) - 127;
  const int shift = largest ? std::clamp(14 - exponent, -100, 100) : 0;
  half.factor = std::ldexp(1.0f, shift);
  scale = std::ldexp(1.0f, -shift);
  return half;
}

void packHalves(const TensorView& view, const Strip& strip, uint8_t* out, float* rowScale) {
  for (int g = 0; g < 8; g++) {
    float scales[2];
    const HalfRow rows[2] = {halfRow(view, strip.rows[g], scales[0]),
                             halfRow(view, strip.rows[g + 8], scales[1])};
    if (rowScale) rowScale[g] = scales[0], rowScale[g + 8] = scales[1];
    for (int64_t c = 0; c < view.cols; c += 2) {
      const size_t k = static_cast<size_t>(c / 16), t = static_cast<size_t>(c % 8 / 2);
      uint8_t* lane = out + (k * 32 + static_cast<size_t>(g) * 4 + t) * 16;
      for (size_t high = 0; high < 2; high++) {
        if (!rows[high].data) continue;
        uint32_t pair = rows[high].at(c);
        if (c + 1 < view.cols) pair |= static_cast<uint32_t>(rows[high].at(c + 1)) << 16;
        storeAs(lane + 4 * (high + (c % 16 >= 8 ? 2 : 0)), pair);
      }
    }
  }
}

// Columns [first, first + 256) of a strip, taken apart: two bricks.
constexpr int kPiece = 256;
struct Piece {
  uint8_t code[kStripRows][kPiece];
  int8_t scale[kStripRows][kPiece / 16], minimum[kStripRows][kPiece / 16];
  uint16_t d[kStripRows][kPiece / 32], m[kStripRows][kPiece / 32];
};

void takeApart(const TensorView& view, const Strip& strip, int64_t first, Piece& piece) {
  piece = {};
  const int64_t count = std::min<int64_t>(kPiece, view.cols - first);
  for (int r = 0; r < kStripRows; r++) {
    if (!strip.rows[r]) continue;
    decodeCodes(view.type, strip.rows[r] + rowBytes(view.type, first), count,
                {piece.code[r], piece.scale[r], piece.minimum[r], piece.d[r], piece.m[r]});
  }
}

// The four registers of a lane to the planes: see matrix.h.
void storeLane(const BrickShape& shape, bool bytes, uint8_t* brick, const uint32_t (&a)[4], int s,
               int lane) {
  const int at = s * 32 + lane;
  if (bytes) {
    for (int i = 0; i < 4; i++) storeAs(brick + at * 16 + 4 * i, a[i] ^ 0x80808080);
    return;
  }
  if (shape.fourBytes()) {
    constexpr uint32_t mask = 0x0F0F0F0F;
    storeAs(brick + at * 8, (a[0] & mask) | (a[2] & mask) << 4);
    storeAs(brick + at * 8 + 4, (a[1] & mask) | (a[3] & mask) << 4);
  }
  if (shape.twoBytes()) {
    uint32_t plane = 0;
    for (int i = 0; i < 4; i++) plane |= (a[i] >> (shape.bits == 6 ? 4 : 0) & 0x03030303) << 2 * i;
    storeAs(brick + shape.twoAt() + at * 4, plane);
  }
  if (shape.oneBytes()) {
    uint8_t* word = brick + shape.oneAt() + (s / 2 * 32 + lane) * 4;
    uint32_t plane = s % 2 ? loadAs<uint32_t>(word) : 0;
    for (int i = 0; i < 4; i++) {
      plane |= (a[i] >> (shape.bits - 1) & 0x01010101) << (s % 2 * 4 + i);
    }
    storeAs(word, plane);
  }
}

// Half `which` of a piece to one brick.
void packBrick(const Matrix& layout, const Piece& piece, int which, uint8_t* brick) {
  const BrickShape shape{layout.bits, layout.group, layout.super != 0, layout.offsets != 0};
  for (int s = 0; s < 4; s++) {
    for (int lane = 0; lane < 32; lane++) {
      const int g = lane / 4, column = 128 * which + 32 * s + 4 * (lane % 4);
      const uint32_t a[4] = {loadAs<uint32_t>(piece.code[g] + column),
                             loadAs<uint32_t>(piece.code[g + 8] + column),
                             loadAs<uint32_t>(piece.code[g] + column + 16),
                             loadAs<uint32_t>(piece.code[g + 8] + column + 16)};
      storeLane(shape, layout.bits == 8, brick, a, s, lane);
    }
  }
  const int groups = 128 / layout.group, halves = layout.super ? 1 : 4;
  for (int r = 0; r < kStripRows; r++) {
    const int g = r % 8, high = r / 8;
    for (int i = 0; i < halves; i++) {
      const int from = layout.super ? 0 : 4 * which + i, at = ((g * halves + i) * 2 + high) * 2;
      storeAs(brick + shape.dAt() + at, piece.d[r][from]);
      if (layout.offsets) storeAs(brick + shape.mAt() + at, piece.m[r][from]);
    }
    for (int i = 0; layout.super && i < groups; i++) {
      const int from = groups * which + i, at = (g * groups + i) * 2 + high;
      storeAs(brick + shape.scaleAt() + at, piece.scale[r][from]);
      if (layout.offsets) storeAs(brick + shape.minimumAt() + at, piece.minimum[r][from]);
    }
  }
}

}  // namespace

Matrix layOut(const TensorView& view) {
  const TypeInfo* info = typeInfo(static_cast<uint32_t>(view.type));
  if (!info) {
    throw Error(Code::unsupportedType,
                "Tensor '" + view.name +
                    "' has a type this build does not know. Known: " + supportedTypes() + ".");
  }
  constexpr int64_t most = std::numeric_limits<int32_t>::max() / 2;
  if (view.cols > most || view.rows > int64_t{65535} * 128 || view.depth > most) {
    throw Error(Code::badGguf, "Tensor '" + view.name +
                                   "' is too large: " + std::to_string(view.rows) + " rows of " +
                                   std::to_string(view.cols) + ", times " +
                                   std::to_string(view.depth) + ".");
  }
  Matrix m{};
  m.element = info->group ? Element::coded : view.type == Type::f32 ? Element::f32 : Element::f16;
  const int64_t depth = depthOf(m.element);
  m.rows = static_cast<int32_t>(view.rows);
  m.cols = static_cast<int32_t>(view.cols);
  m.strips = static_cast<int32_t>((view.rows + kStripRows - 1) / kStripRows);
  m.depths = static_cast<int32_t>((view.cols + depth - 1) / depth);
  m.brickBytes = 2048;
  if (m.element == Element::coded) {
    m.bits = info->bits;
    m.group = static_cast<int32_t>(info->group);
    m.super = info->blockSize == 256;
    m.offsets = info->offsets;
    m.zero = info->bits == 8 ? 0 : info->zero;  // 8 bits are kept signed
    m.nonlinear = info->nonlinear;
    m.brickBytes = BrickShape{m.bits, m.group, m.super != 0, m.offsets != 0}.bytes();
  }
  m.matrixBytes = int64_t{m.strips} * m.depths * m.brickBytes;
  return m;
}

void packStrip(const TensorView& view, const Matrix& layout, int64_t number, int strip,
               uint8_t* bricks, float* rowScale) {
  const Strip rows = stripOf(view, number, strip);
  const size_t bytes = static_cast<size_t>(layout.brickBytes);
  if (layout.element != Element::coded) {
    std::memset(bricks, 0, bytes * static_cast<size_t>(layout.depths));
    if (layout.element == Element::f32) return packFloats(view, rows, bricks);
    return packHalves(view, rows, bricks, rowScale);
  }
  Piece piece;
  for (int brick = 0; brick < layout.depths; brick++) {
    if (brick % 2 == 0) takeApart(view, rows, int64_t{brick} * 128, piece);
    packBrick(layout, piece, brick % 2, bricks + static_cast<size_t>(brick) * bytes);
  }
}

}  // namespace lacuna::cuda
