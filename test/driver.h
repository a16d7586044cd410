#pragma once
#include <cstdlib>
#include <memory>
#include <string>

#include "cuda/devices.h"
#include "error.h"

namespace lacuna {

// "emulator", "cuda" (the first card) or "cuda:N", as the test programs take them.
inline std::shared_ptr<cuda::Driver> openDriver(const std::string& device) {
#ifdef LACUNA_EMULATE
  if (device == "emulator") return cuda::makeEmulator();
#endif
  if (device == "cuda") return cuda::openCard(0);
  if (device.rfind("cuda:", 0) == 0) return cuda::openCard(std::atoi(device.c_str() + 5));
  throw Error(Code::invalidArgument, "no device is named '" + device + "' in this build");
}

}  // namespace lacuna
