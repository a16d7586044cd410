// A quantised file as a model of F32 weights, so that trajectories can be compared token by token
// without files of that size.
#include "quant/quant.h"
#include "steps.h"

namespace lacuna::steps {

std::shared_ptr<Model> loadDecoded(const std::string& path, std::unique_ptr<Backend> backend) {
  auto model = std::make_shared<Model>();
  model->file = Gguf::open(path);
  model->spec = readSpec(*model->file);
  model->backend = std::move(backend);
  WeightPlan plan = planWeights(*model->file, model->spec);
  std::vector<std::vector<float>> values(plan.bindings.size());
  std::vector<TensorView> views(plan.bindings.size());
  for (size_t i = 0; i < views.size(); i++) {
    const TensorView& tensor = *plan.bindings[i].tensor;
    values[i].resize(static_cast<size_t>(tensor.elements()));
    decodeRow(tensor.type, tensor.data, tensor.elements(), values[i].data());
    views[i] = tensor;
    views[i].type = Type::f32;
    views[i].data = reinterpret_cast<const uint8_t*>(values[i].data());
    views[i].bytes = values[i].size() * sizeof(float);
    plan.bindings[i].tensor = &views[i];
  }
  const std::atomic<bool> cancelled{false};
  model->weights = uploadWeights(
      std::move(plan), *model->file, *model->backend, [](uint64_t, uint64_t) {}, cancelled);
  return model;
}

}  // namespace lacuna::steps
