#pragma once
#include <atomic>
#include <functional>
#include <string>

#include "weights.h"

// Weights that the models of one process, on whatever threads, read from the same file.
namespace lacuna {

using MakeWeights = std::function<WeightsPtr(const Progress&)>;

// The weights of `key`: those that a model holds already, or what `make` returns. While another
// thread makes them this one waits, and passes on how far that has got; if that fails or is
// aborted, one of those who wait begins anew. The last model to let go of weights frees them.
// Throws what `make` throws, and ABORTED when `cancelled` during the wait.
WeightsPtr shareWeights(const std::string& key, const MakeWeights& make, const Progress& progress,
                        const std::atomic<bool>& cancelled);

struct HeldWeights {
  size_t count = 0;
  uint64_t bytes = 0;
};
HeldWeights heldWeights();  // all that models of this process hold, each counted once

}  // namespace lacuna
