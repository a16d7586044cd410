// What a card does at most: tensor cores fed from registers, memory read and copied.
#include "peak.h"

#include "mma.cuh"

namespace lacuna::cuda {

// Bits that look random and differ from lane to lane: on zeros a card draws less power and clocks
// higher than on data.
DEVICE uint32_t peakBits(int i) {
  uint32_t x = threadIdx.x * 64 + static_cast<uint32_t>(i) + blockIdx.x * 0x9E3779B9u;
  x = (x ^ x >> 16) * 0x7FEB352Du;
  x = (x ^ x >> 15) * 0x846CA68Bu;
  return x ^ x >> 16;
}
DEVICE uint32_t peakHalves2(int i) {  // two halves of 0.5 .. 1, either sign
  return (peakBits(i) & 0x83FF83FFu) | 0x38003800u;
}

DEVICE int peakIndex() { return static_cast<int>(blockIdx.x * kPeakThreads + threadIdx.x); }

KERNEL_BLOCKS(peakBytes, kPeakThreads, 2, PeakProductArguments) {
  uint32_t x[4], y[kPeakTiles][2];
  int sums[kPeakTiles][4] = {};
  UNROLL for (int i = 0; i < 4; i++) x[i] = peakBits(i);
  UNROLL for (int i = 0; i < 2 * kPeakTiles; i++) y[i / 2][i % 2] = peakBits(4 + i);
  for (int round = 0; round < a.rounds; round++) {
    UNROLL for (int i = 0; i < kPeakTiles; i++) mmaBytes32(sums[i], x, y[i]);
  }
  int all = 0;
  UNROLL for (int i = 0; i < 4 * kPeakTiles; i++) all ^= sums[i / 4][i % 4];
  a.out[peakIndex()] = all;
}

KERNEL_BLOCKS(peakHalves, kPeakThreads, 2, PeakProductArguments) {
  uint32_t x[4], y[kPeakTiles][2];
  float sums[kPeakTiles][4] = {};
  UNROLL for (int i = 0; i < 4; i++) x[i] = peakHalves2(i);
  UNROLL for (int i = 0; i < 2 * kPeakTiles; i++) y[i / 2][i % 2] = peakHalves2(4 + i);
  for (int round = 0; round < a.rounds; round++) {
    UNROLL for (int i = 0; i < kPeakTiles; i++) mmaHalves(sums[i], x, y[i]);
  }
  float all = 0;
  UNROLL for (int i = 0; i < 4 * kPeakTiles; i++) all += sums[i / 4][i % 4];
  a.out[peakIndex()] = all > 0 ? 1 : 2;
}

KERNEL_BLOCKS(peakFloats, kPeakThreads, 2, PeakProductArguments) {
  float sums[4 * kPeakTiles];
  const float x = lowHalf(peakHalves2(0)), y = lowHalf(peakHalves2(1));
  UNROLL for (int i = 0; i < 4 * kPeakTiles; i++) sums[i] = static_cast<float>(i);
  for (int round = 0; round < a.rounds; round++) {
    UNROLL for (int i = 0; i < 4 * kPeakTiles; i++) sums[i] = fmaf(sums[i], x, y);
  }
  float all = 0;
  UNROLL for (int i = 0; i < 4 * kPeakTiles; i++) all += sums[i];
  a.out[peakIndex()] = all > 0 ? 1 : 2;
}

// Four words under way for each thread.
KERNEL(peakCopy, kPeakThreads, PeakCopyArguments) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kPeakThreads;
  for (int64_t i = peakIndex(); i < a.words; i += 4 * step) {
    uint4 words[4];
    UNROLL for (int j = 0; j < 4; j++) {
      if (i + j * step < a.words) words[j] = loadOnce(as<const uint4>(a.from) + i + j * step);
    }
    UNROLL for (int j = 0; j < 4; j++) {
      if (i + j * step < a.words) as<uint4>(a.to)[i + j * step] = words[j];
    }
  }
}

KERNEL(peakRead, kPeakThreads, PeakCopyArguments) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kPeakThreads;
  uint32_t all = 0;
  for (int64_t i = peakIndex(); i < a.words; i += 8 * step) {
    UNROLL for (int j = 0; j < 8; j++) {
      if (i + j * step < a.words) {
        const uint4 word = loadOnce(as<const uint4>(a.from) + i + j * step);
        all ^= word.x ^ word.y ^ word.z ^ word.w;
      }
    }
  }
  a.to[peakIndex()] = all;
}

}  // namespace lacuna::cuda
