#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "quant.h"

// Searches for the scales of groups of numbers. Groups lie side by side, x[element][group], so that
// every loop over groups is one over the lanes of a vector, whatever the instruction set.
//
// All searches minimise the plain squared error: for given codes the best scale (and minimum) is a
// linear least-squares problem, so a search proposes codes, by rounding with some trial scale, and
// keeps the ones whose best scale leaves the least error. Codes and scales improve each other in
// turn (Lloyd 1982, Least squares quantization in PCM).
namespace lacuna {

// Numbers below it are 0 in every type with half-float scales, whose least is 2^-24.
inline constexpr float vanishing = 1e-10f;

// Elements that are fitted at a time. With 32 groups or more compilers make vectors of a loop over
// them; a shorter one they unroll first, and then nothing comes of it.
inline constexpr int chunkSize = 1024;

template <int N>
inline constexpr int groupsOf = chunkSize / N;  // of N elements

template <int N>
using Grouped = float[N][groupsOf<N>];
template <int N>
using PerGroup = float[groupsOf<N>];

template <int N>
void gather(const float* src, Grouped<N>& x) {  // src (chunkSize), group after group
  for (int g = 0; g < groupsOf<N>; ++g)
    for (int i = 0; i < N; ++i) x[i][g] = src[g * N + i];
}

inline float clamped(float value, float low, float high) {
  const float raised = value > low ? value : low;
  return raised < high ? raised : high;
}

// ---- Grids: the numbers that codes stand for, times the scale
// -------------------------------------

// Both limits in one expression would be jumps to compilers, which see that the first decides the
// second, and jumps have no vectors.
template <int L>
void limit(float (&values)[L], float low, float high) {
  for (int g = 0; g < L; ++g) values[g] = values[g] > low ? values[g] : low;
  for (int g = 0; g < L; ++g) values[g] = values[g] < high ? values[g] : high;
}

template <int Low, int High, int Zero = -Low>
struct Even {  // Low … High; code Zero stands for 0
  static constexpr float low = Low;
  static constexpr float steps = -Low;  // between 0 and low
  template <int L>
  static void nearest(float (&values)[L]) {
    limit(values, Low, High);
    for (int g = 0; g < L; ++g) values[g] = roundEven(values[g]);
  }
  template <int L>
  static void codes(float (&values)[L]) {
    nearest(values);
    for (int g = 0; g < L; ++g) values[g] += Zero;
  }
};

// What entry(k) is for the level k that is nearest to a number, by quarters from the first level
// on. Middles between levels are multiples of ½, so that a quarter has one nearest level.
inline constexpr int quarters = 4 * (nonlinearLevels[15] - nonlinearLevels[0]) + 1;

template <class Entry>
constexpr std::array<float, quarters> byQuarters(const Entry& entry) {
  std::array<float, quarters> table{};
  for (int i = 0, k = 0; i < quarters; ++i) {
    const int doubled = 2 * nonlinearLevels[0] + i / 2;  // the number below, times 2
    while (k < 15 && doubled >= nonlinearLevels[k] + nonlinearLevels[k + 1]) ++k;
    table[static_cast<size_t>(i)] = entry(k);
  }
  return table;
}

inline constexpr auto bellLevels =
    byQuarters([](int k) { return static_cast<float>(nonlinearLevels[k]); });
inline constexpr auto bellCodes = byQuarters([](int k) { return static_cast<float>(k); });

struct Bell {  // nonlinearLevels
  static constexpr float low = nonlinearLevels[0];
  static constexpr float steps = 8;
  template <int L>
  static void nearest(float (&values)[L]) {
    lookUp(values, bellLevels);
  }
  template <int L>
  static void codes(float (&values)[L]) {
    lookUp(values, bellCodes);
  }

