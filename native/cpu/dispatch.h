#pragma once
#include <string>
#include <vector>

#include "kernels.h"

namespace lacuna::cpu {

// Tables of the instruction sets in this build that the machine and its operating system can run,
// fastest first. "scalar" is always among them.
std::vector<const Kernels*> usableKernels();

// By name; "" is the fastest. Throws INVALID_ARGUMENT.
const Kernels& kernelsFor(const std::string& isa);

}  // namespace lacuna::cpu
