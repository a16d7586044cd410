#include "encode.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "fit.h"

// From numbers to codes, small scales and halves: one fit per kind of block.
namespace lacuna {

namespace {

float roundedHalf(float value, uint16_t& half) {
  half = floatToHalf(clamped(value, -largestHalf, largestHalf));
  return halfToFloat(half);
}

template <class Grid, int N>
void writeCodes(const Grouped<N>& x, const PerGroup<N>& scale, const PerGroup<N>& minimum,
                uint8_t* code) {
  PerGroup<N> inverse;
  inverses<N>(scale, inverse);
  for (int i = 0; i < N; ++i) {
    int codes[groupsOf<N>];
    for (int g = 0; g < groupsOf<N>; ++g)
      codes[g] = Grid::code((x[i][g] - minimum[g]) * inverse[g]);
    for (int g = 0; g < groupsOf<N>; ++g) code[g * N + i] = static_cast<uint8_t>(codes[g]);
  }
}

constexpr float infinite = std::numeric_limits<float>::max();

// ---- Blocks of one group -----------------------------------------------------------------------

struct Trials {
  int count;
  float reach;  // steps
};

template <class Grid, Trials trials>
void fitBlocks(const float* src, Codes out) {
  constexpr int n = 32;
  Grouped<n> x;
  PerGroup<n> scale, minimum{};
  gather<n>(src, x);
  fitScales<Grid, n>(x, trials.count, trials.reach, scale);
  for (int g = 0; g < groupsOf<n>; ++g) scale[g] = roundedHalf(scale[g], out.d[g]);
  writeCodes<Grid, n>(x, scale, minimum, out.code);
}

template <int Max, Trials trials>
void fitOffsetBlocks(const float* src, Codes out) {
  constexpr int n = 32;
  Grouped<n> x;
  PerGroup<n> scale, minimum;
  gather<n>(src, x);
  fitOffsets<Max, false, n>(x, trials.count, trials.reach, scale, minimum);
  for (int g = 0; g < groupsOf<n>; ++g) {
    scale[g] = roundedHalf(scale[g], out.d[g]);
    minimum[g] = roundedHalf(minimum[g], out.m[g]);
  }
  writeCodes<Even<0, Max>, n>(x, scale, minimum, out.code);
}

// ---- Superblocks -------------------------------------------------------------------------------

constexpr int superblocks = chunkSize / 256;
using PerSuperblock = float[superblocks];

template <int N>
inline constexpr int superblockOf(int group) {
  return group / (256 / N);
}

template <int N>
void times(const PerSuperblock& unit, const PerGroup<N>& integers, PerGroup<N>& values) {
  for (int s = 0, g = 0; s < superblocks; ++s)
    for (const int end = g + 256 / N; g < end; ++g) values[g] = unit[s] * integers[g];
}

// The integers nearest to values / unit.
template <int N>
void divided(const PerGroup<N>& values, const PerSuperblock& unit, float low, float high,
             PerGroup<N>& integers) {
  for (int g = 0; g < groupsOf<N>; ++g) {
    const float u = unit[superblockOf<N>(g)];
    integers[g] = u != 0 ? roundEven(clamped(values[g] / u, low, high)) : 0;
  }
}

// What a choice of integers leaves of a superblock's squares, and the sums for its best units.
struct Rest {
  double error = 0, uu = 0, uk = 0, kk = 0, xu = 0, xk = 0;
};

// Moves each group's integer to the neighbour that leaves the least error (here less the squares
// themselves, which are the same for all).
template <class Grid, int N, int Low, int High>
void refineScales(const Grouped<N>& x, const PerSuperblock& d, PerGroup<N>& integer,
                  Rest (&rest)[superblocks]) {
  constexpr int groups = groupsOf<N>;
  PerGroup<N> best, chosen{}, xq{}, qq{}, trial, value, inverse;
  for (int g = 0; g < groups; ++g) best[g] = infinite;
  for (int move = -1; move <= 1; ++move) {
    for (int g = 0; g < groups; ++g) trial[g] = clamped(integer[g] + move, Low, High);
    times<N>(d, trial, value);
    inverses<N>(value, inverse);
    const ScaleSums<N> sums = scaleSums<Grid, N>(x, inverse);
    for (int g = 0; g < groups; ++g) {
      const float error = value[g] * (value[g] * sums.qq[g] - 2 * sums.xq[g]);
      const bool better = error < best[g];
      best[g] = better ? error : best[g];
      chosen[g] = better ? trial[g] : chosen[g];
      xq[g] = better ? sums.xq[g] : xq[g];
      qq[g] = better ? sums.qq[g] : qq[g];
    }
  }
  for (int g = 0; g < groups; ++g) {
    const double l = integer[g] = chosen[g];
    Rest& all = rest[superblockOf<N>(g)];
    all.error += best[g];
    all.xu += l * xq[g];
    all.uu += l * l * qq[g];
  }
}

constexpr int rounds = 3;  // of integers for units, and units for integers

template <class Grid, int N, int Low, int High, Trials trials>
void fitSuperblocks(const float* src, Codes out) {
  constexpr int groups = groupsOf<N>;
  Grouped<N> x;
  PerGroup<N> scale, minimum{}, integer, kept{};
  PerSuperblock d{}, extreme{}, least{}, keptD{};
  uint16_t half[superblocks];
  gather<N>(src, x);
  fitScales<Grid, N>(x, trials.count, trials.reach, scale);
  for (int g = 0; g < groups; ++g) {
    float& most = extreme[superblockOf<N>(g)];
    if (scale[g] * scale[g] > most * most) most = scale[g];
  }
  for (int s = 0; s < superblocks; ++s) {
    d[s] = roundedHalf(extreme[s] / Low, half[s]);
    out.d[s] = 0;
  }
  divided<N>(scale, d, Low, High, integer);
  for (int round = 0; round < rounds; ++round) {
    Rest rest[superblocks];
    refineScales<Grid, N, Low, High>(x, d, integer, rest);
    for (int s = 0; s < superblocks; ++s) {
      const auto [error, uu, uk, kk, xu, xk] = rest[s];
      if (error >= least[s]) continue;
      least[s] = static_cast<float>(error);
      out.d[s] = half[s];
      keptD[s] = d[s];
      constexpr int each = 256 / N;
      std::copy_n(integer + s * each, each, kept + s * each);
      if (uu > 0) d[s] = roundedHalf(static_cast<float>(xu / uu), half[s]);
    }
  }
  times<N>(keptD, kept, scale);
  for (int g = 0; g < groups; ++g) out.scale[g] = static_cast<int8_t>(kept[g]);
  writeCodes<Grid, N>(x, scale, minimum, out.code);
}

// Superblocks with minima: x ≈ d · scale · code − m · minimum.
template <int N>
struct Pairs {
  PerSuperblock d{}, m{};
  PerGroup<N> scale{}, minimum{};
};

// As refineScales, for both integers of a group at once.
template <int Max, int N, int Top>
void refinePairs(const Grouped<N>& x, Pairs<N>& fit, Rest (&rest)[superblocks]) {
  constexpr int groups = groupsOf<N>;
  PerGroup<N> best, bestScale{}, bestMinimum{}, bestQ{}, bestQq{}, bestXq{}, sum{};
  for (int g = 0; g < groups; ++g) best[g] = infinite;
  for (int i = 0; i < N; ++i)
    for (int g = 0; g < groups; ++g) sum[g] += x[i][g];
  for (int move = 0; move < 9; ++move) {
    PerGroup<N> l, k, value, inverse, shift, error{}, q1{}, qq{}, xq{};
    for (int g = 0; g < groups; ++g) {
      l[g] = clamped(fit.scale[g] + static_cast<float>(move % 3 - 1), 0, Top);
      k[g] = clamped(fit.minimum[g] + static_cast<float>(move / 3 - 1), 0, Top);
    }
    times<N>(fit.d, l, value);
    times<N>(fit.m, k, shift);
    inverses<N>(value, inverse);
    for (int i = 0; i < N; ++i)
      for (int g = 0; g < groups; ++g) {
        const float y = x[i][g] + shift[g];
        const float q = roundEven(clamped(y * inverse[g], 0, Max));
        const float left = y - value[g] * q;
        error[g] += left * left;
        q1[g] += q;
        qq[g] += q * q;
        xq[g] += x[i][g] * q;
      }
    for (int g = 0; g < groups; ++g) {
      const bool better = error[g] < best[g];
      best[g] = better ? error[g] : best[g];
      bestScale[g] = better ? l[g] : bestScale[g];
      bestMinimum[g] = better ? k[g] : bestMinimum[g];
      bestQ[g] = better ? q1[g] : bestQ[g];
      bestQq[g] = better ? qq[g] : bestQq[g];
      bestXq[g] = better ? xq[g] : bestXq[g];
    }
  }
  for (int g = 0; g < groups; ++g) {
    const double l = fit.scale[g] = bestScale[g], k = fit.minimum[g] = bestMinimum[g];
    Rest& all = rest[superblockOf<N>(g)];
    all.error += best[g];
    all.uu += l * l * bestQq[g];
    all.uk += l * k * bestQ[g];
    all.kk += N * k * k;
    all.xu += l * bestXq[g];
    all.xk += k * sum[g];
  }
}

template <int Max, int N, int Top, Trials trials>
void fitOffsetSuperblocks(const float* src, Codes out) {
  constexpr int groups = groupsOf<N>, each = 256 / N;
  Grouped<N> x;
  PerGroup<N> scale, minimum;
  gather<N>(src, x);
  fitOffsets<Max, true, N>(x, trials.count, trials.reach, scale, minimum);
  Pairs<N> fit, kept;
  PerSuperblock least;
  uint16_t halfD[superblocks], halfM[superblocks];
  for (int g = 0; g < groups; ++g) minimum[g] = -minimum[g];
  for (int s = 0; s < superblocks; ++s) {
    const float *scales = scale + s * each, *minima = minimum + s * each;
    fit.d[s] = roundedHalf(*std::max_element(scales, scales + each) / Top, halfD[s]);
    fit.m[s] = roundedHalf(*std::max_element(minima, minima + each) / Top, halfM[s]);
    least[s] = infinite;
  }
  divided<N>(scale, fit.d, 0, Top, fit.scale);
  divided<N>(minimum, fit.m, 0, Top, fit.minimum);
  for (int round = 0; round < rounds; ++round) {
    Rest rest[superblocks];
    refinePairs<Max, N, Top>(x, fit, rest);
    for (int s = 0; s < superblocks; ++s) {
      const auto [error, uu, uk, kk, xu, xk] = rest[s];
      if (error >= least[s]) continue;
      least[s] = static_cast<float>(error);
      kept.d[s] = fit.d[s];
      kept.m[s] = fit.m[s];
      out.d[s] = halfD[s];
      out.m[s] = negated(halfM[s]);
      std::copy_n(fit.scale + s * each, each, kept.scale + s * each);
      std::copy_n(fit.minimum + s * each, each, kept.minimum + s * each);
      const double determinant = uu * kk - uk * uk;
      const double d = determinant > 0 ? (xu * kk - uk * xk) / determinant : uu > 0 ? xu / uu : 0;
      const double m = kk > 0 ? (d * uk - xk) / kk : 0;
      if (d <= 0 || m < 0) continue;
      fit.d[s] = roundedHalf(static_cast<float>(d), halfD[s]);
      fit.m[s] = roundedHalf(static_cast<float>(m), halfM[s]);
    }
  }
  times<N>(kept.d, kept.scale, scale);
  times<N>(kept.m, kept.minimum, minimum);
  for (int g = 0; g < groups; ++g) {
    minimum[g] = -minimum[g];
    out.scale[g] = static_cast<int8_t>(kept.scale[g]);
    out.minimum[g] = static_cast<int8_t>(kept.minimum[g]);
  }
  writeCodes<Even<0, Max>, N>(x, scale, minimum, out.code);
}

// ---- Types -------------------------------------------------------------------------------------

using Fit = void (*)(const float* src, Codes out);  // of chunkSize elements

Fit fitOf(Type type) {
  constexpr Trials none{1, 0}, few{9, 1}, usual{17, 1.2f};
  switch (type) {
    case Type::q4_0: return fitBlocks<Even<-8, 7>, usual>;
    case Type::q5_0: return fitBlocks<Even<-16, 15>, usual>;
    case Type::q8_0: return fitBlocks<Even<-127, 127, 128>, none>;
    case Type::iq4_nl: return fitBlocks<Bell, usual>;
    case Type::q4_1: return fitOffsetBlocks<15, usual>;
    case Type::q5_1: return fitOffsetBlocks<31, usual>;
    case Type::q2_K: return fitOffsetSuperblocks<3, 16, 15, usual>;
    case Type::q4_K: return fitOffsetSuperblocks<15, 32, 63, usual>;
    case Type::q5_K: return fitOffsetSuperblocks<31, 32, 63, few>;
    case Type::q3_K: return fitSuperblocks<Even<-4, 3>, 16, -32, 31, usual>;
    case Type::q6_K: return fitSuperblocks<Even<-32, 31>, 16, -128, 127, few>;
    case Type::iq4_xs: return fitSuperblocks<Bell, 32, -32, 31, usual>;
    case Type::f32:
    case Type::f16:
    case Type::bf16: break;
  }
  return nullptr;
}

void encodeQuantised(Type type, const float* src, int64_t n, uint8_t* dst) {
  const Fit fit = fitOf(type);
  float values[chunkSize];
  uint8_t code[chunkSize] = {};
  int8_t scales[chunkSize / 16] = {}, minima[chunkSize / 16] = {};
  uint16_t d[chunkSize / 32] = {}, m[chunkSize / 32] = {};
  const Codes codes{code, scales, minima, d, m};
  for (int64_t first = 0; first < n; first += chunkSize) {
    const int64_t count = std::min<int64_t>(chunkSize, n - first);
    std::copy_n(src + first, count, values);
    std::fill(values + count, values + chunkSize, 0.0f);
    fit(values, codes);
    encodeCodes(type, codes, count, dst);
    dst += rowBytes(type, count);
  }
}

void encodeWords(const float* src, int64_t n, uint8_t* dst, uint16_t (*word)(float)) {
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t bits = word(src[i]);
    std::memcpy(dst + 2 * i, &bits, sizeof bits);
  }
}

}  // namespace

void encodeRow(Type type, const float* src, int64_t n, uint8_t* dst) {
  switch (type) {
    case Type::f32: std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(float)); break;
    case Type::f16: encodeWords(src, n, dst, floatToHalf); break;
    case Type::bf16: encodeWords(src, n, dst, floatToBfloat); break;
    default: encodeQuantised(type, src, n, dst);
  }
}

}  // namespace lacuna
