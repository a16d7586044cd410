// norm and rope.
#include "rows.h"

#include <algorithm>

#include "backend.h"

namespace lacuna::cuda {
namespace {

unsigned blocks(int64_t work, int perBlock) {
  return static_cast<unsigned>((work + perBlock - 1) / perBlock);
}

bool aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

}  // namespace

void CudaBackend::norm(Tensor y, Tensor x, const Weight& scale, float eps,
                       std::span<const int32_t> rows) {
  NormArguments a{};
  a.y = y.data;
  a.x = x.data;
  a.scale = cudaWeight(scale).vector();
  a.rows = rows.empty() ? nullptr : stage(rows);
  a.count = y.rows;
  a.cols = x.cols;
  a.eps = eps;
  a.wide = x.cols % 4 == 0 && aligned(y.data) && aligned(x.data);
  if (x.cols > kNormWarpCols) {
    launch(Verb::norm, "normRows", {static_cast<unsigned>(y.rows)}, kNormThreads, 0, a);
  } else {
    launch(Verb::norm, "normHeads", {blocks(y.rows, kNormThreads / 32)}, kNormThreads, 0, a);
  }
}

// One table serves all layers: they stage the same positions and frequencies.
const float* CudaBackend::ropeTable(std::span<const int32_t> positions, const Rope& rope) {
  const double* frequencies = stage(std::span<const double>(rope.frequencies));
  // The last layer's q has fewer rows than its k: the first rows of the same table.
  const bool first = ropeCosines && ropeFrequencies == frequencies &&
                     ropeMagnitude == rope.magnitude && positions.size() <= ropePositions.size() &&
                     std::equal(positions.begin(), positions.end(), ropePositions.begin());
  if (first) return ropeCosines;
  const int half = rope.dims / 2;
  float* table = scratch<float>(positions.size() * static_cast<size_t>(rope.dims));
  RopeTableArguments a{};
  a.table = table;
  a.positions = stage(positions);
  a.frequencies = frequencies;
  a.count = static_cast<int>(positions.size());
  a.half = half;
  a.magnitude = rope.magnitude;
  launch(Verb::rope, "ropeTable", {blocks(int64_t{a.count} * half, kNormThreads)}, kNormThreads, 0,
         a);
  ropeFrequencies = frequencies;
  ropeMagnitude = rope.magnitude;
  ropePositions.assign(positions.begin(), positions.end());
  return ropeCosines = table;
}

void CudaBackend::rope(Tensor x, int headDim, std::span<const int32_t> positions,
                       const Rope& rope) {
  if (x.rows == 0) return;
  RopeArguments a{};
  a.x = x.data;
  a.table = ropeTable(positions, rope);
  a.count = x.rows;
  a.heads = x.cols / headDim;
  a.headDim = headDim;
  a.half = rope.dims / 2;
  a.interleaved = rope.interleaved;
  const Grid grid{static_cast<unsigned>(a.count), blocks(int64_t{a.heads} * a.half, kNormThreads)};
  launch(Verb::rope, "ropeRows", grid, kNormThreads, 0, a);
}

}  // namespace lacuna::cuda
