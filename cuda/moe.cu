// moe: the router's choice, rows grouped by expert so that an expert's weights are read once for
// all of its rows, and the weighted sum of what they made. The products between are gemm.cu's.
#include "moe.h"

#include "device.cuh"

namespace lacuna::cuda {

// A warp per row: softmax over all experts, the `used` best of them, ties to the lower expert.
KERNEL(routeExperts, 128, RouteArguments) {
  const int row = static_cast<int>(blockIdx.x) * 4 + warp();
  if (row >= a.rows) return;
  const float* z = a.logits + static_cast<int64_t>(row) * a.experts;
  int32_t* expert = a.expert + static_cast<int64_t>(row) * a.used;
  float* weight = a.weight + static_cast<int64_t>(row) * a.used;

  // The choice is the next one after the last in the order of (logit, −expert), so that nothing
  // needs to be remembered. What is no number counts as −∞.
  float last = INFINITY, largest = 0, chosen = 0;
  int lastExpert = -1;
  for (int n = 0; n < a.used; n++) {
    float best = -INFINITY;
    int bestExpert = a.experts;
    for (int e = lane(); e < a.experts; e += 32) {
      const float value = z[e] == z[e] ? z[e] : -INFINITY;
      const bool left = value < last || (value == last && e > lastExpert);
      if (left && (value > best || bestExpert == a.experts)) {
        best = value;
        bestExpert = e;
      }
    }
    for (int step = 16; step > 0; step /= 2) {
      const float other = __shfl_xor_sync(kAllLanes, best, step);
      const int otherExpert = __shfl_xor_sync(kAllLanes, bestExpert, step);
      const bool better = other > best || (other == best && otherExpert < bestExpert);
      best = better ? other : best;
      bestExpert = better ? otherExpert : bestExpert;
    }
    if (n == 0) largest = best;
    const float e = expf(best - largest);
    chosen += e;
    if (lane() == 0) {
      expert[n] = bestExpert;
      weight[n] = e;
    }
    last = best;
    lastExpert = bestExpert;
  }
  float all = 0;
  for (int e = lane(); e < a.experts; e += 32) all += expf(z[e] - largest);
  all = warpSum(all);
  __syncwarp();
  for (int n = lane(); n < a.used; n += 32) weight[n] /= a.renormalise ? chosen : all;
}

// Lanes whose value (below kMostExperts) is the same.
DEVICE unsigned peersOf(int value, bool valid) {
  unsigned peers = __ballot_sync(kAllLanes, valid);
  for (int bit = 1; bit < kMostExperts; bit *= 2) {
    const unsigned set = __ballot_sync(kAllLanes, (value & bit) != 0);
    peers &= value & bit ? set : ~set;
  }
  return peers;
}

// Shared memory of groupExperts.
struct Groups {
  Shared<int32_t> count;  // (warps, experts) entries of a warp; then those of the warps before it
  Shared<int32_t> total;  // (experts)
  Shared<int32_t> start;  // (experts) first slot
};

DEVICE int warpScan(int value) {  // the sum up to and with this lane
  for (int step = 1; step < 32; step *= 2) {
    const int before = __shfl_up_sync(kAllLanes, value, step);
    if (lane() >= step) value += before;
  }
  return value;
}

// One warp: where each expert's slots begin, and its tiles.
DEVICE void placeExperts(const GroupArguments& a, const Groups& groups) {
  int slots = 0, tiles = 0;
  for (int base = 0; base < a.experts; base += 32) {
    const int expert = base + lane();
    const int rows = expert < a.experts ? static_cast<int>(groups.total[expert]) : 0;
    const int padded = divideUp(rows, kSliceRows) * kSliceRows, needed = divideUp(rows, a.width);
    const int slotsHere = warpScan(padded), tilesHere = warpScan(needed);
    const int first = slots + slotsHere - padded;
    if (expert < a.experts) groups.start[expert] = first;
    for (int i = 0; i < needed; i++) {
      a.work[tiles + tilesHere - needed + i] = {expert, first + i * a.width,
                                                min(a.width, rows - i * a.width), 0};
    }
    slots += __shfl_sync(kAllLanes, slotsHere, 31);
    tiles += __shfl_sync(kAllLanes, tilesHere, 31);
  }
  if (lane() == 0) *a.workCount = tiles;
}

// One block sorts the entries by (expert, row): a radix sort of one digit. Each warp has a run of
// entries, counts them by expert, and puts them after those of the warps before it.
KERNEL(groupExperts, kGroupWarps * 32, GroupArguments) {
  constexpr int threads = kGroupWarps * 32;
  const int thread = static_cast<int>(threadIdx.x);
  SHARED_DYNAMIC(memory);
  const Shared<int32_t> count = as<int32_t>(Shared<unsigned char>(memory));
  const Groups groups{count, count + kGroupWarps * a.experts,
                      count + (kGroupWarps + 1) * a.experts};
  const Shared<int32_t> mine = count + warp() * a.experts;
  for (int i = thread; i < kGroupWarps * a.experts; i += threads) count[i] = 0;
  for (int i = thread; i < a.slots; i += threads) a.source[i] = a.present[i] = -1;
  __syncthreads();

  const int run = divideUp(a.entries, threads) * 32;
  const int first = warp() * run, last = min(first + run, a.entries);
  for (int base = first; base < last; base += 32) {
    const bool valid = base + lane() < last;
    const int expert = valid ? a.expert[base + lane()] : 0;
    const unsigned peers = peersOf(expert, valid);
    if (valid && (peers & ((1u << lane()) - 1)) == 0) mine[expert] += __popc(peers);
    __syncwarp();
  }
  __syncthreads();
  for (int e = thread; e < a.experts; e += threads) {
    int sum = 0;
    for (int w = 0; w < kGroupWarps; w++) {
      const int here = count[w * a.experts + e];
      count[w * a.experts + e] = sum;
      sum += here;
    }
    groups.total[e] = sum;
  }
  __syncthreads();
  if (warp() == 0) placeExperts(a, groups);
  __syncthreads();

  for (int base = first; base < last; base += 32) {
    const bool valid = base + lane() < last;
    const int entry = base + lane(), expert = valid ? a.expert[entry] : 0;
    const unsigned peers = peersOf(expert, valid), lower = peers & ((1u << lane()) - 1);
    if (valid) {
      const int slot = groups.start[expert] + mine[expert] + __popc(lower);
      a.source[slot] = entry / a.used;
      a.present[slot] = slot;
      a.slotOf[entry] = slot;
    }
    __syncwarp();
    if (valid && lower == 0) mine[expert] += __popc(peers);
    __syncwarp();
  }
}

// y row += Σ weight · out of the row's slots, best expert first. A block per row; 4 columns a
// thread where rows are so aligned.
KERNEL(scatterExperts, 128, ScatterArguments) {
  const int64_t row = blockIdx.x;
  const int32_t* slots = a.slotOf + row * a.used;
  const float* weights = a.weight + row * a.used;
  float* y = a.y + row * a.cols;
  const int from = static_cast<int>(blockIdx.y * 128 + threadIdx.x);
  if (a.cols % 4 != 0) {
    for (int c = from; c < a.cols; c += static_cast<int>(gridDim.y) * 128) {
      float sum = y[c];
      for (int n = 0; n < a.used; n++) {
        sum += weights[n] * a.out[static_cast<int64_t>(slots[n]) * a.cols + c];
      }
      y[c] = sum;
    }
    return;
  }
  for (int c = from * 4; c < a.cols; c += static_cast<int>(gridDim.y) * 512) {
    float4 sum = *reinterpret_cast<const float4*>(y + c);
    for (int n = 0; n < a.used; n++) {
      const float w = weights[n];
      const float* out = a.out + static_cast<int64_t>(slots[n]) * a.cols + c;
      const float4 x = *reinterpret_cast<const float4*>(out);
      sum.x += w * x.x;
      sum.y += w * x.y;
      sum.z += w * x.z;
      sum.w += w * x.w;
    }
    *reinterpret_cast<float4*>(y + c) = sum;
  }
}

}  // namespace lacuna::cuda
