// The CUDA backend in the op table.
#include "cuda/backend.h"
#include "error.h"
#include "ops.h"

namespace lacuna::ops {

std::vector<Variant> cardVariants(const std::string& backend) {
#ifdef LACUNA_EMULATE
  using Order = cuda::EmulatorOptions::Order;
  const auto emulated = [](std::string name, Order order, bool races) {
    return Variant{std::move(name),
                   [order, races] {
                     cuda::EmulatorOptions options;
                     options.order = order;
                     options.races = races;
                     return std::make_unique<cuda::CudaBackend>(cuda::makeEmulator(options));
                   },
                   true};
  };
  if (backend == "emulator") {
    return {emulated("threads forward, watched for races", Order::forward, true),
            emulated("threads shuffled", Order::shuffled, false)};
  }
#endif
  throw Error(Code::invalidArgument, "no backend is named '" + backend + "' in this build");
}

}  // namespace lacuna::ops
