#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

// What the backend needs of a graphics card. Two implementations: driver_cuda.cpp (the driver API,
// opened at run time) and emulator/ (host memory and fibers, for tests). The backend cannot tell
// them apart.
namespace lacuna::cuda {

struct Grid {
  unsigned x = 1, y = 1, z = 1;  // blocks
};

// A kernel of cuda/*.cu as the driver knows it.
using Kernel = const void*;

struct Launch {
  Kernel kernel = nullptr;
  Grid grid;
  uint32_t threads = 0;      // of a block
  uint32_t sharedBytes = 0;  // dynamic shared memory of a block
  uint32_t arguments = 0;    // where its argument struct begins in Program::arguments
  uint32_t argumentBytes = 0;
};

// Kernels that run one after another.
struct Program {
  std::vector<Launch> launches;
  std::vector<std::byte> arguments;  // every struct begins at a multiple of 16
  uint64_t* clocks = nullptr;        // device (launches): when each began, ns
};

// A program that starts at the cost of one launch.
struct Graph {
  virtual ~Graph() = default;
};

// Work of one backend, in order. Calls return before the work is done, but for wait(). Host memory
// of a copy is pinned or stays untouched until wait() returns.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual void copyIn(void* device, const void* host, size_t bytes) = 0;
  virtual void copyOut(void* host, const void* device, size_t bytes) = 0;
  virtual void copy(void* to, const void* from, size_t bytes) = 0;  // device to device
  virtual void zero(void* device, size_t bytes) = 0;
  virtual void run(const Program& program) = 0;
  virtual std::unique_ptr<Graph> build(const Program& program) = 0;
  virtual void run(Graph& graph) = 0;
  virtual void wait() = 0;  // throws what went wrong since the last one: INTERNAL
};

// One card. Calls are safe from any thread; a Stream belongs to one thread at a time.
class Driver {
 public:
  struct Facts {
    std::string name;          // "NVIDIA GeForce RTX 4090"
    int index = 0;             // among the machine's cards
    int major = 0, minor = 0;  // compute capability
    int processors = 0;        // streaming multiprocessors
    size_t sharedBytes = 0;    // of a block, static and dynamic together
    size_t l2Bytes = 0;
    size_t totalBytes = 0;  // of device memory
  };

  virtual ~Driver() = default;
  virtual const Facts& facts() const = 0;
  virtual size_t freeBytes() const = 0;
  // The machine's other cards that models can run on, as far as they have memory free.
  struct Neighbour {
    int index = 0;
    std::string name;
    size_t freeBytes = 0;
  };
  virtual std::vector<Neighbour> neighbours() const = 0;

  // nullptr when there is not enough. Multiples of 256; contents are undefined.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* device) = 0;
  virtual void* allocatePinned(size_t bytes) = 0;  // host memory that copies fastest
  virtual void releasePinned(void* host) = 0;

  // Throws INTERNAL for a name that no .cu file has.
  virtual Kernel kernel(const char* name) = 0;
  virtual std::unique_ptr<Stream> makeStream() = 0;
};

// Memory of a driver that goes back with its owner: of the device, or pinned on the host.
enum class Where { device, pinned };
template <Where where>
class Buffer {
 public:
  Buffer() = default;
  // Throws OUT_OF_MEMORY naming `what`, the bytes needed and, of a device, those that are free.
  Buffer(std::shared_ptr<Driver> driver, size_t bytes, const std::string& what);
  ~Buffer();
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }

  template <class T = std::byte>
  T* as() const {
    return static_cast<T*>(start);
  }
  size_t size() const { return bytes; }

 private:
  void swap(Buffer& other) noexcept {
    driver.swap(other.driver);
    std::swap(start, other.start);
    std::swap(bytes, other.bytes);
  }
  std::shared_ptr<Driver> driver;
  void* start = nullptr;
  size_t bytes = 0;
};
using DeviceBuffer = Buffer<Where::device>;
using PinnedBuffer = Buffer<Where::pinned>;

extern template class Buffer<Where::device>;
extern template class Buffer<Where::pinned>;

// The emulator as a card. Only programs that link the emulator have it.
struct EmulatorOptions {
  enum class Order { forward, backward, shuffled };
  Order order = Order::forward;               // in which the threads of a block run
  bool races = false;                         // looks for races in shared memory, which takes time
  size_t sharedBytes = 99 * 1024;             // of a block: as RTX 30 to 50
  size_t totalBytes = size_t{4} << 30;        // of device memory
  std::vector<Driver::Neighbour> neighbours;  // as if there were such cards
};
std::shared_ptr<Driver> makeEmulator(const EmulatorOptions& options = {});

}  // namespace lacuna::cuda
