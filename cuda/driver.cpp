#include "driver.h"

#include "../native/error.h"

namespace lacuna::cuda {

DeviceBuffer::DeviceBuffer(std::shared_ptr<Driver> on, size_t bytes, const std::string& what)
    : driver(std::move(on)), bytes(bytes) {
  if (bytes == 0) return;
  start = driver->allocate(bytes);
  if (start) return;
  throw Error(Code::outOfMemory, "out of memory on " + driver->facts().name + ": " + what +
                                     " needs " + std::to_string(bytes) + " bytes, " +
                                     std::to_string(driver->freeBytes()) + " are free");
}

DeviceBuffer::~DeviceBuffer() {
  if (start) driver->release(start);
}

PinnedBuffer::PinnedBuffer(std::shared_ptr<Driver> on, size_t bytes)
    : driver(std::move(on)), bytes(bytes) {
  if (bytes == 0) return;
  start = driver->allocatePinned(bytes);
  if (start) return;
  throw Error(Code::outOfMemory,
              "out of memory: " + std::to_string(bytes) + " bytes of pinned host memory asked for");
}

PinnedBuffer::~PinnedBuffer() {
  if (start) driver->releasePinned(start);
}

}  // namespace lacuna::cuda
