// From rows of GGUF blocks to the panels of kernels.h.
#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

#include "../error.h"
#include "../quant/quant.h"
#include "weight.h"

namespace lacuna::cpu {
namespace {

constexpr int kPiece = 1024;  // columns taken apart at a time; a multiple of every block

// The layout of a matrix: everything of Panels but the data.
Panels layOut(const TypeInfo& info, Use use, int64_t cols, const Kernels& kernels) {
  Panels p;
  const size_t nr = static_cast<size_t>(kernels.nr), width = static_cast<size_t>(cols);
  p.cols = static_cast<int>(cols);
  p.precise = use == Use::precise;
  if (info.group == 0) {
    p.element = info.type == Type::f32   ? Element::f32
                : info.type == Type::f16 ? Element::f16
                                         : Element::bf16;
    p.tileBytes = nr * width * info.blockBytes;
    return p;
  }
  p.element = Element::coded;
  p.bits = info.bits;
  p.nonlinear = info.nonlinear;
  const bool bytes = p.bits == 8 || p.nonlinear;  // met as codes of 8 bits
  p.zero = !bytes ? info.zero : kernels.signedCodes ? 0 : 128;
  p.group = static_cast<int>(info.group);
  p.block = static_cast<int>(info.blockSize);
  const size_t integers = p.group < p.block ? nr * width / info.group : 0;
  const size_t halfs = nr * width / info.blockSize * sizeof(uint16_t);
  size_t at = nr * width * static_cast<size_t>(p.bits) / 8;
  const auto place = [&at](size_t& part, size_t size) {
    part = at;
    at += size;
  };
  place(p.dAt, halfs);
  if (info.offsets) place(p.mAt, halfs);
  if (integers) place(p.scaleAt, integers);
  if (integers && info.offsets) place(p.minimumAt, integers);
  p.tileBytes = (at + 63) / 64 * 64;
  return p;
}

struct Packing {
  const TensorView& view;
  const Kernels& kernels;
  CpuWeight& out;
  Threads& threads;
  const std::atomic<bool>& cancelled;

  const uint8_t* row(int64_t matrix, int64_t r) const {
    return view.data + static_cast<size_t>(matrix * view.rows + r) * out.rowBytes;
  }

