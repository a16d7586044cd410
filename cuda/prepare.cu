// Activations to bricks: see matrix.h.
#include "device.cuh"
#include "prepare.h"

namespace lacuna::cuda {
namespace {

// Where row `row` of the result comes from; null: zeros.
DEVICE const float* sourceRow(const PrepareArguments& a, int row) {
  if (row >= a.out.rows) return nullptr;
  const int from = a.source ? a.source[row] : row;
  return from < 0 ? nullptr : a.x + static_cast<int64_t>(from) * a.cols;
}

DEVICE float element(const PrepareArguments& a, const float* row, int column) {
  return row && column < a.cols ? row[column] : 0.0f;
}

// Columns [column, column + 4).
DEVICE float4 fourElements(const PrepareArguments& a, const float* row, int column) {
  if (a.wide && row && column < a.cols) return *as<const float4>(row + column);
  return make_float4(element(a, row, column), element(a, row, column + 1),
                     element(a, row, column + 2), element(a, row, column + 3));
}

DEVICE unsigned char* sliceBrick(const Prepared& out, int slice, int brick) {
  return out.bricks +
         (static_cast<int64_t>(slice) * out.depths + brick) * out.terms * out.sliceBytes;
}

// The sum, or the largest, over the 4 lanes of a row.
DEVICE float rowMax(float value) {
  value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, 1));
  return fmaxf(value, __shfl_xor_sync(kAllLanes, value, 2));
}
template <class T>
DEVICE T rowSum(T value) {
  value += __shfl_xor_sync(kAllLanes, value, 1);
  return value + __shfl_xor_sync(kAllLanes, value, 2);
}

// The bits that the products of brick.cuh can multiply exactly.
DEVICE float to22Bits(float value) { return __uint_as_float((__float_as_uint(value) + 2u) & ~3u); }

DEVICE float clamped(float steps) { return fminf(fmaxf(steps, -127.0f), 127.0f); }

// The power of two that brings `most` into [2^14, 2^15), near the largest half, and its inverse;
// within what f32 can hold both ways.
struct PowerOfTwo {
  float factor, inverse;
};
DEVICE PowerOfTwo towardsLargestHalf(float most) {
  const int exponent = static_cast<int>(__float_as_uint(most) >> 23) - 127;
  const int shift = most > 0 ? max(-100, min(100, 14 - exponent)) : 0;
  return {__int_as_float((127 + shift) << 23), __int_as_float((127 - shift) << 23)};
}

// One lane's 8 of the 32 columns of a row to one term: codes and scale. What each 16 columns stand
// for goes to `sums` (8 rows, 8).
DEVICE void storeTerm(unsigned char* brick, int s, const float (&steps)[8], float scale,
                      Shared<float> sums) {
  unsigned codes[2] = {0, 0};
  float total[2] = {0, 0};
  UNROLL
  for (int i = 0; i < 8; i++) {
    codes[i / 4] |= static_cast<unsigned>(static_cast<int>(steps[i]) & 255) << (8 * (i % 4));
    total[i / 4] += steps[i];
  }
  const int g = lane() / 4;
  total[0] = rowSum(total[0]) * scale;
  total[1] = rowSum(total[1]) * scale;
  as<uint2>(brick)[s * 32 + lane()] = make_uint2(codes[0], codes[1]);
  if (lane() % 4 == 0) {
    as<float>(brick + kScalesAt)[s * kSliceRows + g] = scale;
    sums[g * 8 + 2 * s] = total[0];
    sums[g * 8 + 2 * s + 1] = total[1];
  }
}

// One warp: the sums of a brick as halves in two terms.
DEVICE void storeSums(unsigned char* brick, Shared<const float> sums) {
  const int g = lane() / 4, t = lane() % 4;
  float first = sums[g * 8 + 2 * t], second = sums[g * 8 + 2 * t + 1];
  const PowerOfTwo power = towardsLargestHalf(rowMax(fmaxf(fabsf(first), fabsf(second))));
  first *= power.factor, second *= power.factor;
  const uint32_t coarse = packHalves(first, second);
  const uint32_t rest = packHalves(first - lowHalf(coarse), second - highHalf(coarse));
  as<uint2>(brick + kSumsAt)[lane()] = make_uint2(coarse, rest);
  if (t == 0) as<float>(brick + kFactorsAt)[g] = power.inverse;
}

}  // namespace

