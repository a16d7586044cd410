// What belongs to the step as a whole.
#include "device.cuh"

namespace lacuna::cuda {

// The last launch of a step: that it begins is all it has to say.
KERNEL(stepEnd, 1, uint64_t) {}

}  // namespace lacuna::cuda
