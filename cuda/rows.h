#pragma once
#include <cstdint>

// Arguments of norm_rope.cu.
namespace lacuna::cuda {

constexpr int kNormThreads = 256;

// y row i = x row rows[i] (rows null: row i) / rms · scale. Rows of more than kNormWarpCols columns
// have a block each, shorter ones (heads) a warp.
constexpr int kNormWarpCols = 512;
struct NormArguments {
  float* y;
  const float* x;
  const float* scale;   // (cols)
  const int32_t* rows;  // (count) or null
  int count, cols;
  float eps;
  int wide;  // 1: cols and every address are multiples of 4 floats
};

// table (positions, dims / 2) pairs of cos and sin, in doubles rounded once: angles of thousands of
// radians lose too much in f32.
struct RopeTableArguments {
  float* table;
  const int32_t* positions;   // (count)
  const double* frequencies;  // (half)
  int count, half;
  double magnitude;
};

// In place on x (count, heads · headDim), the first 2 · half columns of each head.
struct RopeArguments {
  float* x;
  const float* table;  // (count, half, 2)
  int count, heads, headDim, half;
  int interleaved;  // 1: pairs (2i, 2i + 1); 0: (i, i + half)
  int unused;
};

}  // namespace lacuna::cuda
