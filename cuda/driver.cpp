#include "driver.h"

#include "../native/error.h"

namespace lacuna::cuda {

template <Where where>
Buffer<where>::Buffer(std::shared_ptr<Driver> on, size_t bytes, const std::string& what)
    : driver(std::move(on)), bytes(bytes) {
  if (bytes == 0) return;
  constexpr bool device = where == Where::device;
  start = device ? driver->allocate(bytes) : driver->allocatePinned(bytes);
  if (start) return;
  const std::string needed = std::to_string(bytes) + " bytes are needed for " + what;
  if (!device) throw Error(Code::outOfMemory, "out of pinned host memory: " + needed);
  throw Error(Code::outOfMemory, "out of memory on " + driver->facts().name + ": " + needed + ", " +
                                     std::to_string(driver->freeBytes()) + " are free");
}

template <Where where>
Buffer<where>::~Buffer() {
  if (!start) return;
  where == Where::device ? driver->release(start) : driver->releasePinned(start);
}

template class Buffer<Where::device>;
template class Buffer<Where::pinned>;

}  // namespace lacuna::cuda
