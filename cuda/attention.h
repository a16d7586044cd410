// Arguments of the kernels in attention.cu, and the order of K/V planes on the device.
//
// A plane of `capacity` = planeRows(length) positions is [kvHead][position][2][headDim] halves: a
// value v is kept as hi + lo · 2⁻¹¹ with hi = half(v · kPlaneScale) and lo = half of what that
// leaves, times 2¹¹. That is 22 bits in the 32 of a float, split once when a row is stored and not
// each time it is read; and a key's row is one contiguous run, so that explicit lists of visible
// keys are gathered by the same copies that read all of them.
#pragma once
#include <cstdint>

namespace lacuna::cuda {

// Full precision for 2⁻³⁴ · 2⁴ < |v|, and no overflow below 2²⁰.
constexpr float kPlaneScale = 1.0f / 16;
constexpr int kLargestHead = 256;

// One segment of a step (native/backend.h), with device pointers.
struct AttentionSegment {
  uint16_t *keys, *values;     // planes of this layer
  const int32_t* positions;    // (rows)
  const int32_t* visible;      // (visible keys); nullptr: 0, 1, 2 …
  const int32_t* limit;        // (rows)
  const int32_t* hidden;       // (rows − ordinary)
  int32_t firstRow, rows;      // of q, k, v, o
  int32_t ordinary, capacity;  // rows that are no shadow rows; positions of a plane
};

// What one block computes, for one kv head: pairs `first` to first + pairs of a block of
//   pair = row · group + head % group.
struct AttentionTask {
  int32_t segment, first;
};

struct StoreArguments {
  const float *k, *v;  // (rows, kvHeads · headDim)
  const AttentionSegment* segments;
  int32_t kvHeads, headDim;
};

struct AttentionArguments {
  const float *q, *k, *v;  // (rows, heads · headDim), (rows, kvHeads · headDim) twice
  float* o;                // (rows, heads · headDim)
  const AttentionSegment* segments;
  const AttentionTask* tasks;
  // With several splits of the keys, what each makes of them; else unused.
  float* partial;  // (splits, rows · heads, headDim): Σ weight · value
  float* totals;   // (splits, rows · heads, 2): largest score, Σ weight
  int32_t rows, kvHeads, group, headDim, splits;
  float scale;  // on q·k, times log2 e: scores are powers of two
};

struct MergeArguments {
  const float *partial, *totals;  // of AttentionArguments
  float* o;                       // (pairs, headDim)
  int32_t pairs, headDim, splits, unused;
};

}  // namespace lacuna::cuda
