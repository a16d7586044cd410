// RMS norm of rows and heads, rotary embedding.
#include "device.cuh"
#include "rows.h"

namespace lacuna::cuda {

// The factor of a row of x from the lane's share of its squares; Width lanes share a row.
DEVICE float normFactor(float sum, const NormArguments& a) {
  return rsqrtf(sum / static_cast<float>(a.cols) + a.eps);
}

DEVICE const float* normRow(const NormArguments& a, int row) {
  return a.x + static_cast<int64_t>(a.rows ? a.rows[row] : row) * a.cols;
}

// Writes in · factor · scale for the columns first, first + step, …
DEVICE void normWrite(const NormArguments& a, const float* in, float* out, float factor, int first,
                      int step) {
  if (a.wide) {
    for (int c = first; c < a.cols / 4; c += step) {
      const float4 x = as<const float4>(in)[c], s = __ldg(as<const float4>(a.scale) + c);
      as<float4>(out)[c] = make_float4(x.x * factor * s.x, x.y * factor * s.y, x.z * factor * s.z,
                                       x.w * factor * s.w);
    }
  } else {
    for (int c = first; c < a.cols; c += step) out[c] = in[c] * factor * __ldg(a.scale + c);
  }
}

DEVICE float normSquares(const NormArguments& a, const float* in, int first, int step) {
  float sum = 0;
  if (a.wide) {
    for (int c = first; c < a.cols / 4; c += step) {
      const float4 x = as<const float4>(in)[c];
      sum += x.x * x.x + x.y * x.y + x.z * x.z + x.w * x.w;
    }
  } else {
    for (int c = first; c < a.cols; c += step) sum += in[c] * in[c];
  }
  return sum;
}

// A block per row. The second reading of the row comes from L1.
KERNEL(normRows, kNormThreads, NormArguments) {
  SHARED(float, work, 32);
  const int row = static_cast<int>(blockIdx.x), first = static_cast<int>(threadIdx.x);
  const float* in = normRow(a, row);
  const float sum = blockSum<float>(normSquares(a, in, first, kNormThreads), work);
  float* out = a.y + static_cast<int64_t>(row) * a.cols;
  normWrite(a, in, out, normFactor(sum, a), first, kNormThreads);
}

// A warp per row.
KERNEL(normHeads, kNormThreads, NormArguments) {
  const int row = static_cast<int>(blockIdx.x) * (kNormThreads / 32) + warp();
  if (row >= a.count) return;
  const float* in = normRow(a, row);
  const float sum = warpSum(normSquares(a, in, lane(), 32));
  float* out = a.y + static_cast<int64_t>(row) * a.cols;
  normWrite(a, in, out, normFactor(sum, a), lane(), 32);
}

// One thread per angle; once per step and set of positions.
KERNEL(ropeTable, kNormThreads, RopeTableArguments) {
  const int i = static_cast<int>(blockIdx.x) * kNormThreads + static_cast<int>(threadIdx.x);
  if (i >= a.count * a.half) return;
  const double angle = a.positions[i / a.half] * a.frequencies[i % a.half];
  as<float2>(a.table)[i] = make_float2(static_cast<float>(cos(angle) * a.magnitude),
                                       static_cast<float>(sin(angle) * a.magnitude));
}

// One thread per pair; blocks (row, pairs of a row).
KERNEL(ropeRows, kNormThreads, RopeArguments) {
  const int i = static_cast<int>(blockIdx.y) * kNormThreads + static_cast<int>(threadIdx.x);
  if (i >= a.heads * a.half) return;
  const int64_t row = blockIdx.x;
  const int head = i / a.half, p = i % a.half;
  const float2 turn = as<const float2>(a.table)[row * a.half + p];
  float* v = a.x + (row * a.heads + head) * a.headDim;
  float* first = v + (a.interleaved ? 2 * p : p);
  float* second = v + (a.interleaved ? 2 * p + 1 : p + a.half);
  const float x = *first, y = *second;
  *first = x * turn.x - y * turn.y;
  *second = x * turn.y + y * turn.x;
}

}  // namespace lacuna::cuda
