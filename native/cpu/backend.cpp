#include "backend.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "../error.h"
#include "../model/model.h"
#include "../quant/quant.h"
#include "dispatch.h"

namespace lacuna::cpu {
namespace {

struct PagedMemory : Memory {
  // Vectors that begin inside may end outside.
  explicit PagedMemory(size_t floats) : pages((floats + kPlaneRows) * sizeof(float)) {
    data = pages.as<float>();
    count = floats;
  }
  Pages pages;
};

constexpr int kRowChunk = 8;  // rows per chunk of the row-by-row verbs

int chunksOf(int n, int size) { return (n + size - 1) / size; }

}  // namespace

CpuBackend::CpuBackend(int threads, const Kernels& kernels) : kernels(kernels), pool(threads) {}

std::string CpuBackend::name() const {
  const int n = pool.count();
  return std::string("cpu (") + kernels.title + ", " + std::to_string(n) +
         (n == 1 ? " thread)" : " threads)");
}

MemoryPtr CpuBackend::alloc(size_t floats, const Memory* source) {
  auto memory = std::make_unique<PagedMemory>(floats);
  if (source && floats > 0) std::memcpy(memory->data, source->data, floats * sizeof(float));
  return memory;
}

WeightPtr CpuBackend::upload(const TensorView& view, Use use, const std::atomic<bool>& cancelled) {
  return pack(view, use, kernels, pool, cancelled);
}

void CpuBackend::begin() {
  times = {};
  quantisedOf = {};
}

void CpuBackend::embed(Tensor x, const Weight& table, std::span<const int32_t> tokens,
                       std::span<const SoftRow> soft, std::span<const Segment>) {
  const Stopwatch watch(times.embed);
  const CpuWeight& w = cpuWeight(table);
  const auto decode = [&](int32_t token, float* out) { decodeRow(w, token, out); };
  wrote();
  pool.parallelFor(chunksOf(x.rows, kRowChunk), [&](int chunk, int) {
    const int first = chunk * kRowChunk, last = std::min(x.rows, first + kRowChunk);
    for (int i = first; i < last; i++) decode(tokens[i], x.slice(i, 1).data);
  });
  const size_t dim = static_cast<size_t>(x.cols);
  float* work = softRows.get<float>(dim * 2 * static_cast<size_t>(pool.count()));
  pool.parallelFor(static_cast<int>(soft.size()), [&](int i, int thread) {
    const SoftRow& s = soft[i];
    float* out = x.slice(s.row, 1).data;
    decode(s.mask, out);
    if (s.alpha == 0) return;  // the mask's own row, bit for bit
    float *mixed = work + dim * 2 * static_cast<size_t>(thread), *row = mixed + dim;
    std::fill_n(mixed, dim, 0.0f);
    for (int j = 0; j < s.count; j++) {
      decode(s.tokens[j], row);
      kernels.axpy(mixed, s.weights[j], row, x.cols);
    }
    for (int c = 0; c < x.cols; c++) out[c] = (1.0f - s.alpha) * out[c] + s.alpha * mixed[c];
  });
}

void CpuBackend::norm(Tensor y, Tensor x, const Weight& scale, float eps,
                      std::span<const int32_t> rows) {
  const Stopwatch watch(times.norm);
  const float* factors = cpuWeight(scale).vector();
  wrote();
  // Rows can be heads of 64 columns: a chunk is some 8 K columns.
  const int size = std::max(1, 8192 / std::max(1, x.cols));
  pool.parallelFor(chunksOf(y.rows, size), [&](int chunk, int) {
    const int first = chunk * size, last = std::min(y.rows, first + size);
    for (int i = first; i < last; i++) {
      const float* in = x.slice(rows.empty() ? i : rows[i], 1).data;
      kernels.norm(y.slice(i, 1).data, in, factors, x.cols, eps);
    }
  });
}

Quantised CpuBackend::quantise(const float* x, int n, const Panels& w) {
  const QuantisedOf wanted{x, n, w.cols, w.precise};
  if (wanted.firstOf(quantisedOf)) return quantised;
  const int cols = w.cols;
  const size_t rows = static_cast<size_t>(n), width = static_cast<size_t>(cols);
  int8_t* q = quantisedBytes.get<int8_t>(rows * width);
  int8_t* fine = w.precise ? quantisedFine.get<int8_t>(rows * width) : nullptr;
  float* scale = quantisedScales.get<float>(rows * width / 32);
  int32_t* sum16 = quantisedSums16.get<int32_t>(rows * width / 16);
  int32_t* sum32 = quantisedSums32.get<int32_t>(rows * width / 32);
  pool.parallelFor(chunksOf(n, kRowChunk), [&](int chunk, int) {
    const int first = chunk * kRowChunk, last = std::min(n, first + kRowChunk);
    for (int i = first; i < last; i++) {
      const int64_t row = i;
      kernels.quantise(x + row * cols, cols, q + row * cols, fine ? fine + row * cols : nullptr,
                       scale + row * (cols / 32), sum16 + row * (cols / 16),
                       sum32 + row * (cols / 32));
    }
  });
  quantised = {q, fine, scale, sum16, sum32};
  quantisedOf = wanted;
  return quantised;
}

void CpuBackend::multiply(const Gemm& whole) {
  if (whole.rows == 0) return;  // the last layer of a step that reports nothing
  const int tiles = whole.lastTile - whole.firstTile, threads = pool.count();
  const int tileChunks = std::min(tiles, threads * 4);
  int rowChunks = 1;  // only where there are too few tiles for the threads
  while (tileChunks * rowChunks < threads * 2 && whole.rows / (rowChunks + 1) >= 24) rowChunks++;
  pool.parallelFor(tileChunks * rowChunks, [&](int chunk, int) {
    const int t = chunk % tileChunks, r = chunk / tileChunks;
    const int64_t first = int64_t{tiles} * t / tileChunks;
    const int64_t last = int64_t{tiles} * (t + 1) / tileChunks;
    const int64_t row = int64_t{whole.rows} * r / rowChunks;
    const int column = static_cast<int>(first) * kernels.nr;
    Gemm part = whole;
    part.firstTile = whole.firstTile + static_cast<int>(first);
    part.lastTile = whole.firstTile + static_cast<int>(last);
    part.columns = std::min(whole.columns - column, static_cast<int>(last - first) * kernels.nr);
    part.rows = static_cast<int>(int64_t{whole.rows} * (r + 1) / rowChunks - row);
    part.y = whole.y + row * whole.yStride + column;
    if (whole.bias) part.bias = whole.bias + column;
    part.input = slice(whole.input, *whole.w, row);
    kernels.gemm(part);
  });
}

GemmInput CpuBackend::input(const float* x, int n, const Panels& w) {
  GemmInput in;
  if (w.element == Element::coded) {
    in.quantised = quantise(x, n, w);
  } else {
    in.x = x;
  }
  return in;
}

void CpuBackend::linear(Tensor y, Tensor x, const Weight& w, const Weight* bias,
                        Epilogue epilogue) {
  const Stopwatch watch(times.linear);
  const CpuWeight& weight = cpuWeight(w);
  Gemm g;
  g.w = &weight.panels;
  g.lastTile = weight.tiles;
  g.columns = static_cast<int>(weight.rows);
  g.rows = y.rows;
  g.input = input(x.data, y.rows, weight.panels);
  g.y = y.data;
  g.yStride = y.cols;
  g.bias = bias ? cpuWeight(*bias).vector() : nullptr;
  g.finish = epilogue == Epilogue::store ? Finish::store
             : epilogue == Epilogue::add ? Finish::add
                                         : Finish::glu;
  multiply(g);
  // The quantised rows stay good for the next product of x, unless that is what was written.
  if (y.data == x.data || quantisedOf.x == y.data) wrote();
}

void CpuBackend::rope(Tensor x, int headDim, std::span<const int32_t> positions, const Rope& rope) {
  const Stopwatch watch(times.rope);
  wrote();
  const int dims = rope.dims, width = rope.interleaved ? dims : dims / 2;
  prepareRope(positions, rope);
  pool.parallelFor(chunksOf(x.rows, kRowChunk), [&](int chunk, int) {
    const int first = chunk * kRowChunk, last = std::min(x.rows, first + kRowChunk);
    for (int i = first; i < last; i++) {
      const float* cosines = ropeCosines.data() + static_cast<size_t>(i) * width;
      const float* sines = ropeSines.data() + static_cast<size_t>(i) * width;
      float* row = x.slice(i, 1).data;
      for (int c = 0; c < x.cols; c += headDim) {
        if (rope.interleaved) {
          kernels.ropePairs(row + c, cosines, sines, dims);
        } else {
          kernels.ropeHalf(row + c, cosines, sines, dims);
        }
      }
    }
  });
}

void CpuBackend::prepareRope(std::span<const int32_t> positions, const Rope& rope) {
  const bool same = rope.interleaved == ropeOf.interleaved && rope.dims == ropeOf.dims &&
                    rope.magnitude == ropeOf.magnitude && rope.frequencies == ropeOf.frequencies &&
                    positions.size() <= ropePositions.size() &&
                    std::equal(positions.begin(), positions.end(), ropePositions.begin());
  if (same) return;
  ropeOf = rope;
  ropePositions.assign(positions.begin(), positions.end());
  const int half = rope.dims / 2;
  const size_t width = static_cast<size_t>(rope.interleaved ? rope.dims : half);
  ropeCosines.resize(positions.size() * width);
  ropeSines.resize(positions.size() * width);
  pool.parallelFor(static_cast<int>(positions.size()), [&](int i, int) {
    float* cosines = ropeCosines.data() + static_cast<size_t>(i) * width;
    float* sines = ropeSines.data() + static_cast<size_t>(i) * width;
    for (int p = 0; p < half; p++) {
      const double angle = positions[i] * rope.frequencies[p];
      const float c = static_cast<float>(std::cos(angle) * rope.magnitude);
      const float s = static_cast<float>(std::sin(angle) * rope.magnitude);
      if (rope.interleaved) {
        cosines[2 * p] = cosines[2 * p + 1] = c;
        sines[2 * p] = -s;
        sines[2 * p + 1] = s;
      } else {
        cosines[p] = c;
        sines[p] = s;
      }
    }
  });
}

void CpuBackend::commit(CommitBatch& batch) {
  const Stopwatch watch(times.commit);
  Backend::commit(batch);
}

}  // namespace lacuna::cpu

namespace lacuna {

std::unique_ptr<Backend> makeCpuBackend(int threads, const std::string& isa) {
  const cpu::Kernels& kernels = cpu::kernelsFor(isa);
  if (threads <= 0) threads = static_cast<int>(std::thread::hardware_concurrency());
  return std::make_unique<cpu::CpuBackend>(std::max(threads, 1), kernels);
}

}  // namespace lacuna
