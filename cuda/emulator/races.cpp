#include "races.h"

namespace lacuna::emulate {

bool Races::races(const Use& earlier, unsigned thread) const {
  if (earlier.epoch != epoch) return false;
  if (earlier.warp != thread / 32) return true;
  return earlier.warpEpoch == warpEpochs[earlier.warp] && earlier.thread != thread;
}

Races::Use Races::now(unsigned thread) const {
  return {epoch, warpEpochs[thread / 32], static_cast<uint16_t>(thread / 32),
          static_cast<uint16_t>(thread)};
}

std::string Races::name(const Use& use) {
  return use.thread == kSeveral ? "warp " + std::to_string(use.warp)
                                : "thread " + std::to_string(use.thread);
}

std::string Races::read(unsigned thread, size_t first, size_t bytes) {
  const Use mine = now(thread);
  for (size_t i = first; i < first + bytes; i++) {
    Byte& byte = uses[i];
    if (races(byte.write, thread)) return "read of what " + name(byte.write) + " wrote";
    Use& last = byte.read;
    const bool sameEpoch = last.epoch == epoch;
    if (sameEpoch && last.warp != mine.warp) byte.otherRead = last;
    const bool several = sameEpoch && last.warp == mine.warp && last.warpEpoch == mine.warpEpoch &&
                         last.thread != mine.thread;
    last = mine;
    if (several) last.thread = kSeveral;
  }
  return "";
}

std::string Races::write(unsigned thread, size_t first, size_t bytes) {
  for (size_t i = first; i < first + bytes; i++) {
    Byte& byte = uses[i];
    if (races(byte.write, thread)) return "write over what " + name(byte.write) + " wrote";
    for (const Use* use : {&byte.read, &byte.otherRead})
      if (races(*use, thread)) return "write over what " + name(*use) + " read";
    byte.write = now(thread);
  }
  return "";
}

}  // namespace lacuna::emulate
