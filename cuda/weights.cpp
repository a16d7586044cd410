// Weights on their way to the card.
#include <vector>

#include "../native/error.h"
#include "../native/quant/quant.h"
#include "backend.h"

namespace lacuna::cuda {

WeightPtr CudaBackend::upload(const TensorView& view, Use use, const std::atomic<bool>&) {
  if (use != Use::vector)
    throw Error(Code::internal, "tensor '" + view.name + "': matrices are not on the card yet");
  auto weight = std::make_shared<CudaWeight>();
  weight->name = view.name;
  weight->use = use;
  weight->cols = view.cols;
  weight->rows = view.rows;
  weight->depth = view.depth;
  weight->bytes = static_cast<size_t>(weightBytes(view, use));
  std::vector<float> values(static_cast<size_t>(view.cols));
  decodeRow(view.type, view.data, view.cols, values.data());
  weight->memory = DeviceBuffer(driver, weight->bytes, "tensor '" + view.name + "'");
  stream->copyIn(weight->memory.as(), values.data(), weight->bytes);
  stream->wait();
  return weight;
}

uint64_t CudaBackend::weightBytes(const TensorView& view, Use) const {
  return static_cast<uint64_t>(view.elements()) * sizeof(float);
}

}  // namespace lacuna::cuda