 private:
  template <int L>
  static void lookUp(float (&values)[L], const std::array<float, quarters>& table) {
    int index[L];
    limit(values, low, nonlinearLevels[15]);
    for (int g = 0; g < L; ++g) index[g] = static_cast<int>(4 * (values[g] - low));
    for (int g = 0; g < L; ++g) values[g] = table[static_cast<size_t>(index[g])];
  }
};

// ---- Scales alone ------------------------------------------------------------------------------

// Sums over each group for the codes that a trial scale's inverse gives.
template <int N>
struct ScaleSums {
  PerGroup<N> xq{}, qq{};
};

template <class Grid, int N>
ScaleSums<N> scaleSums(const Grouped<N>& x, const PerGroup<N>& inverse) {
  ScaleSums<N> sums;
  PerGroup<N> q;
  for (int i = 0; i < N; ++i) {
    for (int g = 0; g < groupsOf<N>; ++g) q[g] = x[i][g] * inverse[g];
    Grid::nearest(q);
    for (int g = 0; g < groupsOf<N>; ++g) {
      sums.xq[g] += x[i][g] * q[g];
      sums.qq[g] += q[g] * q[g];
    }
  }
  return sums;
}

template <int N>
void inverses(const PerGroup<N>& scale, PerGroup<N>& inverse) {
  for (int g = 0; g < groupsOf<N>; ++g) inverse[g] = scale[g] != 0 ? 1 / scale[g] : 0;
}

// Trial scales put the number of the largest magnitude up to `reach` steps inside or outside of the
// grid's longer end.
template <class Grid, int N>
void fitScales(const Grouped<N>& x, int trials, float reach, PerGroup<N>& scale) {
  constexpr int groups = groupsOf<N>;
  PerGroup<N> extreme{}, best{}, inverse;
  for (int i = 0; i < N; ++i)
    for (int g = 0; g < groups; ++g) {
      const float a = x[i][g] < 0 ? -x[i][g] : x[i][g];
      const float b = extreme[g] < 0 ? -extreme[g] : extreme[g];
      extreme[g] = a > b ? x[i][g] : extreme[g];
    }
  for (int g = 0; g < groups; ++g) {
    scale[g] = 0;
    const bool vanishes = extreme[g] < vanishing && extreme[g] > -vanishing;
    extreme[g] = vanishes ? 0 : 1 / extreme[g];
  }
  const auto attempt = [&] {
    const ScaleSums<N> sums = scaleSums<Grid, N>(x, inverse);
    for (int g = 0; g < groups; ++g) {
      const float fitted = sums.qq[g] > 0 ? sums.xq[g] / sums.qq[g] : 0;
      const float gain = fitted * sums.xq[g];
      scale[g] = gain > best[g] ? fitted : scale[g];
      best[g] = gain > best[g] ? gain : best[g];
    }
  };
  for (int t = 0; t < trials; ++t) {
    const float offset = trials > 1 ? reach * (2.0f * t / (trials - 1) - 1) : 0;
    const float end = Grid::low * (1 + offset / Grid::steps);
    for (int g = 0; g < groups; ++g) inverse[g] = end * extreme[g];
    attempt();
  }
  for (int again = 0; again < 2; ++again) {
    inverses<N>(scale, inverse);
    attempt();
  }
}

// ---- Scales and minima -------------------------------------------------------------------------

template <int N>
void extremes(const Grouped<N>& x, PerGroup<N>& least, PerGroup<N>& most) {
  for (int g = 0; g < groupsOf<N>; ++g) least[g] = most[g] = x[0][g];
  for (int i = 0; i < N; ++i)
    for (int g = 0; g < groupsOf<N>; ++g) {
      least[g] = x[i][g] < least[g] ? x[i][g] : least[g];
      most[g] = x[i][g] > most[g] ? x[i][g] : most[g];
    }
}

// x ≈ scale · code + minimum, codes 0 … Max; where `negative`, minima are at most 0.
template <int Max, bool negative, int N>
void fitOffsets(const Grouped<N>& x, int trials, float reach, PerGroup<N>& scale,
                PerGroup<N>& minimum) {
  constexpr int groups = groupsOf<N>;
  PerGroup<N> low, range, bound, best, inverse, shift, sum{};
  extremes<N>(x, low, range);
  // From here on numbers are counted from `low`: sums of squares of large numbers that differ
  // little would lose the differences.
  for (int g = 0; g < groups; ++g) {
    if (negative) low[g] = low[g] < 0 ? low[g] : 0;
    range[g] -= low[g];
    bound[g] = negative ? -low[g] : 3e38f;
  }
  for (int i = 0; i < N; ++i)
    for (int g = 0; g < groups; ++g) sum[g] += x[i][g] - low[g];
  for (int g = 0; g < groups; ++g) {  // all codes 0
    const float mean = sum[g] / N;
    scale[g] = 0;
    minimum[g] = mean < bound[g] ? mean : bound[g];
    best[g] = minimum[g] * (2 * sum[g] - N * minimum[g]);
  }
  const auto attempt = [&] {
    PerGroup<N> q, q1{}, qq{}, xq{};
    for (int i = 0; i < N; ++i) {
      for (int g = 0; g < groups; ++g) q[g] = (x[i][g] - low[g] - shift[g]) * inverse[g];
      Even<0, Max>::nearest(q);
      for (int g = 0; g < groups; ++g) {
        q1[g] += q[g];
        qq[g] += q[g] * q[g];
        xq[g] += (x[i][g] - low[g]) * q[g];
      }
    }
    for (int g = 0; g < groups; ++g) {
      const float spread = N * qq[g] - q1[g] * q1[g];
      float s = spread > 0 ? (N * xq[g] - sum[g] * q1[g]) / spread : 0;
      float m = (sum[g] - s * q1[g]) / N;
      const float alone = qq[g] > 0 ? (xq[g] - bound[g] * q1[g]) / qq[g] : 0;
      s = m > bound[g] ? alone : s;
      m = m > bound[g] ? bound[g] : m;
      const float gain = s * (2 * xq[g] - s * qq[g]) + m * (2 * sum[g] - 2 * s * q1[g] - N * m);
      const bool better = s > 0 && gain > best[g];
      scale[g] = better ? s : scale[g];
      minimum[g] = better ? m : minimum[g];
      best[g] = better ? gain : best[g];
    }
  };
  for (int t = 0; t < trials; ++t) {
    const float top = Max + (trials > 1 ? reach * (2.0f * t / (trials - 1) - 1) : 0);
    for (int g = 0; g < groups; ++g) {
      inverse[g] = range[g] > vanishing ? top / range[g] : 0;
      shift[g] = 0;
    }
    attempt();
  }
  for (int again = 0; again < 3; ++again) {
    inverses<N>(scale, inverse);
    for (int g = 0; g < groups; ++g) shift[g] = minimum[g];
    attempt();
  }
  for (int g = 0; g < groups; ++g) minimum[g] += low[g];
}

}  // namespace lacuna
