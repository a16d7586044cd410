#include "model.h"

#include <string>
#include <unordered_set>

#include "../error.h"

namespace lacuna {
namespace {

// Binds tensors by name, checks their shapes, uploads them.
class Loader {
 public:
  Loader(Model& model, const Progress& progress, const std::atomic<bool>& cancelled)
      : model(model), file(*model.file), progress(progress), cancelled(cancelled) {
    for (const TensorView& tensor : file.tensors()) total += tensor.bytes;
  }

  WeightPtr need(const std::string& name, Use use, int64_t cols, int64_t rows = 1,
                 int64_t depth = 1) {
    const TensorView* tensor = file.find(name);
    if (!tensor) throw Error(Code::badGguf, file.path() + ": tensor '" + name + "' is missing");
    return upload(*tensor, use, cols, rows, depth);
  }

  WeightPtr optional(bool wanted, const std::string& name, Use use, int64_t cols, int64_t rows = 1,
                     int64_t depth = 1) {
    return wanted ? need(name, use, cols, rows, depth) : nullptr;
  }

  // A tensor nobody asked for would change the result if it were used: refuse it by name.
  void checkAllUsed() const {
    for (const TensorView& tensor : file.tensors())
      if (!used.contains(tensor.name) && tensor.name != "rope_freqs.weight")
        throw Error(Code::unsupportedArchitecture,
                    file.path() + ": tensor '" + printable(tensor.name) +
                        "' has no place in architecture '" + model.spec.architecture + "'");
  }

 private:
  WeightPtr upload(const TensorView& tensor, Use use, int64_t cols, int64_t rows, int64_t depth) {
    if (tensor.cols != cols || tensor.rows != rows || tensor.depth != depth)
      throw Error(Code::badGguf, file.path() + ": tensor '" + tensor.name + "' has shape " +
                                     shape(tensor.cols, tensor.rows, tensor.depth) + ", expected " +
                                     shape(cols, rows, depth));
    if (cancelled) throw Error(Code::aborted, "loading was aborted");
    WeightPtr weight = model.backend->upload(tensor, use, cancelled);
    model.weightBytes += weight->bytes;
    if (used.insert(tensor.name).second) done += tensor.bytes;
    if (progress) progress(done, total);
    return weight;
  }

  static std::string shape(int64_t cols, int64_t rows, int64_t depth) {
    std::string text = "[";
    text += std::to_string(cols) + ", " + std::to_string(rows) + ", " + std::to_string(depth);
    return text + "]";
  }

