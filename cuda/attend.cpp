#include "../native/error.h"
#include "backend.h"

namespace lacuna::cuda {

struct AttendState {};

void CudaBackend::attend(Tensor, Tensor, Tensor, Tensor, std::span<const Segment>,
                         const AttentionShape&) {
  throw Error(Code::internal, "attend is not on the card yet");
}

}  // namespace lacuna::cuda
