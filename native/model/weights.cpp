#include "weights.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "../error.h"

namespace lacuna {
namespace {

std::string shape(int64_t cols, int64_t rows, int64_t depth) {
  std::string text = "[";
  text += std::to_string(cols) + ", " + std::to_string(rows) + ", " + std::to_string(depth);
  return text + "]";
}

class Planner {
 public:
  Planner(const Gguf& file, const ModelSpec& spec) : file(file), spec(spec) {}

  WeightPlan run() {
    Weights& w = *plan.weights;
    if (spec.tiedHead) {
      need(w.head, "token_embd.weight", Use::matrix, spec.dim, spec.vocabulary);
    } else {
      need(w.embedding, "token_embd.weight", Use::table, spec.dim, spec.vocabulary);
      need(w.head, "output.weight", Use::matrix, spec.dim, spec.vocabulary);
    }
    need(w.finalNorm, "output_norm.weight", Use::vector, spec.dim);
    // Bindings point into the layers, which therefore must not move. A file that has fewer tensors
    // than layers lacks one, and planning ends there.
    const size_t layers = static_cast<size_t>(spec.layers);
    w.layers.reserve(std::min(layers, file.tensors().size()));
    for (size_t i = 0; i < layers; i++) layer(w.layers.emplace_back(), i);
    checkAllUsed();
    std::sort(plan.bindings.begin(), plan.bindings.end(), [](const Binding& a, const Binding& b) {
      return std::less<>()(a.tensor->data, b.tensor->data);
    });
    return std::move(plan);
  }

 private:
  void layer(LayerWeights& w, size_t index) {
    prefix = "blk.";
    prefix += std::to_string(index) + ".";
    const int64_t dim = spec.dim, qDim = int64_t{spec.heads} * spec.headDim,
                  kvDim = int64_t{spec.kvHeads} * spec.headDim;
    const Use attention = spec.experts == 0 ? Use::matrix : Use::precise;
    need(w.attentionNorm, "attn_norm.weight", Use::vector, dim);
    need(w.q, "attn_q.weight", attention, dim, qDim);
    need(w.k, "attn_k.weight", attention, dim, kvDim);
    need(w.v, "attn_v.weight", attention, dim, kvDim);
    need(w.o, "attn_output.weight", attention, qDim, dim);
    if (spec.qkvBias) {
      need(w.qBias, "attn_q.bias", Use::vector, qDim);
      need(w.kBias, "attn_k.bias", Use::vector, kvDim);
      need(w.vBias, "attn_v.bias", Use::vector, kvDim);
    }
    if (spec.qkNorm) {
      need(w.qNorm, "attn_q_norm.weight", Use::vector, spec.headDim);
      need(w.kNorm, "attn_k_norm.weight", Use::vector, spec.headDim);
    }
    need(w.ffnNorm, "ffn_norm.weight", Use::vector, dim);
    if (spec.experts == 0) {
      need(w.gate, "ffn_gate.weight", Use::matrix, dim, spec.ffn);
      need(w.up, "ffn_up.weight", Use::matrix, dim, spec.ffn);
      need(w.down, "ffn_down.weight", Use::matrix, spec.ffn, dim);
      return;
    }
    const int64_t n = spec.experts, ffn = spec.expertFfn;
    need(w.router, "ffn_gate_inp.weight", Use::precise, dim, n);
    need(w.gateExperts, "ffn_gate_exps.weight", Use::experts, dim, ffn, n);
    need(w.upExperts, "ffn_up_exps.weight", Use::experts, dim, ffn, n);
    need(w.downExperts, "ffn_down_exps.weight", Use::experts, ffn, dim, n);
  }

  void need(WeightPtr& place, const std::string& tail, Use use, int64_t cols, int64_t rows = 1,
            int64_t depth = 1) {
    const std::string name = prefix + tail;
    const TensorView* tensor = file.find(name);
    if (!tensor) throw Error(Code::badGguf, file.path() + ": tensor '" + name + "' is missing");
    if (tensor->cols != cols || tensor->rows != rows || tensor->depth != depth)
      throw Error(Code::badGguf, file.path() + ": tensor '" + name + "' has shape " +
                                     shape(tensor->cols, tensor->rows, tensor->depth) +
                                     ", expected " + shape(cols, rows, depth));
    plan.bindings.push_back({tensor, use, &place});
    plan.fileBytes += tensor->bytes;
    used.insert(tensor);
  }

  // A tensor nobody asked for would change the result if it were used: refuse it by name.
  void checkAllUsed() const {
    for (const TensorView& tensor : file.tensors())
      if (!used.contains(&tensor) && tensor.name != "rope_freqs.weight")
        throw Error(Code::unsupportedArchitecture,
                    file.path() + ": tensor '" + printable(tensor.name) +
                        "' has no place in architecture '" + spec.architecture + "'");
  }

  const Gguf& file;
  const ModelSpec& spec;
  WeightPlan plan{std::make_unique<Weights>(), {}, 0};
  std::string prefix;
  std::unordered_set<const TensorView*> used;
};

}  // namespace

WeightPlan planWeights(const Gguf& file, const ModelSpec& spec) {
  return Planner(file, spec).run();
}

uint64_t weightBytes(const WeightPlan& plan, const Backend& backend) {
  uint64_t bytes = 0;
  for (const Binding& binding : plan.bindings)
    bytes += backend.weightBytes(*binding.tensor, binding.use);
  return bytes;
}

WeightsPtr uploadWeights(WeightPlan plan, Gguf& file, Backend& backend, const Progress& progress,
                         const std::atomic<bool>& cancelled) {
  uint64_t done = 0;
  for (const Binding& binding : plan.bindings) {
    if (cancelled) throw Error(Code::aborted, "loading was aborted");
    *binding.place = backend.upload(*binding.tensor, binding.use, cancelled);
    plan.weights->bytes += (*binding.place)->bytes;
    file.release(*binding.tensor);
    done += binding.tensor->bytes;
    progress(done, plan.fileBytes);
  }
  if (!plan.weights->embedding) plan.weights->embedding = plan.weights->head;  // tied
  return std::move(plan.weights);
}

}  // namespace lacuna
