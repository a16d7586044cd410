#pragma once
#include <functional>
#include <memory>
#include <string>

#include "../native/error.h"
#include "driver.h"

namespace lacuna::cuda {

// Of a card that the driver API counts.
Driver::Facts factsOf(int index);
// 0 with the reason in `problem` when the card cannot be opened.
size_t freeBytesOf(int index, std::string& problem);
// A card with all kernels loaded; `refused` makes the error when they do not load.
std::shared_ptr<Driver> makeCudaDriver(int index,
                                       const std::function<Error(const std::string& why)>& refused);

}  // namespace lacuna::cuda
