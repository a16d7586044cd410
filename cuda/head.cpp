#include "../native/error.h"
#include "backend.h"

namespace lacuna::cuda {

void CudaBackend::head(HeadResult&, Tensor, const Weight&, std::span<const HeadRow>,
                       std::span<const HeadOptions>) {
  throw Error(Code::internal, "head is not on the card yet");
}

void CudaBackend::finishHead() {}

}  // namespace lacuna::cuda
