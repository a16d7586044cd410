#pragma once
#include <cstddef>

// Counts every byte the process has allocated (AddressSanitizer builds; elsewhere it counts
// nothing).
namespace fuzz {

bool countsMemory();
void startCounting();  // peak is measured from here
size_t peakBytes();    // most bytes alive at once since startCounting(), beyond those alive then

}  // namespace fuzz