  Model& model;
  const Gguf& file;
  const Progress& progress;
  const std::atomic<bool>& cancelled;
  std::unordered_set<std::string> used;
  uint64_t done = 0, total = 0;
};

LayerWeights loadLayer(Loader& load, const ModelSpec& spec, int index) {
  std::string block = "blk.";
  block += std::to_string(index) + ".";
  const int64_t dim = spec.dim, qDim = int64_t{spec.heads} * spec.headDim,
                kvDim = int64_t{spec.kvHeads} * spec.headDim;
  const Use attention = spec.experts == 0 ? Use::matrix : Use::precise;
  LayerWeights w;
  w.attentionNorm = load.need(block + "attn_norm.weight", Use::vector, dim);
  w.q = load.need(block + "attn_q.weight", attention, dim, qDim);
  w.k = load.need(block + "attn_k.weight", attention, dim, kvDim);
  w.v = load.need(block + "attn_v.weight", attention, dim, kvDim);
  w.o = load.need(block + "attn_output.weight", attention, qDim, dim);
  w.qBias = load.optional(spec.qkvBias, block + "attn_q.bias", Use::vector, qDim);
  w.kBias = load.optional(spec.qkvBias, block + "attn_k.bias", Use::vector, kvDim);
  w.vBias = load.optional(spec.qkvBias, block + "attn_v.bias", Use::vector, kvDim);
  w.qNorm = load.optional(spec.qkNorm, block + "attn_q_norm.weight", Use::vector, spec.headDim);
  w.kNorm = load.optional(spec.qkNorm, block + "attn_k_norm.weight", Use::vector, spec.headDim);
  w.ffnNorm = load.need(block + "ffn_norm.weight", Use::vector, dim);
  if (spec.experts == 0) {
    w.gate = load.need(block + "ffn_gate.weight", Use::matrix, dim, spec.ffn);
    w.up = load.need(block + "ffn_up.weight", Use::matrix, dim, spec.ffn);
    w.down = load.need(block + "ffn_down.weight", Use::matrix, spec.ffn, dim);
    return w;
  }
  const int64_t n = spec.experts, ffn = spec.expertFfn;
  w.router = load.need(block + "ffn_gate_inp.weight", Use::precise, dim, n);
  w.gateExperts = load.need(block + "ffn_gate_exps.weight", Use::experts, dim, ffn, n);
  w.upExperts = load.need(block + "ffn_up_exps.weight", Use::experts, dim, ffn, n);
  w.downExperts = load.need(block + "ffn_down_exps.weight", Use::experts, ffn, dim, n);
  return w;
}

}  // namespace

std::unique_ptr<Backend> makeBackend(const LoadOptions& options) {
  switch (options.device) {
    case Device::reference: return makeReferenceBackend();
    case Device::cuda:
      throw Error(
          Code::noCuda,
          "device 'cuda' is not available: this build has no CUDA kernels; use 'auto' or 'cpu'");
    case Device::automatic:
    case Device::cpu: return makeCpuBackend(options.threads, options.isa);
  }
  throw Error(Code::internal, "unknown device");
}

std::shared_ptr<Model> loadModel(const std::string& path, const LoadOptions& options,
                                 const Progress& progress, const std::atomic<bool>& cancelled) {
  auto model = std::make_shared<Model>();
  model->file = Gguf::open(path);
  model->spec = readSpec(*model->file, options.overrides);
  const ModelSpec& spec = model->spec;
  if (spec.mask < 0 && spec.attention.block != 1)
    throw Error(
        Code::invalidArgument,
        path + ": the file names no mask token (tokenizer.ggml.mask_token_id) and architecture '" +
            spec.architecture + "' has no known one; set the load option maskToken");
  model->backend = makeBackend(options);

  Loader load(*model, progress, cancelled);
  Weights& weights = model->weights;
  weights.embedding = load.need("token_embd.weight", Use::table, spec.dim, spec.vocabulary);
  weights.head = load.need(spec.tiedHead ? "token_embd.weight" : "output.weight", Use::matrix,
                           spec.dim, spec.vocabulary);
  weights.finalNorm = load.need("output_norm.weight", Use::vector, spec.dim);
  for (int layer = 0; layer < spec.layers; layer++)
    weights.layers.push_back(loadLayer(load, spec, layer));
  load.checkAllUsed();
  model->file->release();
  return model;
}

void Model::reserve(int rows) {
  Activations& a = activations;
  if (rows <= a.rows) return;
  const int qDim = spec.heads * spec.headDim, kvDim = spec.kvHeads * spec.headDim;
  const int widths[] = {spec.dim, spec.dim, qDim, qDim, kvDim, kvDim, spec.ffn, spec.dim};
  size_t width = 0;
  for (int w : widths) width += static_cast<size_t>(w);
  a = {};  // the old memory goes back before the new is asked for
  a.memory = backend->alloc(width * static_cast<size_t>(rows));
  float* next = a.memory->data;
  Tensor* views[] = {&a.x, &a.h, &a.q, &a.o, &a.k, &a.v, &a.f, &a.reported};
  for (int i = 0; i < 8; i++) {
    *views[i] = {next, rows, widths[i]};
    next += static_cast<size_t>(rows) * static_cast<size_t>(widths[i]);
  }
  a.rows = rows;
}

uint64_t sessionBytes(const ModelSpec& spec, int length) {
  const uint64_t kvDim = uint64_t(spec.kvHeads) * spec.headDim,
                 qDim = uint64_t(spec.heads) * spec.headDim;
  const uint64_t cache = uint64_t(spec.layers) * 2 * kvDim;
  const uint64_t activations = 3 * uint64_t(spec.dim) + 2 * qDim + 2 * kvDim + uint64_t(spec.ffn);
  return (cache * uint64_t(planeRows(length)) + activations * uint64_t(length)) * sizeof(float) +
         uint64_t(length) * sizeof(int32_t);
}

}  // namespace lacuna
