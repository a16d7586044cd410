// The CUDA backend in the op table.
#include "cuda/backend.h"
#include "ops.h"
#include "test/driver.h"

namespace lacuna::ops {

std::vector<Variant> cardVariants(const std::string& backend) {
#ifdef LACUNA_EMULATE
  using Order = cuda::EmulatorOptions::Order;
  const auto emulated = [](std::string name, Order order) {
    return Variant{std::move(name),
                   [order] {
                     cuda::EmulatorOptions options;
                     options.order = order;
                     return std::make_unique<cuda::CudaBackend>(cuda::makeEmulator(options));
                   },
                   true};
  };
  if (backend == "emulator") {  // orders of threads that hide different races
    return {emulated("threads forward", Order::forward),
            emulated("threads shuffled", Order::shuffled)};
  }
#endif
  // The same card twice: a race that shows now and then would give other bits.
  const auto driver = openDriver(backend);
  const auto make = [driver] { return std::make_unique<cuda::CudaBackend>(driver); };
  return {{"first run", make, true}, {"second run", make, true}};
}

}  // namespace lacuna::ops
