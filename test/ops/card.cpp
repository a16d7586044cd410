// The CUDA backend in the op table.
#include "cuda/backend.h"
#include "ops.h"
#include "test/driver.h"

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
  // The same card twice: a race that shows now and then would give other bits.
  const auto driver = openDriver(backend);
  const auto make = [driver] { return std::make_unique<cuda::CudaBackend>(driver); };
  return {{"first run", make, true}, {"second run", make, true}};
}

}  // namespace lacuna::ops
