// attend: fresh K/V into the sessions' planes, then rows against them, the keys split over blocks
// where there are few rows.
#include "attention.cuh"

namespace lacuna::cuda {

// Block (row of the segment, segment, 0: keys, 1: values). Threads take pairs of columns: 8-byte
// loads and 4-byte stores, both coalesced.
KERNEL(storeKeysValues, 128, StoreArguments) {
  const AttentionSegment s = a.segments[blockIdx.y];
  const int row = static_cast<int>(blockIdx.x);
  if (row >= s.ordinary) return;
  const int columns = a.kvHeads * a.headDim;
  const int64_t from = static_cast<int64_t>(s.firstRow + row) * columns;
  const float2* in = reinterpret_cast<const float2*>((blockIdx.z ? a.v : a.k) + from);
  uint32_t* plane = reinterpret_cast<uint32_t*>(blockIdx.z ? s.values : s.keys);
  const int position = s.positions[row], half = a.headDim / 2;  // words of a term
  for (int i = static_cast<int>(threadIdx.x); i < columns / 2; i += 128) {
    const float2 x = in[i];
    const float x0 = x.x * kPlaneScale, x1 = x.y * kPlaneScale;
    const uint32_t hi = packHalves(x0, x1);
    const int head = i / half, column = i % half;
    uint32_t* out =
        plane + (static_cast<int64_t>(head) * s.capacity + position) * a.headDim + column;
    out[0] = hi;
    out[half] = packHalves((x0 - lowHalf(hi)) * kLowScale, (x1 - highHalf(hi)) * kLowScale);
  }
}

// Heads of up to 64, 128 and 256 columns. Shared memory: (pairs + 2 · KEYS) · DIM · 4 bytes, 48, 64
// and 64 KB, which is what an RTX 20 has.
KERNEL(attend64, 128, AttentionArguments) {
  SHARED_DYNAMIC(shared);
  attend<64, 4, 64>(a, as<uint16_t>(shared));
}
KERNEL(attend128, 128, AttentionArguments) {
  SHARED_DYNAMIC(shared);
  attend<128, 4, 32>(a, as<uint16_t>(shared));
}
KERNEL(attend256, 64, AttentionArguments) {
  SHARED_DYNAMIC(shared);
  attend<256, 2, 16>(a, as<uint16_t>(shared));
}

// A warp per row and head: the splits' sums, brought to the largest of their scores, one after the
// other.
KERNEL(mergeSplits, 128, MergeArguments) {
  const int pair = static_cast<int>(blockIdx.x) * 4 + warp();
  if (pair >= a.pairs) return;
  float largest = kLowest;
  for (int i = 0; i < a.splits; i++) {
    largest = fmaxf(largest, a.totals[(static_cast<int64_t>(i) * a.pairs + pair) * 2]);
  }
  for (int column = lane(); column < a.headDim; column += 32) {
    float sum = 0, total = 0;
    for (int i = 0; i < a.splits; i++) {
      const int64_t at = static_cast<int64_t>(i) * a.pairs + pair;
      const float rate = exp2f(a.totals[at * 2] - largest);
      sum += rate * a.partial[at * a.headDim + column];
      total += rate * a.totals[at * 2 + 1];
    }
    a.o[static_cast<int64_t>(pair) * a.headDim + column] = total == 0 ? 0 : sum / total;
  }
}

}  // namespace lacuna::cuda
