#pragma once
#include "gemm.h"
#include "matrix.cuh"
#include "mma.cuh"

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

// The sums of a warp, as the tensor cores lay them out: sum[i][j] are strip i and slice j, in it
// the rows g (twice) and g + 8 (twice) of the strip and the rows 2t and 2t + 1 of the slice.
template <int MT, int NT>
using Sums = float[MT][NT][4];

// ---- One brick
// -----------------------------------------------------------------------------------

// Plain multiplications and additions, in the order of k.
template <class F, int MT, int NT>
DEVICE void multiplyFloats(Sums<MT, NT>& sum, Shared<const unsigned char> w,
                           Shared<const unsigned char> x) {
  const int g = lane() / 4, t = lane() % 4;
  UNROLL_BY(1)
  for (int k = 0; k < depthOf(F::element) / 4; k++) {
    float4 a[MT][2], b[NT][2];
    UNROLL
    for (int i = 0; i < 2 * MT; i++)
      a[i / 2][i % 2] = as<const float4>(w + i / 2 * F::brickBytes)[k * 16 + g + i % 2 * 8];
    UNROLL
    for (int j = 0; j < 2 * NT; j++)
      b[j / 2][j % 2] = as<const float4>(x + j / 2 * kSliceBytes)[k * 8 + 2 * t + j % 2];
    UNROLL
    for (int i = 0; i < MT; i++) {
      UNROLL
      for (int j = 0; j < NT; j++) {
        UNROLL
        for (int c = 0; c < 4; c++) {
          const float4 p = a[i][c / 2], q = b[j][c % 2];
          float& s = sum[i][j][c];
          s = fmaf(p.x, q.x, s);
          s = fmaf(p.y, q.y, s);
          s = fmaf(p.z, q.z, s);
          s = fmaf(p.w, q.w, s);
        }
      }
    }
  }
}

template <class F, int MT, int NT>
DEVICE void multiplyHalves(Sums<MT, NT>& sum, Shared<const unsigned char> w,
                           Shared<const unsigned char> x, int terms) {
  UNROLL
  for (int k = 0; k < depthOf(F::element) / 16; k++) {
    uint32_t a[MT][4];
    UNROLL
    for (int i = 0; i < MT; i++) {
      const uint4 four = as<const uint4>(w + i * F::brickBytes)[k * 32 + lane()];
      a[i][0] = four.x, a[i][1] = four.y, a[i][2] = four.z, a[i][3] = four.w;
    }
    for (int term = 0; term < terms; term++) {
      UNROLL
      for (int j = 0; j < NT; j++) {
        const uint2 two = as<const uint2>(x + (j * terms + term) * kSliceBytes)[k * 32 + lane()];
        const uint32_t b[2] = {two.x, two.y};
        UNROLL
        for (int i = 0; i < MT; i++) mmaHalves(sum[i][j], a[i], b);
      }
    }
  }
}

// The scale of a row of x in 32 columns.
struct InputScale {
  float scale, shifted;  // shifted: −kMagic · scale
};

// sum += scale of w · scale of x · Σ code · q. The integers start at kMagicBits: read as floats
// they are kMagic + Σ. Scales of x have at most 22 bits, so that kMagic · scale is exact, and
// fma(integer, scale, −kMagic · scale) is scale · Σ rounded once: two instructions a sum, none of
// them a slow conversion.
DEVICE void addScaled(float (&sum)[4], const int (&c)[4], Pair scale, const InputScale (&x)[2]) {
  UNROLL
  for (int n = 0; n < 4; n++) {
    const float product = fmaf(__int_as_float(c[n]), x[n % 2].scale, x[n % 2].shifted);
    sum[n] = fmaf(product, n < 2 ? scale.low : scale.high, sum[n]);
  }
}