  // Calls fill(panel, matrix, first row, rows) for every tile. Rows that do not exist stay zero.
  template <class Fill>
  void forTiles(const Fill& fill) {
    threads.parallelFor(static_cast<int>(view.depth) * out.tiles, [&](int tile, int) {
      if (cancelled.load(std::memory_order_relaxed)) return;
      const int64_t first = static_cast<int64_t>(tile % out.tiles) * kernels.nr;
      const int rows = static_cast<int>(std::min<int64_t>(kernels.nr, view.rows - first));
      uint8_t* panel = out.data.as<uint8_t>() + out.panels.tileBytes * static_cast<size_t>(tile);
      fill(panel, tile / out.tiles, first, rows);
    });
  }
};

// [row][k] to [k][nr], some k at a time so that what is written stays in L1, and as many rows as
// make 8 bytes.
template <class T>
void packFloats(Packing& p) {
  constexpr int64_t piece = 128;
  constexpr int side = 8 / sizeof(T);
  const int64_t nr = p.kernels.nr, cols = p.view.cols;
  p.forTiles([&](uint8_t* panel, int matrix, int64_t first, int rows) {
    for (int64_t c = 0; c < cols; c += piece) {
      const int64_t count = std::min(piece, cols - c);
      for (int r = 0; r < rows; r += side) {
        T values[side][piece] = {};
        for (int i = 0; i < side && r + i < rows; i++) {
          std::memcpy(values[i], p.row(matrix, first + r + i) + static_cast<size_t>(c) * sizeof(T),
                      static_cast<size_t>(count) * sizeof(T));
        }
        uint8_t* out = panel + static_cast<size_t>(c * nr + r) * sizeof(T);
        for (int64_t k = 0; k < count; k++, out += static_cast<size_t>(nr) * sizeof(T)) {
          uint64_t packed = 0;
          for (int i = 0; i < side; i++) packed |= uint64_t{values[i][k]} << 64 / side * i;
          std::memcpy(out, &packed, sizeof packed);
        }
      }
    }
  });
}

template <class T>
T loadAs(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// The 32 codes of one row into the planes of its group: `out` is the row's 4 bytes of the first
// plane, `step` the bytes of a k step of all rows. Four codes at a time, their bits side by side.
template <int bits>
void storePlanes(const uint8_t* code, uint8_t* out, size_t step, [[maybe_unused]] uint32_t flip) {
  const auto store = [&](uint32_t value) {
    std::memcpy(out, &value, 4);
    out += step;
  };
  if constexpr (bits == 8) {
    for (int s = 0; s < 8; s++) store(loadAs<uint32_t>(code + 4 * s) ^ flip);
    return;
  }
  constexpr int low = bits >= 4 ? 4 : 0;
  if constexpr (low) {
    for (int j = 0; j < 4; j++) {  // step 2j in the low half of x, step 2j + 1 in the high half
      const uint64_t x = loadAs<uint64_t>(code + 8 * j) & 0x0F0F0F0F0F0F0F0F;
      store(static_cast<uint32_t>(x | x >> 28));
    }
  }
  if constexpr (bits & 2) {
    for (int j = 0; j < 2; j++) {
      uint32_t plane = 0;
      for (int s = 0; s < 4; s++) {
        plane |= (loadAs<uint32_t>(code + 16 * j + 4 * s) >> low & 0x03030303) << 2 * s;
      }
      store(plane);
    }
  }
  if constexpr (bits & 1) {
    uint32_t plane = 0;
    for (int s = 0; s < 8; s++) {
      plane |= (loadAs<uint32_t>(code + 4 * s) >> (bits - 1) & 0x01010101) << s;
    }
    store(plane);
  }
}

template <int bits>
void packCodes(Packing& p) {
  const Panels& w = p.out.panels;
  const TypeInfo& info = typeInfo(p.view.type);
  const size_t nr = static_cast<size_t>(p.kernels.nr), step = 4 * nr;
  const uint32_t flip = p.kernels.signedCodes ? 0x80808080 : 0;
  p.forTiles([&](uint8_t* panel, int matrix, int64_t first, int rows) {
    uint8_t code[kPiece];
    int8_t scale[kPiece / 16], minimum[kPiece / 16];
    uint16_t d[kPiece / 32], m[kPiece / 32];
    // (count) numbers of row r to [count][nr], from number `from` on.
    const auto spread = [&](size_t part, const auto* values, size_t from, size_t count, size_t r) {
      auto* out = reinterpret_cast<std::remove_cvref_t<decltype(*values)>*>(panel + part);
      for (size_t i = 0; part && i < count; i++) out[(from + i) * nr + r] = values[i];
    };
    for (int64_t c = 0; c < w.cols; c += kPiece) {
      const int64_t count = std::min<int64_t>(kPiece, w.cols - c);
      const size_t from = static_cast<size_t>(c), n = static_cast<size_t>(count);
      const size_t group = info.group, block = info.blockSize;
      for (size_t r = 0; r < static_cast<size_t>(rows); r++) {
        const uint8_t* row = p.row(matrix, first + static_cast<int64_t>(r));
        decodeCodes(info.type, row + rowBytes(info.type, c), count, {code, scale, minimum, d, m});
        uint8_t* planes = panel + from * nr * bits / 8 + 4 * r;
        for (size_t k = 0; k < n; k += 32, planes += bits * step) {
          storePlanes<bits>(code + k, planes, step, flip);
        }
        spread(w.dAt, d, from / block, n / block, r);
        spread(w.mAt, m, from / block, n / block, r);
        spread(w.scaleAt, scale, from / group, n / group, r);
        spread(w.minimumAt, minimum, from / group, n / group, r);
      }
    }
  });
}

void packPanels(Packing& p) {
  switch (p.out.panels.element) {
    case Element::f32: return packFloats<uint32_t>(p);
    case Element::f16:
    case Element::bf16: return packFloats<uint16_t>(p);
    case Element::coded: break;
  }
  switch (p.out.panels.bits) {
    case 2: return packCodes<2>(p);
    case 3: return packCodes<3>(p);
    case 4: return packCodes<4>(p);
    case 5: return packCodes<5>(p);
    case 6: return packCodes<6>(p);
    default: return packCodes<8>(p);
  }
}

bool isMatrix(Use use) { return use == Use::matrix || use == Use::precise || use == Use::experts; }

// A weight with everything but its data, and in `bytes` what that will take.
std::unique_ptr<CpuWeight> describe(const TensorView& view, Use use, const Kernels& kernels) {
  const TypeInfo* info = typeInfo(static_cast<uint32_t>(view.type));
  if (!info) {
    throw Error(Code::unsupportedType, "Tensor '" + view.name +
                                           "' has a type this build does not " +
                                           "know. Known: " + supportedTypes() + ".");
  }
  auto weight = std::make_unique<CpuWeight>();
  weight->describe(view, use);
  weight->type = view.type;
  weight->nr = kernels.nr;
  weight->rowBytes = rowBytes(view.type, view.cols);
  weight->bytes = use == Use::vector ? static_cast<size_t>(view.elements()) * sizeof(float)
                                     : weight->rowBytes * static_cast<size_t>(view.rows);
  if (!isMatrix(use)) return weight;

  const int64_t tiles = (view.rows + kernels.nr - 1) / kernels.nr;
  constexpr int64_t most = std::numeric_limits<int32_t>::max() / 2;
  if (view.cols > most || tiles * view.depth >= (1 << 24) || view.rows > most) {
    throw Error(Code::badGguf, "Tensor '" + view.name +
                                   "' is too large: " + std::to_string(view.rows) + " rows of " +
                                   std::to_string(view.cols) + ", times " +
                                   std::to_string(view.depth) + ".");
  }
  weight->tiles = static_cast<int>(tiles);
  weight->panels = layOut(*info, use, view.cols, kernels);
  weight->bytes = weight->panels.tileBytes * static_cast<size_t>(tiles * view.depth);
  return weight;
}

// Column `column` of a tile, from the planes.
void decodeColumn(const CpuWeight& w, const uint8_t* tile, size_t column, float* out) {
  const Panels& p = w.panels;
  const TypeInfo& info = typeInfo(w.type);
  const size_t nr = static_cast<size_t>(w.nr), step = 4 * nr;
  const size_t groupBytes = static_cast<size_t>(p.bits) * step;
  const int low = p.bits >= 4 ? 4 : 0;
  // d or m of the block of k, times its group's integer if there is one.
  const auto number = [&](size_t half, size_t integer, int64_t k) {
    const size_t block = static_cast<size_t>(k / p.block), group = static_cast<size_t>(k / p.group);
    const float value = halfToFloat(loadAs<uint16_t>(tile + half + 2 * (block * nr + column)));
    if (!integer) return value;
    return value * static_cast<float>(loadAs<int8_t>(tile + integer + group * nr + column));
  };
  float scale = 0, offset = 0;
  for (int64_t k = 0; k < w.cols; k++) {
    if (k % p.group == 0) {
      scale = number(p.dAt, p.scaleAt, k);
      offset = p.mAt ? number(p.mAt, p.minimumAt, k) : 0;
    }
    const uint8_t* plane = tile + groupBytes * static_cast<size_t>(k / 32) + 4 * column + k % 4;
    const size_t s = static_cast<size_t>(k % 32 / 4);
    int q;
    if (p.bits == 8) {
      q = p.zero ? plane[s * step] - p.zero : static_cast<int8_t>(plane[s * step]);
    } else {
      q = 0;
      if (low) q = plane[s / 2 * step] >> 4 * (s % 2) & 15;
      if (p.bits & 2)
        q |= (plane[(static_cast<size_t>(low) + s / 4) * step] >> 2 * (s % 4) & 3) << low;
      if (p.bits & 1) {
        q |= (plane[static_cast<size_t>(p.bits - 1) * step] >> s & 1) << (p.bits - 1);
      }
      q = p.nonlinear ? nonlinearLevels[q] : q - info.zero;
    }
    out[k] = scale * static_cast<float>(q) + offset;
  }
}

template <class T, class Convert>
void gather(const uint8_t* tile, int64_t nr, int64_t column, int64_t cols, float* out,
            const Convert& convert) {
  for (int64_t k = 0; k < cols; k++) {
    out[k] = convert(loadAs<T>(tile + static_cast<size_t>(k * nr + column) * sizeof(T)));
  }
}

}  // namespace

size_t packedBytes(const TensorView& view, Use use, const Kernels& kernels) {
  return describe(view, use, kernels)->bytes;
}

WeightPtr pack(const TensorView& view, Use use, const Kernels& kernels, Threads& threads,
               const std::atomic<bool>& cancelled) {
  std::unique_ptr<CpuWeight> weight = describe(view, use, kernels);
  weight->data = Pages(weight->bytes);
  if (isMatrix(use)) {
    weight->panels.data = weight->data.as<uint8_t>();
    Packing packing{view, kernels, *weight, threads, cancelled};
    packPanels(packing);
  } else if (use == Use::table) {
    std::memcpy(weight->data.as<void>(), view.data, weight->bytes);
  } else {
    lacuna::decodeRow(view.type, view.data, view.elements(), weight->data.as<float>());
  }
  if (cancelled) throw Error(Code::aborted, "Loading was aborted.");
  return weight;
}

void decodeRow(const CpuWeight& w, int64_t row, float* out) {
  if (w.use == Use::table) {
    const uint8_t* data = w.data.as<uint8_t>() + static_cast<size_t>(row) * w.rowBytes;
    return lacuna::decodeRow(w.type, data, w.cols, out);
  }
  const uint8_t* tile = w.panels.data + w.panels.tileBytes * static_cast<size_t>(row / w.nr);
  const int64_t column = row % w.nr;
  switch (w.panels.element) {
    case Element::coded: return decodeColumn(w, tile, static_cast<size_t>(column), out);
    case Element::f32:
      return gather<float>(tile, w.nr, column, w.cols, out, [](float a) { return a; });
    case Element::f16: return gather<uint16_t>(tile, w.nr, column, w.cols, out, halfToFloat);
    case Element::bf16: return gather<uint16_t>(tile, w.nr, column, w.cols, out, bfloatToFloat);
  }
}

}  // namespace lacuna::cpu
