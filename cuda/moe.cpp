#include "../native/error.h"
#include "backend.h"

namespace lacuna::cuda {

struct MoeState {};

void CudaBackend::moe(Tensor, Tensor, const Experts&) {
  throw Error(Code::internal, "moe is not on the card yet");
}

}  // namespace lacuna::cuda
