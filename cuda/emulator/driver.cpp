// The emulator as a driver: device memory is host memory, launches run where they are asked for.
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "../../native/error.h"
#include "../driver.h"
#include "block.h"
#include "device.h"

namespace lacuna::emulate {
namespace {

using namespace cuda;  // NOLINT(google-build-using-namespace)

struct EmulatedGraph : Graph {
  Program program;
};

class EmulatedStream final : public Stream {
 public:
  explicit EmulatedStream(const EmulatorOptions& options) : runner(options) {}

  void copyIn(void* device, const void* host, size_t bytes) override {
    std::memcpy(device, host, bytes);
  }
  void copyOut(void* host, const void* device, size_t bytes) override {
    std::memcpy(host, device, bytes);
  }
  void copy(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void zero(void* device, size_t bytes) override { std::memset(device, 0, bytes); }
  void run(const Program& program) override {
    for (size_t i = 0; i < program.launches.size(); i++) {
      const Launch& launch = program.launches[i];
      if (program.clocks) program.clocks[i] = now();
      runner.run(*static_cast<const KernelInfo*>(launch.kernel), launch,
                 program.arguments.data() + launch.arguments);
    }
  }
  std::unique_ptr<Graph> build(const Program& program) override {
    auto graph = std::make_unique<EmulatedGraph>();
    graph->program = program;
    return graph;
  }
  void run(Graph& graph) override { run(static_cast<EmulatedGraph&>(graph).program); }
  void wait() override {}

 private:
  static uint64_t now() {
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<uint64_t>(std::chrono::nanoseconds(time).count());
  }
  Block runner;
};

class Emulator final : public Driver {
 public:
  explicit Emulator(const EmulatorOptions& options) : options(options) {
    card.name = "emulator";
    card.major = 8;
    card.processors = 4;
    card.sharedBytes = options.sharedBytes;
    card.l2Bytes = size_t{4} << 20;
    card.totalBytes = options.totalBytes;
  }

  const Facts& facts() const override { return card; }
  size_t freeBytes() const override {
    const std::lock_guard lock(mutex);
    return options.totalBytes - used;
  }

  std::vector<Neighbour> neighbours() const override { return options.neighbours; }

  void* allocate(size_t bytes) override {
    const std::lock_guard lock(mutex);
    if (bytes > options.totalBytes - used) return nullptr;
    void* memory = ::operator new(bytes, std::align_val_t{256}, std::nothrow);
    if (!memory) return nullptr;
    std::memset(memory, 0xFF, bytes);  // NaN, so that reads of memory nobody wrote show
    used += bytes;
    sizes[memory] = bytes;
    return memory;
  }
  void release(void* device) override {
    const std::lock_guard lock(mutex);
    const auto found = sizes.find(device);
    if (found == sizes.end())
      throw Error(Code::internal, "the emulator was asked to free memory that it never gave");
    used -= found->second;
    sizes.erase(found);
    ::operator delete(device, std::align_val_t{256});
  }
  void* allocatePinned(size_t bytes) override { return std::malloc(bytes); }
  void releasePinned(void* host) override { std::free(host); }

  Kernel kernel(const char* name) override {
    if (const KernelInfo* info = findKernel(name)) return info;
    throw Error(Code::internal, std::string("no .cu file has a kernel named ") + name);
  }
  std::unique_ptr<Stream> makeStream() override {
    return std::make_unique<EmulatedStream>(options);
  }

 private:
  const EmulatorOptions options;
  Facts card;
  mutable std::mutex mutex;
  size_t used = 0;
  std::unordered_map<void*, size_t> sizes;
};

}  // namespace
}  // namespace lacuna::emulate

namespace lacuna::cuda {

std::shared_ptr<Driver> makeEmulator(const EmulatorOptions& options) {
  return std::make_shared<emulate::Emulator>(options);
}

}  // namespace lacuna::cuda
