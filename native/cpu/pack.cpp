// From rows of GGUF blocks to the panels of kernels.h.
#include <algorithm>
#include <cstring>
#include <limits>

#include "../error.h"
#include "../quant/quant.h"
#include "weight.h"

namespace lacuna::cpu {
namespace {

struct Packing {
  const TensorView& view;
  const Kernels& kernels;
  CpuWeight& out;
  Threads& threads;
  const std::atomic<bool>& cancelled;

  int cols() const { return static_cast<int>(view.cols); }
  int tileCount() const { return static_cast<int>(view.depth) * out.tiles; }
  const uint8_t* row(int64_t matrix, int64_t r) const {
    return view.data + static_cast<size_t>(matrix * view.rows + r) * out.rowBytes;
  }

  // Calls fill(tile, matrix, first row, rows, scratch of this thread) for every tile.
  template <class Fill>
  void forTiles(size_t scratchBytes, const Fill& fill) {
    const size_t stride = (scratchBytes + 63) / 64 * 64;
    Pages scratch(stride * static_cast<size_t>(threads.count()));
    threads.parallelFor(tileCount(), [&](int tile, int thread) {
      if (cancelled.load(std::memory_order_relaxed)) return;
      const int matrix = tile / out.tiles;
      const int64_t first = static_cast<int64_t>(tile % out.tiles) * kernels.nr;
      const int rows = static_cast<int>(std::min<int64_t>(kernels.nr, view.rows - first));
      fill(tile, matrix, first, rows, scratch.as<uint8_t>() + stride * static_cast<size_t>(thread));
    });
  }
};

void packFloat(Packing& p) {
  const size_t nr = static_cast<size_t>(p.kernels.nr), cols = static_cast<size_t>(p.cols());
  p.out.panels.tileBytes = nr * cols * sizeof(float);
  p.out.data = Pages(p.out.panels.tileBytes * static_cast<size_t>(p.tileCount()));
  p.forTiles(cols * sizeof(float), [&](int tile, int matrix, int64_t first, int rows, uint8_t* s) {
    float* row = reinterpret_cast<float*>(s);
    float* panel = p.out.data.as<float>() + static_cast<size_t>(tile) * nr * cols;
    for (int r = 0; r < rows; r++) {
      decodeRow(p.view.type, p.row(matrix, first + r), p.view.cols, row);
      for (size_t c = 0; c < cols; c++) panel[c * nr + static_cast<size_t>(r)] = row[c];
    }
  });
}

void pack16(Packing& p) {
  const size_t nr = static_cast<size_t>(p.kernels.nr), cols = static_cast<size_t>(p.cols());
  p.out.panels.tileBytes = nr * cols * sizeof(uint16_t);
  p.out.data = Pages(p.out.panels.tileBytes * static_cast<size_t>(p.tileCount()));
  p.forTiles(cols * sizeof(uint16_t),
             [&](int tile, int matrix, int64_t first, int rows, uint8_t* s) {
               uint16_t* row = reinterpret_cast<uint16_t*>(s);
               uint16_t* panel = p.out.data.as<uint16_t>() + static_cast<size_t>(tile) * nr * cols;
               for (int r = 0; r < rows; r++) {
                 std::memcpy(row, p.row(matrix, first + r), cols * sizeof(uint16_t));
                 for (size_t c = 0; c < cols; c++) panel[c * nr + static_cast<size_t>(r)] = row[c];
               }
             });
}

void packInt8(Packing& p) {
  const size_t nr = static_cast<size_t>(p.kernels.nr), cols = static_cast<size_t>(p.cols());
  const size_t groups = cols / static_cast<size_t>(p.out.panels.group);
  const size_t tiles = static_cast<size_t>(p.tileCount());
  CpuWeight& out = p.out;
  out.panels.tileBytes = nr * cols;
  out.data = Pages(nr * cols * tiles);
  out.scales = Pages(nr * groups * tiles * sizeof(float));
  // Pages of offsets are touched only where one is not zero: a type without offsets pays nothing.
  out.offsets = Pages(nr * groups * tiles * sizeof(float));
  std::atomic<bool> anyOffset{false};
  p.forTiles(2 * groups * sizeof(float) + cols,
             [&](int tile, int matrix, int64_t first, int rows, uint8_t* s) {
               float *scale = reinterpret_cast<float*>(s), *offset = scale + groups;
               int8_t* q = reinterpret_cast<int8_t*>(offset + groups);
               const size_t t = static_cast<size_t>(tile);
               uint8_t* panel = out.data.as<uint8_t>() + t * nr * cols;
               std::memset(panel, p.kernels.flip, nr * cols);
               for (size_t r = 0; r < static_cast<size_t>(rows); r++) {
                 decodeInt8(p.view.type, p.row(matrix, first + static_cast<int64_t>(r)),
                            p.view.cols, q, scale, offset);
                 for (size_t c = 0; c < cols; c += 4) {
                   for (size_t i = 0; i < 4; i++) {
                     panel[c * nr + 4 * r + i] = static_cast<uint8_t>(q[c + i]) ^ p.kernels.flip;
                   }
                 }
                 for (size_t g = 0; g < groups; g++) {
                   const size_t at = (t * groups + g) * nr + r;
                   out.scales.as<float>()[at] = scale[g];
                   if (offset[g] == 0) continue;
                   out.offsets.as<float>()[at] = offset[g];
                   anyOffset.store(true, std::memory_order_relaxed);
                 }
               }
             });
  if (!anyOffset) out.offsets = Pages();
  out.panels.scale = out.scales.as<float>();
  out.panels.offset = out.offsets.as<float>();
}

void packPanels(Packing& p) {
  CpuWeight& out = p.out;
  const int64_t tiles = (p.view.rows + p.kernels.nr - 1) / p.kernels.nr;
  constexpr int64_t most = std::numeric_limits<int32_t>::max() / 2;
  if (p.view.cols > most || tiles * p.view.depth >= (1 << 24) || p.view.rows > most) {
    throw Error(Code::badGguf, "Tensor '" + p.view.name +
                                   "' is too large: " + std::to_string(p.view.rows) + " rows of " +
                                   std::to_string(p.view.cols) + ", times " +
                                   std::to_string(p.view.depth) + ".");
  }
  out.tiles = static_cast<int>(tiles);
  out.panels.cols = p.cols();
  switch (p.view.type) {
    case Type::f32:
      out.panels.element = Element::f32;
      packFloat(p);
      break;
    case Type::f16:
    case Type::bf16:
      out.panels.element = p.view.type == Type::f16 ? Element::f16 : Element::bf16;
      pack16(p);
      break;
    default:
      out.panels.element = Element::int8;
      out.panels.group = static_cast<int>(typeInfo(p.view.type).group);
      packInt8(p);
  }
  out.panels.data = out.data.as<void>();
}

bool hasOffsets(Type type) {
  switch (type) {
    case Type::q4_1:
    case Type::q5_1:
    case Type::q2_K:
    case Type::q4_K:
    case Type::q5_K: return true;
    default: return false;
  }
}

}  // namespace

WeightPtr pack(const TensorView& view, Use use, const Kernels& kernels, Threads& threads,
               const std::atomic<bool>& cancelled) {
  if (!typeInfo(static_cast<uint32_t>(view.type))) {
    throw Error(Code::unsupportedType, "Tensor '" + view.name +
                                           "' has a type this build does not " +
                                           "know. Known: " + supportedTypes() + ".");
  }
  auto weight = std::make_unique<CpuWeight>();
  weight->name = view.name;
  weight->use = use;
  weight->cols = view.cols;
  weight->rows = view.rows;
  weight->depth = view.depth;
  weight->type = view.type;
  weight->rowBytes = rowBytes(view.type, view.cols);
  switch (use) {
    case Use::vector:
      weight->data = Pages(static_cast<size_t>(view.elements()) * sizeof(float));
      decodeRow(view.type, view.data, view.elements(), weight->data.as<float>());
      break;
    case Use::table:
      weight->data = Pages(view.bytes);
      std::memcpy(weight->data.as<void>(), view.data, view.bytes);
      break;
    case Use::matrix:
    case Use::precise:
    case Use::experts: {
      weight->panels.precise = use == Use::precise;
      Packing packing{view, kernels, *weight, threads, cancelled};
      packPanels(packing);
      break;
    }
  }
  if (cancelled) throw Error(Code::aborted, "Loading was aborted.");
  weight->bytes = weight->data.bytes() + weight->scales.bytes() + weight->offsets.bytes();
  return weight;
}

uint64_t packedBytes(const TensorView& view, Use use, const Kernels& kernels) {
  if (use == Use::vector) return static_cast<uint64_t>(view.elements()) * sizeof(float);
  if (use == Use::table) return view.bytes;
  const uint64_t nr = static_cast<uint64_t>(kernels.nr);
  const uint64_t rows = (static_cast<uint64_t>(view.rows) + nr - 1) / nr * nr;
  const uint64_t elements = rows * static_cast<uint64_t>(view.cols * view.depth);
  if (view.type == Type::f32) return elements * sizeof(float);
  const uint64_t group = typeInfo(view.type).group;
  if (group == 0) return elements * sizeof(uint16_t);
  const uint64_t perGroup = hasOffsets(view.type) ? 2 : 1;
  return elements + elements / group * perGroup * sizeof(float);
}

}  // namespace lacuna::cpu