// Quantised per 32 columns. Grid: (bricks, slices); warp s has columns [32 s, 32 s + 32) of a
// brick.
KERNEL(prepareCoded, 128, PrepareArguments) {
  SHARED(float, sums, 2 * kSliceRows * 8);
  const int brick = static_cast<int>(blockIdx.x), slice = static_cast<int>(blockIdx.y);
  const int g = lane() / 4, t = lane() % 4, s = warp();
  const float* row = sourceRow(a, slice * kSliceRows + g);
  const int column = brick * depthOf(Element::coded) + 32 * s + 4 * t;
  const float4 low = fourElements(a, row, column), high = fourElements(a, row, column + 16);
  const float x[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
  float most = 0;
  UNROLL
  for (int i = 0; i < 8; i++) most = fmaxf(most, fabsf(x[i]));
  most = rowMax(most);
  // Too small or too large to invert: zeros.
  const bool usable = most > 1e-35f && most < 1e34f;
  const float rate = usable ? 127.0f / most : 0.0f;
  float steps[8], rest[8];
  float xq = 0, qq = 0;
  UNROLL
  for (int i = 0; i < 8; i++) {
    // fmaxf and fminf make a NaN a number, which converts to an integer.
    const float exact = usable ? clamped(x[i] * rate) : 0.0f;
    steps[i] = rintf(exact);
    rest[i] = rintf(clamped((exact - steps[i]) * 256.0f));
    xq += x[i] * steps[i];
    qq += steps[i] * steps[i];
  }
  unsigned char* out = sliceBrick(a.out, slice, brick);
  if (a.out.terms == 1) {
    xq = rowSum(xq), qq = rowSum(qq);  // the scale that fits these steps best
    storeTerm(out, s, steps, usable ? to22Bits(xq / qq) : 0.0f, sums);
  } else {
    const float scale = usable ? to22Bits(most / 127.0f) : 0.0f;
    storeTerm(out, s, steps, scale, sums);
    storeTerm(out + a.out.sliceBytes, s, rest, scale * (1.0f / 256.0f), sums + kSliceRows * 8);
  }
  __syncthreads();
  if (s < a.out.terms) storeSums(out + s * a.out.sliceBytes, sums + s * kSliceRows * 8);
}

// Halves, each row times a power of two that brings its largest value near the largest half, so
// that nothing overflows and little is lost below. Grid: rows of all slices.
KERNEL(prepareHalves, kPrepareThreads, PrepareArguments) {
  SHARED(float, largest, kPrepareThreads / 32);
  const int number = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  const float* row = sourceRow(a, number);
  float most = 0;
  for (int c = 4 * thread; c < a.cols; c += 4 * kPrepareThreads) {
    const float4 x = fourElements(a, row, c);
    most = fmaxf(most, fmaxf(fmaxf(fabsf(x.x), fabsf(x.y)), fmaxf(fabsf(x.z), fabsf(x.w))));
  }
  most = warpMax(most);
  if (lane() == 0) largest[warp()] = most;
  __syncthreads();
  most = warpMax(lane() < kPrepareThreads / 32 ? static_cast<float>(largest[lane()]) : 0.0f);
  const PowerOfTwo power = towardsLargestHalf(most);
  if (thread == 0) a.out.rowScale[number] = power.inverse;

  const int g = number % kSliceRows, t = thread % 4;
  for (int k = thread / 4; k < a.out.depths * 4; k += kPrepareThreads / 4) {  // 16 columns
    const int column = 16 * k + 2 * t;
    float x[4] = {element(a, row, column), element(a, row, column + 1), element(a, row, column + 8),
                  element(a, row, column + 9)};
    UNROLL
    for (float& value : x) value *= power.factor;
    unsigned char* out = sliceBrick(a.out, number / kSliceRows, k / 4);
    for (int term = 0; term < a.out.terms; term++) {
      const uint2 halves = make_uint2(packHalves(x[0], x[1]), packHalves(x[2], x[3]));
      as<uint2>(out + term * kSliceBytes)[k % 4 * 32 + g * 4 + t] = halves;
      x[0] -= lowHalf(halves.x), x[1] -= highHalf(halves.x);  // what is left over
      x[2] -= lowHalf(halves.y), x[3] -= highHalf(halves.y);
    }
  }
}

// Copies. Grid: (bricks, slices); a thread has 4 columns of a row.
KERNEL(prepareFloats, 64, PrepareArguments) {
  const int brick = static_cast<int>(blockIdx.x), slice = static_cast<int>(blockIdx.y);
  const int k = static_cast<int>(threadIdx.x) % 8, g = static_cast<int>(threadIdx.x) / 8;
  const float* row = sourceRow(a, slice * kSliceRows + g);
  const float4 x = fourElements(a, row, brick * depthOf(Element::f32) + 4 * k);
  as<float4>(sliceBrick(a.out, slice, brick))[k * kSliceRows + g] = x;
}

}  // namespace lacuna::cuda
