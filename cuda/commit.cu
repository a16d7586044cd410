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

DEVICE bool better(const CommitRank& a, const CommitRank& b) {
  return a.key > b.key || (a.key == b.key && a.position < b.position);
}

// One stage of a bitonic sort, best first, over entries [first, first + count) of all: pairs at a
// distance, in runs of `size` that are sorted the one way and the other way by turns.
template <class List>
DEVICE void sortStage(List list, int first, int count, int size, int distance) {
  for (int i = static_cast<int>(threadIdx.x); i < count / 2; i += kCommitThreads) {
    const int low = (i & ~(distance - 1)) * 2 + (i & (distance - 1)), high = low + distance;
    const CommitRank a = list[low], b = list[high];
    const bool reversed = ((first + low) & size) != 0;
    if (better(b, a) != reversed) {
      list[low] = b;
      list[high] = a;
    }
  }
  __syncthreads();
}

// The stages of sizes [from, to] that stay inside tiles, which are done in shared memory.
DEVICE void sortTiles(CommitRank* ranks, int padded, int from, int to) {
  SHARED(CommitRank, tile, kCommitTile);
  const int count = min(padded, kCommitTile), thread = static_cast<int>(threadIdx.x);
  for (int first = 0; first < padded; first += count) {
    for (int i = thread; i < count; i += kCommitThreads) tile[i] = ranks[first + i];
    __syncthreads();
    for (int size = from; size <= to; size *= 2) {
      for (int distance = min(size, count) / 2; distance > 0; distance /= 2)
        sortStage(tile, first, count, size, distance);
    }
    for (int i = thread; i < count; i += kCommitThreads) ranks[first + i] = tile[i];
    __syncthreads();
  }
}

DEVICE void sortRanks(CommitRank* ranks, int padded) {
  sortTiles(ranks, padded, 2, min(padded, kCommitTile));
  for (int size = 2 * kCommitTile; size <= padded; size *= 2) {
    for (int distance = size / 2; distance >= kCommitTile; distance /= 2)
      sortStage(ranks, 0, padded, size, distance);
    sortTiles(ranks, padded, size, size);
  }
}

// How many of the best the prefix rules take. The threads read a tile, then one goes through it in
// order, since the sums are to be the host's.
DEVICE int prefixCount(const CommitWork& item, int candidates) {
  SHARED(double, values, kCommitThreads);
  SHARED(int, taken, 1);
  const int thread = static_cast<int>(threadIdx.x);
  const bool factor = item.select == Select::factor;
  double sum = 0, largest = 0;  // of thread 0
  if (thread == 0) taken[0] = 0;
  for (int first = 0; first < candidates; first += kCommitThreads) {
    const int here = min(kCommitThreads, candidates - first);
    if (thread < here) {
      const CommitRank rank = item.ranks[first + thread];
      values[thread] = factor ? doubleOfOrder(rank.key) : item.entropy[rank.row];
    }
    __syncthreads();
    if (thread == 0) {
      int i = 0;
      for (; i < here; i++) {
        const double value = values[i];
        const int count = first + i;
        if (factor) {
          if (count > 0 && !((count + 2) * (1.0 - value) <= item.factor)) break;
        } else {
          sum += value;
          largest = largest < value ? value : largest;
          if (count > 0 && sum - largest > item.gamma) break;
        }
      }
      taken[0] = first + i;
    }
    __syncthreads();
    if (taken[0] < first + here) break;
  }
  __syncthreads();
  const int count = taken[0];
  return factor && item.literal && count + 1 == candidates ? count + 1 : count;
}

KERNEL(commitRules, kCommitThreads, CommitArguments) {
  const CommitWork& item = a.items[blockIdx.x];
  const int thread = static_cast<int>(threadIdx.x), n = item.count;
  int padded = 1;
  while (padded < n) padded *= 2;
  int candidates = 0, above = 0;
  for (int first = 0; first < padded; first += kCommitThreads) {
    const int i = first + thread;
    uint64_t key = 0;
    if (i < n) {
      key = scoreKey(item, i);
      item.written[i] = 0;
    }
    if (i < padded) item.ranks[i] = {key, i < n ? item.positions[i] : 0, i};
    const double score = key ? doubleOfOrder(key) : 0;
    const bool passes = key && (item.strict ? score > item.tau : score >= item.tau);
    candidates += __syncthreads_count(key != 0);
    above += __syncthreads_count(passes);
  }
  sortRanks(item.ranks, padded);

  int count = candidates;
  switch (item.select) {
    case Select::topK: count = min(candidates, max(item.k, 0)); break;
    case Select::threshold: count = max(above, min(candidates, max(item.min, 0))); break;
    case Select::factor:
    case Select::entropyBound: count = prefixCount(item, candidates); break;
    case Select::all: break;
  }
  for (int rank = thread; rank < count; rank += kCommitThreads) {
    const CommitRank taken = item.ranks[rank];
    const int32_t token = item.token[taken.row];
    if (token == item.mask) continue;
    item.written[taken.row] = 1;
    item.canvas[taken.position] = token;
  }
}

}  // namespace lacuna::cuda
