// Commit rules on the statistics where the head left them: one block per session. It says the same
// as native/session/commit.cpp, which has the sources of the rules, and in the same arithmetic:
// the commits are equal, not merely close.
#include "commit.h"

#include "device.cuh"
#include "order.cuh"
#include "philox.cuh"

namespace lacuna::cuda {

// 0 when row i may not be committed.
DEVICE uint64_t scoreKey(const CommitWork& item, int i) {
  const int32_t position = item.positions[i];
  if (position < item.begin || position >= item.end) return 0;
  if (item.canvas[position] != item.mask) return 0;
  double score = 0;
  switch (item.score) {
    case Score::probability: score = item.probability[i]; break;
    case Score::margin: score = item.margin[i]; break;
    case Score::negEntropy: score = -item.entropy[i]; break;
    case Score::random:
      score = philoxScore(item.seed, item.step, static_cast<uint32_t>(position));
      break;
    case Score::position: score = -position; break;
  }
  if (item.bias) score += item.bias[position];
  return orderOf(score == score ? score : -INFINITY);  // NaN: damaged weights
}

// The rank of a candidate is the number of better ones: n² integer comparisons, which for the
// hundreds of rows that a step reports take less time than a sort with its barriers.
DEVICE void rankCandidates(const CommitWork& item, int thread) {
  SHARED(uint64_t, keys, kCommitThreads);
  SHARED(int32_t, positions, kCommitThreads);
  const int n = item.count;
  for (int first = 0; first < n; first += kCommitThreads) {
    const int own = first + thread;
    const uint64_t key = own < n ? item.keys[own] : 0;
    const int32_t position = own < n ? item.positions[own] : 0;
    int rank = 0;
    for (int others = 0; others < n; others += kCommitThreads) {
      const int here = min(kCommitThreads, n - others);
      __syncthreads();
      if (thread < here) {
        keys[thread] = item.keys[others + thread];
        positions[thread] = item.positions[others + thread];
      }
      __syncthreads();
      for (int i = 0; i < here; i++) {
        const uint64_t other = keys[i];
        rank += other > key || (other == key && positions[i] < position);
      }
    }
    if (!key) continue;  // 0 for threads past the end as well
    item.order[rank] = own;
    item.ranked[rank] =
        item.select == Select::entropyBound ? item.entropy[own] : doubleOfOrder(key);
  }
  __syncthreads();
}

// How many of the best the prefix rules take; one thread.
DEVICE int prefixCount(const CommitWork& item, int candidates) {
  int count = 0;
  if (item.select == Select::factor) {
    count = min(1, candidates);
    while (count < candidates && (count + 2) * (1.0 - item.ranked[count]) <= item.factor) count++;
    if (item.literal && count + 1 == candidates) count++;
    return count;
  }
  double sum = 0, largest = 0;
  for (; count < candidates; count++) {
    const double entropy = item.ranked[count];
    sum += entropy;
    largest = largest < entropy ? entropy : largest;
    if (count > 0 && sum - largest > item.gamma) break;
  }
  return count;
}

KERNEL(commitRules, kCommitThreads, CommitArguments) {
  SHARED(int, prefix, 1);
  const CommitWork& item = a.items[blockIdx.x];
  const int thread = static_cast<int>(threadIdx.x), n = item.count;
  int candidates = 0, above = 0;
  for (int first = 0; first < n; first += kCommitThreads) {
    const int i = first + thread;
    uint64_t key = 0;
    if (i < n) {
      item.keys[i] = key = scoreKey(item, i);
      item.written[i] = 0;
    }
    const double score = key ? doubleOfOrder(key) : 0;
    const bool passes = key && (item.strict ? score > item.tau : score >= item.tau);
    candidates += __syncthreads_count(key != 0);
    above += __syncthreads_count(passes);
  }
  rankCandidates(item, thread);

  int count = candidates;
  switch (item.select) {
    case Select::topK: count = min(candidates, max(item.k, 0)); break;
    case Select::threshold: count = max(above, min(candidates, max(item.min, 0))); break;
    case Select::factor:
    case Select::entropyBound:
      if (thread == 0) prefix[0] = prefixCount(item, candidates);
      __syncthreads();
      count = prefix[0];
      break;
    case Select::all: break;
  }
  for (int rank = thread; rank < count; rank += kCommitThreads) {
    const int i = item.order[rank];
    item.written[i] = item.token[i] != item.mask;
  }
}

}  // namespace lacuna::cuda
