#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lacuna::emulate {

// Finds two threads that use the same byte of shared memory, one of them writing, without a barrier
// of the block or __syncwarp of their warp in between. Shuffles, votes and mma order no memory.
class Races {
 public:
  explicit Races(size_t bytes) : uses(bytes) {}

  void barrier() { epoch++; }  // also between blocks
  void syncWarp(unsigned warp) { warpEpochs[warp]++; }
  // A use by a thread. Returns what is wrong with it, or "".
  std::string read(unsigned thread, size_t first, size_t bytes);
  std::string write(unsigned thread, size_t first, size_t bytes);

 private:
  static constexpr uint16_t kSeveral = 0xFFFF;  // lanes of one warp
  struct Use {
    uint32_t epoch = 0, warpEpoch = 0;
    uint16_t warp = 0, thread = 0;
  };
  // The last write, the last read, and the last read of another warp than that one's.
  struct Byte {
    Use write, read, otherRead;
  };
  // Nothing keeps the earlier use and one by this thread apart.
  bool races(const Use& earlier, unsigned thread) const;
  Use now(unsigned thread) const;
  static std::string name(const Use& use);

  uint32_t epoch = 1;
  uint32_t warpEpochs[32] = {};
  std::vector<Byte> uses;
};

}  // namespace lacuna::emulate
