#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../gguf/gguf.h"
#include "spec.h"

// Which tensors of a file a model is made of, and how they get into a backend.
namespace lacuna {

struct LayerWeights {
  WeightPtr attentionNorm;  // (dim)
  WeightPtr q, k, v, o;     // (heads·headDim, dim), (kvHeads·headDim, dim) ×2, (dim, heads·headDim)
  WeightPtr qBias, kBias, vBias;  // or null
  WeightPtr qNorm, kNorm;         // (headDim) or null
  WeightPtr ffnNorm;              // (dim)
  WeightPtr gate, up, down;       // (ffn, dim) ×2, (dim, ffn); null in a mixture of experts
  WeightPtr router;               // (experts, dim) or null
  WeightPtr gateExperts, upExperts, downExperts;  // (experts, …) or null
};

// Read-only once loaded: models of the same file share one (see shared.h).
struct Weights {
  WeightPtr embedding;  // (vocabulary, dim): a table, or when tied the head
  WeightPtr head;       // matrix (vocabulary, dim)
  WeightPtr finalNorm;  // (dim)
  std::vector<LayerWeights> layers;
  uint64_t bytes = 0;  // resident, in the backend
};
using WeightsPtr = std::shared_ptr<const Weights>;

// A tensor, how it will be read, and the member of a Weights that it becomes.
struct Binding {
  const TensorView* tensor = nullptr;
  Use use = Use::matrix;
  WeightPtr* place = nullptr;
};

struct WeightPlan {
  std::unique_ptr<Weights> weights;  // all members still null
  std::vector<Binding> bindings;     // in the order of the bytes in the file
  uint64_t fileBytes = 0;            // of the bindings
};

// Binds tensors by name and checks their shapes. Throws BAD_GGUF for one that is missing or has
// another shape, UNSUPPORTED_ARCHITECTURE for one that nobody asks for. Load options make no
// difference: overrides change neither names nor uses.
WeightPlan planWeights(const Gguf& file, const ModelSpec& spec);

// Bytes of the file uploaded so far, and in all. Called on the loading thread.
using Progress = std::function<void(uint64_t done, uint64_t total)>;

// Bytes that a plan's weights will take in `backend`.
uint64_t weightBytes(const WeightPlan& plan, const Backend& backend);

// Carries out a plan. A tensor's pages leave memory once it is uploaded. Throws what
// Backend::upload throws.
WeightsPtr uploadWeights(WeightPlan plan, Gguf& file, Backend& backend, const Progress& progress,
                         const std::atomic<bool>& cancelled);

}  // namespace lacuna
