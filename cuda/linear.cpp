// embed and linear.
#include "../native/error.h"
#include "backend.h"

namespace lacuna::cuda {

struct LinearState {};

void CudaBackend::embed(Tensor, const Weight&, std::span<const int32_t>, std::span<const SoftRow>) {
  throw Error(Code::internal, "embed is not on the card yet");
}

void CudaBackend::linear(Tensor, Tensor, const Weight&, const Weight*, Epilogue) {
  throw Error(Code::internal, "linear is not on the card yet");
}

}  // namespace lacuna::cuda
