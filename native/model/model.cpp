#include "model.h"

#include <chrono>
#include <string>
#include <utility>

#include "../error.h"
#include "fit.h"
#include "shared.h"

namespace lacuna {
namespace {

// Passes on what is new, at most fifty times a second, and the end.
class Meter {
 public:
  explicit Meter(const Progress& progress) : progress(progress) {}

  void operator()(uint64_t done, uint64_t total) {
    const auto now = std::chrono::steady_clock::now();
    const bool soon = now < next && done < total;
    if (!progress || done <= last || soon) return;
    last = done;
    next = now + std::chrono::milliseconds(20);
    progress(done, total);
  }

 private:
  const Progress& progress;
  uint64_t last = 0;
  std::chrono::steady_clock::time_point next{};
};

// UNSUPPORTED_ARCHITECTURE for a model that the backend has no kernels for.
void checkLimits(const std::string& path, const ModelSpec& spec, const Backend& backend) {
  const Backend::Limits limits = backend.limits();
  const auto refuse = [&](const char* key, int value, const std::string& right) {
    throw Error(Code::unsupportedArchitecture,
                path + ": " + spec.architecture + "." + key + " is " + std::to_string(value) +
                    ", and " + backend.name() + " takes " + right + "; load it on device 'cpu'");
  };
  if (limits.headDim > 0 && (spec.headDim > limits.headDim || spec.headDim % 2 != 0))
    refuse("attention.key_length", spec.headDim,
           "even ones up to " + std::to_string(limits.headDim));
  if (limits.experts > 0 && spec.experts > limits.experts)
    refuse("expert_count", spec.experts, "up to " + std::to_string(limits.experts));
}

}  // namespace

std::unique_ptr<Backend> makeBackend(const LoadOptions& options) {
  switch (options.device) {
    case Device::reference: return makeReferenceBackend();
    case Device::cuda: return makeCudaBackend(options.card);
    case Device::automatic: {
      // Who names an ISA or threads means the CPU.
      const bool anyDevice = options.isa.empty() && options.threads == 0;
      const int card = anyDevice ? firstCudaCard() : -1;
      if (card >= 0) return makeCudaBackend(card);
      return makeCpuBackend(options.threads, options.isa);
    }
    case Device::cpu: return makeCpuBackend(options.threads, options.isa);
  }
  throw Error(Code::internal, "unknown device");
}

std::shared_ptr<Model> loadModel(const std::string& path, const LoadOptions& options,
                                 const Progress& progress, const std::atomic<bool>& cancelled) {
  return loadModel(path, options.overrides, makeBackend(options), progress, cancelled);
}

std::shared_ptr<Model> loadModel(const std::string& path, const SpecOverrides& overrides,
                                 std::unique_ptr<Backend> backend, const Progress& progress,
                                 const std::atomic<bool>& cancelled) {
  auto model = std::make_shared<Model>();
  model->file = Gguf::open(path);
  model->spec = readSpec(*model->file, overrides);
  const ModelSpec& spec = model->spec;
  if (spec.mask < 0 && spec.attention.block != 1)
    throw Error(
        Code::invalidArgument,
        path + ": the file names no mask token (tokenizer.ggml.mask_token_id) and architecture '" +
            spec.architecture + "' has no known one; set the load option maskToken");
  model->backend = std::move(backend);
  checkLimits(path, spec, *model->backend);

  Meter meter(progress);
  const auto report = [&](uint64_t done, uint64_t total) { meter(done, total); };
  WeightPlan plan = planWeights(*model->file, spec);
  const uint64_t total = plan.fileBytes;
  const auto upload = [&](const Progress& uploaded) {
    reserveWeights(plan, spec, *model->backend);
    return uploadWeights(std::move(plan), *model->file, *model->backend, uploaded, cancelled);
  };
  const std::string key = model->backend->layout() + " " + model->file->identity();
  model->weights = shareWeights(key, upload, report, cancelled);
  model->file->release();
  report(total, total);
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
  a.memory = allocActivations(*backend, width, rows);
  float* next = a.memory->data;
  Tensor* views[] = {&a.x, &a.h, &a.q, &a.o, &a.k, &a.v, &a.f, &a.reported};
  for (int i = 0; i < 8; i++) {
    *views[i] = {next, rows, widths[i]};
    next += static_cast<size_t>(rows) * static_cast<size_t>(widths[i]);
  }
  a.rows = rows;
}

SessionBytes sessionBytes(const ModelSpec& spec, int length) {
  const uint64_t kvDim = uint64_t(spec.kvHeads) * spec.headDim,
                 qDim = uint64_t(spec.heads) * spec.headDim, n = uint64_t(length);
  const uint64_t row = 3 * uint64_t(spec.dim) + 2 * qDim + 2 * kvDim + uint64_t(spec.ffn);
  const uint64_t planes = uint64_t(planeRows(length)) * spec.layers * 2 * kvDim;
  return {(planes + uint64_t(planeRows(length))) * sizeof(float), n * row * sizeof(float)};
}

}  // namespace lacuna
