#pragma once
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "../driver.h"
#include "fiber.h"
#include "races.h"

// One thread block at a time, one fiber per thread. A fiber runs until it waits for others; when
// nobody can go on, threads have diverged and the launch is an error that names them.
namespace lacuna::emulate {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

// Shared memory that one declaration names. Bytes that nobody wrote since the block began, or that
// a cp.async still has to deliver, are marked unwritten.
struct Area {
  const void* site = nullptr;  // of the declaration
  const char* name = "";
  std::byte* data = nullptr;
  uint8_t* written = nullptr;  // (bytes) 0 | 1
  size_t bytes = 0;
};

constexpr int kWarp = 32;

// What all lanes of a mask do together: `lanes[i]` is the argument of lane i, nullptr outside.
using Collective = void (*)(void* const* lanes);

struct AsyncCopy {
  const Area* area = nullptr;
  std::byte* to = nullptr;
  const void* from = nullptr;
  int bytes = 0, valid = 0;  // bytes past `valid` become zeros
  int group = 0;
};

struct Fiber {
  enum class State { ready, atBarrier, atWarp, done };
  Index index;  // threadIdx
  State state = State::ready;
  int line = 0;  // of the barrier it waits at
  const char* file = "";
  unsigned mask = 0;
  Collective collective = nullptr;
  void* lane = nullptr;
  std::vector<AsyncCopy> copies;
  int group = 0;  // of the next cp.async
  Context context;
};

// A kernel's registration: see KERNEL in device.h.
struct KernelInfo {
  const char* name;
  int threads;  // at most, as in __launch_bounds__
  size_t argumentBytes;
  void (*body)(const void* arguments);
};

class Block {
 public:
  explicit Block(const cuda::EmulatorOptions& options);
  ~Block();

  // Every block of one launch, one after another. Throws INTERNAL naming kernel, block and thread.
  void run(const KernelInfo& kernel, const cuda::Launch& launch, const void* arguments);

  // Called by the running fiber.
  const Area* shared(const void* site, const char* name, size_t bytes);
  const Area* dynamicShared();
  void barrier(const char* file, int line);
  int barrierCount(const char* file, int line, int predicate);  // __syncthreads_count
  void warp(unsigned mask, Collective collective, void* lane);
  // A checked use of shared memory by the running fiber.
  void used(const Area& area, size_t at, size_t bytes, bool writes);
  void syncWarp() {  // by the running fiber, for its warp
    if (races) races->syncWarp(theFiberIndex() / kWarp);
  }
  [[noreturn]] void fail(const std::string& message) const;

  Index grid, block;  // gridDim, blockIdx
  unsigned threads = 0;

 private:
  static void enter();
  static unsigned theFiberIndex();
  void runBlock(const void* arguments);
  void order(std::vector<Fiber*>& list);
  void wait();        // the running fiber goes to sleep; the next one that is ready runs
  void releaseAll();  // the barrier
  [[noreturn]] void reportStuck() const;
  Area& addArea(const void* site, const char* name, size_t bytes);

  const cuda::EmulatorOptions options;
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::byte* stacks = nullptr;
  std::vector<Fiber*> ready;  // a queue: [next, end)
  size_t next = 0;
  int waiting = 0, alive = 0, counted = 0, countResult = 0;
  std::vector<unsigned> arrived;  // (warps) lanes that wait in a warp operation
  uint64_t shuffle = 0;

  std::vector<std::byte> memory;  // shared
  std::vector<uint8_t> written;
  std::unique_ptr<Races> races;  // null: not looked for
  size_t taken = 0, dynamicBytes = 0;
  std::vector<std::unique_ptr<Area>> areas;

  const KernelInfo* kernel = nullptr;
  const void* arguments = nullptr;
  std::exception_ptr failure;
  Context scheduler;
};

inline constinit thread_local Block* theBlock = nullptr;
inline constinit thread_local Fiber* theFiber = nullptr;

}  // namespace lacuna::emulate
