#pragma once
#include <string>
#include <vector>

#include "kernels.h"

namespace lacuna {

// What the arithmetic units of this machine do at most, in operations per second (a multiplication
// and an addition are two), measured with operands in registers and L1.
struct Peak {
  std::string isa;  // "avx2"
  int threads = 0;
  double int8 = 0, f32 = 0;  // operations per second of all threads together
};

// One entry per usable ISA, fastest first. Takes about 0.2 s per entry.
std::vector<Peak> measurePeaks(int threads);

namespace cpu {
Peak measurePeak(const Kernels& kernels, int threads);
}

}  // namespace lacuna