// The 32 columns from 32 s on, in parts (one or two) that share a scale.
template <class F, int MT, int NT>
DEVICE void multiplyGroups(Sums<MT, NT>& sum, const uint32_t (&a)[MT][4],
                           const Pair (&scale)[MT][32 / F::group], Shared<const unsigned char> x,
                           int stride, int s) {
  UNROLL
  for (int j = 0; j < NT; j++) {
    const Shared<const unsigned char> slice = x + j * stride;
    const uint2 two = as<const uint2>(slice)[s * 32 + lane()];
    const float2 scales = as<const float2>(slice + kScalesAt)[s * 4 + lane() % 4];
    const InputScale xs[2] = {{scales.x, -kMagic * scales.x}, {scales.y, -kMagic * scales.y}};
    UNROLL
    for (int part = 0; part < 32 / F::group; part++) {
      UNROLL
      for (int i = 0; i < MT; i++) {
        int c[4] = {kMagicBits, kMagicBits, kMagicBits, kMagicBits};
        if constexpr (F::group == 32) {
          const uint32_t b[2] = {two.x, two.y};
          mmaBytes32(c, a[i], b);
        } else {
          const uint32_t half[2] = {a[i][2 * part], a[i][2 * part + 1]};
          mmaBytes16(c, half, part ? two.y : two.x);
        }
        addScaled(sum[i][j], c, scale[i][part], xs);
      }
    }
  }
}

// Offsets times the sums of x, over the whole brick at once: one product of halves instead of a
// multiplication for every sum and group.
template <class F, int MT, int NT>
DEVICE void multiplyOffsets(Sums<MT, NT>& sum, const SuperScales (&super)[MT],
                            Shared<const unsigned char> w, Shared<const unsigned char> x,
                            int terms) {
  constexpr int bytes = sliceBytesRead(F::element, true);
  uint32_t a[MT][4];
  UNROLL
  for (int i = 0; i < MT; i++) readOffsets<F>(a[i], w + i * F::brickBytes);
  for (int term = 0; term < terms; term++) {
    UNROLL
    for (int j = 0; j < NT; j++) {
      const Shared<const unsigned char> slice = x + (j * terms + term) * bytes;
      const uint2 two = as<const uint2>(slice + kSumsAt)[lane()];
      const float2 factors = as<const float2>(slice + kFactorsAt)[lane() % 4];
      const uint32_t b[2] = {two.x, two.y};
      UNROLL
      for (int i = 0; i < MT; i++) {
        float c[4] = {};
        mmaHalves(c, a[i], b);
        UNROLL
        for (int n = 0; n < 4; n++) {
          const float factor = n % 2 ? factors.y : factors.x;
          float m = 1.0f;
          if constexpr (F::super) m = n < 2 ? super[i].m.low : super[i].m.high;
          sum[i][j][n] = fmaf(c[n] * factor, m, sum[i][j][n]);
        }
      }
    }
  }
}

template <class F, int MT, int NT>
DEVICE void multiplyCoded(Sums<MT, NT>& sum, Shared<const unsigned char> w,
                          Shared<const unsigned char> x, int terms) {
  constexpr int parts = 32 / F::group;
  constexpr int bytes = sliceBytesRead(F::element, F::offsets);
  SuperScales super[MT];
  UNROLL
  for (int i = 0; i < MT; i++) super[i] = readSuper<F>(w + i * F::brickBytes);
  UNROLL_BY(2)
  for (int s = 0; s < 4; s++) {
    uint32_t a[MT][4];
    Pair scale[MT][parts];
    UNROLL
    for (int i = 0; i < MT; i++) {
      const Shared<const unsigned char> brick = w + i * F::brickBytes;
      readCodes<F>(a[i], brick, s);
      UNROLL
      for (int p = 0; p < parts; p++) {
        scale[i][p] = readScale<F>(brick, super[i].d, s * parts + p);
      }
    }
    for (int term = 0; term < terms; term++) {
      multiplyGroups<F, MT, NT>(sum, a, scale, x + term * bytes, terms * bytes, s);
    }
  }
  if constexpr (F::offsets) multiplyOffsets<F, MT, NT>(sum, super, w, x, terms);
}

// `w`: the warp's first strip, `x`: its first slice.
template <class F, int MT, int NT>
DEVICE void multiplyBrick(Sums<MT, NT>& sum, Shared<const unsigned char> w,
                          Shared<const unsigned char> x, int terms) {
  if constexpr (F::element == Element::f32) {
    multiplyFloats<F, MT, NT>(sum, w, x);
  } else if constexpr (F::element == Element::f16) {
    multiplyHalves<F, MT, NT>(sum, w, x, terms);
  } else {
    multiplyCoded<F, MT, NT>(sum, w, x, terms);
  }
}

// ---- The tile
// ------------------------------------------------------------------------------------

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
