#pragma once
#include <atomic>
#include <span>
#include <vector>

#include "model.h"

namespace lacuna {

// The rows of one forward. Those whose hidden state is wanted come first; of the others only K/V
// are, which the last layer makes from its input.
struct Batch {
  int live = 0;                    // rows whose hidden state is wanted
  std::vector<int32_t> tokens;     // (rows)
  std::vector<int32_t> positions;  // (rows)
  std::vector<SoftRow> soft;
  std::vector<Segment> segments;    // keys and values point at layer 0
  std::vector<size_t> layerStride;  // (segments) floats from one layer's keys to the next one's

  void clear() {  // keeps the memory
    live = 0;
    tokens.clear();
    positions.clear();
    soft.clear();
    segments.clear();
    layerStride.clear();
  }
};

// Computes all rows and leaves the residual stream of the live ones in model.activations.x (live,
// dim), before the final norm. Each segment has live rows only or none. Writes K/V of every layer.
// `cancelled` is polled between layers: ABORTED.
void forward(Model& model, Batch& batch, const std::atomic<bool>& cancelled);

}  // namespace lacuna
