// Canvases, and rows of a matrix to f32: token embeddings, soft masks blended in.
#include "embed.h"
#include "matrix.cuh"

namespace lacuna::cuda {
namespace {

// Where a lane keeps four columns of a row: see matrix.h.
struct CodePlace {
  const unsigned char* brick;
  int s;  // 32 columns
  int lane;
  int half;       // which 16 of them
  int high;       // 1: row g + 8
  int g, column;  // column: in the brick
};

DEVICE uint32_t fourCodes(const Matrix& w, const CodePlace& p) {
  const int at = p.s * 32 + p.lane, number = 2 * p.half + p.high;
  if (w.bits == 8) return __ldg(as<const uint32_t>(p.brick) + at * 4 + number);
  const BrickShape shape{w.bits, w.group, w.super != 0, w.offsets != 0};
  uint32_t codes = 0;
  if (shape.fourBytes()) {
    codes = __ldg(as<const uint32_t>(p.brick) + at * 2 + p.high) >> (4 * p.half) & 0x0F0F0F0Fu;
  }
  if (shape.twoBytes()) {
    const uint32_t plane = __ldg(as<const uint32_t>(p.brick + shape.twoAt()) + at);
    codes |= (plane >> (2 * number) & 0x03030303u) << (w.bits == 6 ? 4 : 0);
  }
  if (shape.oneBytes()) {
    const uint32_t plane =
        __ldg(as<const uint32_t>(p.brick + shape.oneAt()) + p.s / 2 * 32 + p.lane);
    codes |= (plane >> (p.s % 2 * 4 + number) & 0x01010101u) << (w.bits - 1);
  }
  return codes;
}

DEVICE float groupNumber(const Matrix& w, const CodePlace& p, int halfAt, int integerAt) {
  const int group = (p.g * (128 / w.group) + p.column / w.group) * 2 + p.high;
  const int half = w.super ? p.g * 2 + p.high : group;
  const float value = halfToFloat(__ldg(as<const uint16_t>(p.brick + halfAt) + half));
  if (!w.super) return value;
  return value * static_cast<float>(__ldg(as<const int8_t>(p.brick + integerAt) + group));
}

DEVICE int codeValue(const Matrix& w, int code) {
  if (w.bits == 8) return static_cast<int8_t>(code);
  if (!w.nonlinear) return code - w.zero;
  const uint32_t four =
      code < 8 ? (code < 4 ? 0xBFAD9881u : 0xF6EADDCFu) : (code < 12 ? 0x26190D01u : 0x71594535u);
  return static_cast<int8_t>(four >> (8 * (code % 4)) & 255);
}

// Rounded as decodeRow of native/quant rounds: the same bits.
DEVICE float4 codedElements(const Matrix& w, const unsigned char* brick, int row, int column) {
  const int r = row % kStripRows, c = column % 128;
  const CodePlace p{brick, c / 32, r % 8 * 4 + c % 16 / 4, c % 32 / 16, r / 8, r % 8, c};
  const BrickShape shape{w.bits, w.group, w.super != 0, w.offsets != 0};
  const float scale = groupNumber(w, p, shape.dAt(), shape.scaleAt());
  const float offset = w.offsets ? groupNumber(w, p, shape.mAt(), shape.minimumAt()) : 0.0f;
  const uint32_t codes = fourCodes(w, p);
  float out[4];
  UNROLL
  for (int i = 0; i < 4; i++) {
    const int value = codeValue(w, static_cast<int>(codes >> (8 * i) & 255));
    out[i] = __fadd_rn(__fmul_rn(scale, static_cast<float>(value)), offset);
  }
  return make_float4(out[0], out[1], out[2], out[3]);
}

DEVICE float4 halfElements(const Matrix& w, const unsigned char* brick, int row, int column) {
  const int r = row % kStripRows, c = column % 64, t = c % 8 / 2;
  // Two columns of a register, and the two of the next lane's.
  const int number = c % 16 / 8 * 2 + r / 8;
  const uint32_t* at = as<const uint32_t>(brick) + ((c / 16 * 32 + r % 8 * 4 + t) * 4 + number);
  const uint32_t first = __ldg(at), second = __ldg(at + 4);
  const float scale = w.rowScale ? __ldg(w.rowScale + row) : 1.0f;
  return make_float4(lowHalf(first) * scale, highHalf(first) * scale, lowHalf(second) * scale,
                     highHalf(second) * scale);
}

// Columns [column, column + 4) of a row, column a multiple of 4.
DEVICE float4 matrixElements(const Matrix& w, int row, int column) {
  const int depth = depthOf(w.element);
  const int64_t number = static_cast<int64_t>(row / kStripRows) * w.depths + column / depth;
  const unsigned char* brick = w.bricks + number * w.brickBytes;
  if (w.element == Element::f32) {
    const int place = column % depth / 4 * kStripRows + row % kStripRows;
    return __ldg(as<const float4>(brick) + place);
  }
  if (w.element == Element::f16) return halfElements(w, brick, row, column);
  return codedElements(w, brick, row, column);
}

DEVICE float4 softElements(const EmbedArguments& a, const SoftEntry& soft, int column) {
  const float4 mask = matrixElements(a.w, soft.mask, column);
  if (soft.alpha == 0) return mask;  // bit for bit
  float4 mixed = make_float4(0, 0, 0, 0);
  for (int j = soft.first; j < soft.first + soft.count; j++) {
    const float4 e = matrixElements(a.w, a.mixed[j], column);
    const float weight = a.weights[j];
    mixed = make_float4(fmaf(weight, e.x, mixed.x), fmaf(weight, e.y, mixed.y),
                        fmaf(weight, e.z, mixed.z), fmaf(weight, e.w, mixed.w));
  }
  const float keep = 1.0f - soft.alpha;
  return make_float4(keep * mask.x + soft.alpha * mixed.x, keep * mask.y + soft.alpha * mixed.y,
                     keep * mask.z + soft.alpha * mixed.z, keep * mask.w + soft.alpha * mixed.w);
}

}  // namespace

KERNEL(editCanvas, kEmbedThreads, EditArguments) {
  const int i = static_cast<int>(blockIdx.x * kEmbedThreads + threadIdx.x);
  if (i >= a.count) return;
  const CanvasEdit edit = a.edits[i];
  if (edit.place) *edit.place = edit.token;
}

// A block per row.
KERNEL(embedRows, kEmbedThreads, EmbedArguments) {
  const int block = static_cast<int>(blockIdx.x);
  const bool isSoft = block >= a.count;
  const SoftEntry soft = isSoft ? a.soft[block - a.count] : SoftEntry{};
  const int row = isSoft ? soft.row : block;
  const TokenRow own = isSoft ? TokenRow{} : a.rows[row];
  const int token = own.place ? *own.place : own.token;
  if (token < 0) return;
  float* out = a.x + static_cast<int64_t>(row) * a.w.cols;
  for (int c = 4 * static_cast<int>(threadIdx.x); c < a.w.cols; c += 4 * kEmbedThreads) {
    const float4 four = isSoft ? softElements(a, soft, c) : matrixElements(a.w, token, c);
    if (c + 4 <= a.w.cols && a.w.cols % 4 == 0) {
      *as<float4>(out + c) = four;
      continue;
    }
    const float each[4] = {four.x, four.y, four.z, four.w};
    for (int i = 0; i < 4 && c + i < a.w.cols; i++) out[c + i] = each[i];
  }
}

}  // namespace lacuna::cuda
