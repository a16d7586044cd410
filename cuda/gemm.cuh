#pragma once
#include "brick.cuh"
#include "gemm.h"

// y = x · wᵀ, a block per tile: 128 rows of the weight are A of the tensor cores, `width` rows of x
// are B, so that few rows of x waste little. A stage of the pipeline is one brick of every strip
// and slice of the tile; cp.async keeps `stages` of them under way. Codes are decoded between
// shared memory and registers, once for all rows of x that a warp owns.
//
//   gemm<Format, Width>(a, finish)
//
// calls finish(const Outputs&) for every 32 rows of y; all threads of the block call it together
// and it may use barriers. Rows of the weight beyond its end and rows of x beyond its end are not
// in Outputs.
namespace lacuna::cuda {

// Some rows of y in shared memory: element (r, c) is values[r * kSlabStride + c].
struct Outputs {
  Shared<const float> values;
  int firstRow, rows;        // of y
  int firstColumn, columns;  // of y: rows of the weight
  int matrix;                // of a grouped product
};

// How a block's warps share its tile: each owns MT strips by NT slices.
template <Element element, int Width>
struct Warps {
  static constexpr bool wide = Width == 128;
  static constexpr int mt = wide && element != Element::coded ? 4 : 2;
  static constexpr int nt = !wide ? Width / kSliceRows : element == Element::f32 ? 4 : 8;
  static constexpr int down = kTileColumns / kStripRows / mt;
  static constexpr int across = Width / kSliceRows / nt;
  static constexpr int count = down * across;
  static_assert(count * 32 == gemmThreads(element, Width));
};

// Where a block works.
struct Place {
  const unsigned char *w, *x;  // first strip, first slice
  int strips, slices;          // how many there are from there on
  int firstBrick, bricks;      // of k
  int firstRow, rows;          // of x and y
  int firstColumn, columns;    // of y
  int matrix;
};

template <int Width>
DEVICE Place findPlace(const GemmArguments& a) {
  Place p{};
  p.firstRow = static_cast<int>(blockIdx.x) * Width;
  p.rows = min(Width, a.x.rows - p.firstRow);
  if (a.work) {
    const bool exists = static_cast<int>(blockIdx.x) < __ldg(a.workCount);
    const GemmWork work = exists ? a.work[blockIdx.x] : GemmWork{};
    p.matrix = work.matrix;
    p.firstRow = work.firstRow;
    p.rows = work.rows;
  }
  p.firstColumn = static_cast<int>(blockIdx.y) * kTileColumns;
  p.columns = min(kTileColumns, a.w.rows - p.firstColumn);
  const int strip = p.firstColumn / kStripRows, slice = p.firstRow / kSliceRows;
  p.strips = a.w.strips - strip;
  p.slices = a.x.slices - slice;
  p.w = a.w.bricks + p.matrix * a.w.matrixBytes +
        static_cast<int64_t>(strip) * a.w.depths * a.w.brickBytes;
  p.x = a.x.bricks + static_cast<int64_t>(slice) * a.x.depths * a.x.terms * a.x.sliceBytes;
  const int split = static_cast<int>(blockIdx.z);
  p.firstBrick = a.w.depths * split / a.splits;
  p.bricks = a.w.depths * (split + 1) / a.splits - p.firstBrick;
  return p;
}

// A whole warp copies `bytes` of the bricks of strips, or of slices, number warp(), warp() + Warps,
// …; those that do not exist repeat the last one, and what comes of them is never looked at. A
// slice has one or two `terms`, termBytes apart.
template <int Count, int Warps>
DEVICE void copyBricks(Shared<unsigned char> to, const unsigned char* from, int existing,
                       int64_t stride, int bytes, int terms, int termBytes) {
  for (int n = warp(); n < Count * terms; n += Warps) {
    const int brick = n >> (terms - 1), term = n & (terms - 1);
    const unsigned char* source = from + min(brick, existing - 1) * stride + term * termBytes;
    for (int at = lane() * 16; at < bytes; at += 512) {
      copyAsync<16>(to + n * bytes + at, source + at);
    }
  }
}

// Until the oldest of `stages` − 1 copies has arrived.
DEVICE void waitForStage(int stages) {
  if (stages == 2) {
    cpAsyncWait<0>();
  } else if (stages == 3) {
    cpAsyncWait<1>();
  } else {
    cpAsyncWait<2>();
  }
}

template <class F, int Width>
DEVICE void accumulate(Sums<Warps<F::element, Width>::mt, Warps<F::element, Width>::nt>& sum,
                       const GemmArguments& a, const Place& p, Shared<unsigned char> memory) {
  using W = Warps<F::element, Width>;
  constexpr int strips = kTileColumns / kStripRows, slices = Width / kSliceRows;
  constexpr int termBytes = sliceBytes(F::element);
  constexpr int termBytesRead = sliceBytesRead(F::element, F::offsets);
  const int xBytes = a.x.terms * termBytes, xBytesRead = a.x.terms * termBytesRead;
  const int stage = strips * F::brickBytes + slices * xBytesRead;
  const auto copy = [&](int n) {
    if (n < p.bricks) {
      const Shared<unsigned char> to = memory + n % a.stages * stage;
      const int64_t brick = p.firstBrick + n;
      copyBricks<strips, W::count>(to, p.w + brick * F::brickBytes, p.strips,
                                   static_cast<int64_t>(a.w.depths) * F::brickBytes, F::brickBytes,
                                   1, 0);
      copyBricks<slices, W::count>(to + strips * F::brickBytes, p.x + brick * xBytes, p.slices,
                                   static_cast<int64_t>(a.x.depths) * xBytes, termBytesRead,
                                   a.x.terms, termBytes);
    }
    cpAsyncCommit();  // an empty group where nothing is left, so that waiting counts the same
  };
  for (int n = 0; n < a.stages - 1; n++) copy(n);
  const int strip = warp() % W::down * W::mt, slice = warp() / W::down * W::nt;
  for (int n = 0; n < p.bricks; n++) {
    waitForStage(a.stages);
    __syncthreads();  // brick n is there for all, and all have done with the one before
    copy(n + a.stages - 1);
    const Shared<const unsigned char> from = memory + n % a.stages * stage;
    multiplyBrick<F, W::mt, W::nt>(sum, from + strip * F::brickBytes,
                                   from + strips * F::brickBytes + slice * xBytesRead, a.x.terms);
  }
}

// Adds the sums of all splits of a tile, in order, in the block that comes last: false in the
// others.
template <int MT, int NT>
DEVICE bool combineSplits(Sums<MT, NT>& sum, const GemmArguments& a) {
  SHARED(int, last, 1);
  const int tile = static_cast<int>(blockIdx.y * gridDim.x + blockIdx.x);
  const int threads = static_cast<int>(blockDim.x), thread = static_cast<int>(threadIdx.x);
  const auto place = [&](int split) {
    const int64_t number = static_cast<int64_t>(tile) * a.splits + split;
    return as<float4>(a.partial) + number * (MT * NT) * threads + thread;
  };
  float4* mine = place(static_cast<int>(blockIdx.z));
  UNROLL
  for (int i = 0; i < MT * NT; i++) {
    const float (&s)[4] = sum[i / NT][i % NT];
    mine[i * threads] = make_float4(s[0], s[1], s[2], s[3]);
  }
  __threadfence();
  __syncthreads();
  if (thread == 0) {
    last[0] = atomicAdd(a.tickets + tile, 1) == a.splits - 1;
    if (last[0]) a.tickets[tile] = 0;
  }
  __syncthreads();
  if (!last[0]) return false;
  __threadfence();
  UNROLL
  for (int i = 0; i < MT * NT; i++) {
    float (&s)[4] = sum[i / NT][i % NT];
    s[0] = s[1] = s[2] = s[3] = 0;
    for (int split = 0; split < a.splits; split++) {
      const float4 part = place(split)[i * threads];
      s[0] += part.x, s[1] += part.y, s[2] += part.z, s[3] += part.w;
    }
  }
  return true;
}

// The factors of rows that f16 has, of the weight and of x; 1 past the ends.
DEVICE float columnFactor(const GemmArguments& a, const Place& p, int column) {
  if (!a.w.rowScale || column >= p.columns) return 1.0f;
  const int64_t first = static_cast<int64_t>(p.matrix) * a.w.strips * kStripRows;
  return __ldg(a.w.rowScale + first + p.firstColumn + column);
}
DEVICE float rowFactor(const GemmArguments& a, const Place& p, int row) {
  return row < p.rows ? __ldg(a.x.rowScale + p.firstRow + row) : 1.0f;
}

// The warp's sums of the rows [first, first + kSlabRows) of the tile to shared memory.
template <class F, int Width>
DEVICE void writeSlab(const Sums<Warps<F::element, Width>::mt, Warps<F::element, Width>::nt>& sum,
                      const GemmArguments& a, const Place& p, int first, Shared<float> slab) {
  using W = Warps<F::element, Width>;
  const int g = lane() / 4, t = lane() % 4;
  UNROLL
  for (int j = 0; j < W::nt; j++) {
    const int row = (warp() / W::down * W::nt + j) * kSliceRows - first + 2 * t;
    if (row < 0 || row >= kSlabRows) continue;
    UNROLL
    for (int i = 0; i < W::mt; i++) {
      const int column = (warp() % W::down * W::mt + i) * kStripRows + g;
      UNROLL
      for (int n = 0; n < 4; n++) {
        const int r = row + n % 2, c = column + n / 2 * 8;
        float value = sum[i][j][n];
        if constexpr (F::element == Element::f16) {
          value *= rowFactor(a, p, first + r) * columnFactor(a, p, c);
        }
        slab[r * kSlabStride + c] = value;
      }
    }
  }
}

template <class F, int Width, class Finish>
DEVICE void gemm(const GemmArguments& a, const Finish& finish) {
  using W = Warps<F::element, Width>;
  SHARED_DYNAMIC(memory);
  const Place p = findPlace<Width>(a);
  if (p.rows <= 0) return;
  float sum[W::mt][W::nt][4] = {};
  accumulate<F, Width>(sum, a, p, memory);
  if (a.splits > 1 && !combineSplits<W::mt, W::nt>(sum, a)) return;
  const Shared<float> slab = as<float>(Shared<unsigned char>(memory));
  for (int first = 0; first < p.rows; first += kSlabRows) {
    __syncthreads();  // the bricks, or the slab before, have been read
    writeSlab<F, Width>(sum, a, p, first, slab);
    __syncthreads();
    finish(Outputs{slab, p.firstRow + first, min(kSlabRows, p.rows - first), p.firstColumn,
                   p.columns, p.matrix});
  }
}

}  // namespace lacuna::cuda
