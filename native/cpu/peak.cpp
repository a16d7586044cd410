#include "peak.h"

#include <algorithm>
#include <chrono>

#include "dispatch.h"
#include "threads.h"

namespace lacuna {
namespace cpu {
namespace {

using Measured = double (*)(int64_t iterations, float* sink);

// The best of several short runs: the one that was disturbed least.
double best(Threads& pool, Measured measured) {
  using Clock = std::chrono::steady_clock;
  int64_t iterations = 64;
  double most = 0;
  for (int run = 0; run < 12; run++) {
    std::vector<double> operations(static_cast<size_t>(pool.count()));
    std::vector<float> sink(static_cast<size_t>(pool.count()) * 16);
    const auto start = Clock::now();
    pool.parallelFor(pool.count(), [&](int chunk, int) {
      const size_t i = static_cast<size_t>(chunk);
      operations[i] = measured(iterations, &sink[i * 16]);
    });
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (seconds < 0.005) {  // too short to trust: this one only finds the length
      iterations *= 4;
      run = -1;
      continue;
    }
    double total = 0;
    for (double n : operations) total += n;
    most = std::max(most, total / seconds);
  }
  return most;
}

}  // namespace

Peak measurePeak(const Kernels& kernels, int threads) {
  Threads pool(threads);
  return {kernels.name, threads, best(pool, kernels.peakInt8), best(pool, kernels.peakFloat)};
}

}  // namespace cpu

std::vector<Peak> measurePeaks(int threads) {
  std::vector<Peak> peaks;
  for (const cpu::Kernels* kernels : cpu::usableKernels()) {
    peaks.push_back(cpu::measurePeak(*kernels, std::max(threads, 1)));
  }
  return peaks;
}

}  // namespace lacuna
