#pragma once
#include "driver.h"

namespace lacuna::cuda {

// What a card does at most, measured: what kernels are compared with. A multiplication and an
// addition are two operations.
struct Ceilings {
  double int8 = 0, f16 = 0;   // operations per second of the tensor cores' mma instructions
  double f32 = 0;             // of the ordinary ones
  double copy = 0, read = 0;  // bytes per second; copy counts what is read and what is written
};

// Takes 0.2 s and 2 GB of the card; `quick` runs the same on next to nothing, for tests. Throws
// INTERNAL when a copy is not what was copied.
Ceilings measureCeilings(Driver& driver, bool quick);

}  // namespace lacuna::cuda
