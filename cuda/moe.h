// Arguments of the kernels in moe.cu.
#pragma once
#include <cstddef>
#include <cstdint>

#include "gemm.h"

namespace lacuna::cuda {

// Experts of a layer at most: a block counts its rows per warp and expert in shared memory.
constexpr int kMostExperts = 1024;
constexpr int kGroupWarps = 8;

struct RouteArguments {
  const float* logits;  // (rows, experts)
  int32_t* expert;      // (rows, used), best first
  float* weight;        // (rows, used)
  int32_t rows, experts, used, renormalise;
};

// Entries are pairs of a row and one of its experts. Each gets a slot: slots are sorted by (expert,
// row), and each expert's begin at a multiple of kSliceRows, so that a tile of a product has one
// expert.
struct GroupArguments {
  const int32_t* expert;  // (entries)
  int32_t* slotOf;        // (entries)
  int32_t* source;        // (slots) the row of a slot, −1: none
  int32_t* present;       // (slots) the slot itself, −1: none
  GemmWork* work;         // tiles of up to `width` slots
  int32_t* workCount;
  int32_t entries, experts, used, slots, width, unused;
};
constexpr size_t groupBytes(int experts) {
  return static_cast<size_t>((kGroupWarps + 2) * experts) * sizeof(int32_t);
}

struct ScatterArguments {
  float* y;               // (rows, cols) += Σ weight · out of the row's slots
  const float* out;       // (slots, cols)
  const float* weight;    // (rows, used)
  const int32_t* slotOf;  // (rows, used)
  int32_t rows, cols, used, unused;
};

}  // namespace lacuna::cuda
