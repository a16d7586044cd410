#pragma once
#include <string>

#include "card_bench.h"

namespace lacuna::ops {

struct CardStepOptions {
  bool quick = false;  // a small model, for the emulator
  double vendorRate =
      0;  // operations per second of the vendor library's matrix product, 0: unknown
};

// Prints the times of steps, then lines of a Markdown table with the targets. Returns the exit
// status: 1 when a step failed, whatever its time.
int benchCardSteps(const std::string& device, const CardStepOptions& options);

}  // namespace lacuna::ops
