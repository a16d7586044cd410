#pragma once
#include <memory>
#include <vector>

#include "driver.h"

namespace lacuna::cuda {

// Device memory of one step, handed out in order: steps that ask for the same get the same
// addresses. It grows in pieces, since what was handed out may not move; settle() makes one piece
// of them, so that the next step of that size allocates nothing. A mirrored arena has pinned host
// memory of the same size, to send or collect as a whole.
class Arena {
 public:
  struct Place {
    std::byte* device = nullptr;
    std::byte* host = nullptr;  // mirrored only
  };

  // Takes a first piece at once. OUT_OF_MEMORY
  Arena(std::shared_ptr<Driver> driver, const char* what, bool mirrored);

  void clear();                  // everything handed out is void
  Place take(size_t bytes);      // aligned to 256 bytes
  void settle();                 // between steps: what was handed out is void
  void send(Stream& stream);     // host → device, what was taken
  void collect(Stream& stream);  // device → host

 private:
  struct Piece {
    DeviceBuffer device;
    PinnedBuffer host;
    size_t used = 0;
  };
  void addPiece(size_t bytes);

  const std::shared_ptr<Driver> driver;
  const char* const what;  // for OUT_OF_MEMORY
  const bool mirrored;
  std::vector<Piece> pieces;
};

}  // namespace lacuna::cuda
