#include "backend.h"

namespace lacuna::cuda {

// Until the rules run on the card: on the host, when its statistics have arrived.
struct CommitState {
  CommitBatch* batch = nullptr;
};

void CudaBackend::commit(CommitBatch& batch) {
  if (!commitState) commitState = std::make_shared<CommitState>();
  commitState->batch = &batch;
}

void CudaBackend::finishCommit() {
  if (!commitState || !commitState->batch) return;
  CommitBatch& batch = *commitState->batch;
  commitState->batch = nullptr;
  Backend::commit(batch);
}

}  // namespace lacuna::cuda
