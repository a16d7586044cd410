#pragma once
#include <cstdint>

// Arguments of peak.cu.
namespace lacuna::cuda {

constexpr int kPeakThreads = 256;
constexpr int kPeakTiles = 8;  // independent products under way in a warp

struct PeakProductArguments {
  int32_t* out;  // (blocks · kPeakThreads)
  int32_t rounds, unused;
};

struct PeakCopyArguments {
  const uint32_t* from;  // (words · 4), aligned to 16
  uint32_t* to;          // the same; reading alone: (blocks · kPeakThreads)
  int64_t words;         // of 16 bytes
};

}  // namespace lacuna::cuda
