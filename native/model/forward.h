#pragma once
#include <atomic>
#include <span>
#include <vector>

#include "model.h"

namespace lacuna {

// The rows of one forward: those of all sessions back to back.
struct Batch {
  std::vector<int32_t> tokens;     // (rows)
  std::vector<int32_t> positions;  // (rows)
  std::vector<SoftRow> soft;
  std::vector<Segment> segments;    // keys and values point at layer 0
  std::vector<size_t> layerStride;  // (segments) floats from one layer's keys to the next one's
};

// Computes all rows and leaves the residual stream in model.activations.x (rows, dim), before the
// final norm. Writes K/V of every layer. `cancelled` is polled between layers: ABORTED.
void forward(Model& model, Batch& batch, const std::atomic<bool>& cancelled);

}  // namespace lacuna
