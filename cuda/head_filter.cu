// Top-k and top-p: of softmax(z / T) the most probable tokens until their sum exceeds topP, the one
// that crosses included; of these the topK largest; of equal logits the lower tokens. One block per
// row, over the row's adjusted logits, which the head's product left in memory (64 rows of them at
// most). It looks for the last token that is kept: first by bins of logits, then, inside the bin
// where it lies, byte by byte of the tokens' keys. Masses are whole numbers, so that shared
// memory's atomic sums are the same in any order. Of a sharp distribution nearly all tiles lie
// below the bin, and their largest logit says so: only the first of the passes reads everything.
#include "head.cuh"

namespace lacuna::cuda {

constexpr int kBins = 2048;
constexpr float kBinsPerNat = 16;
constexpr float kMassUnit = 17592186044416.0f;  // 2^44: 2^18 tokens of e^0 stay below 2^63
using Mass = unsigned long long;

// The last token that is kept lies in `bin`, and its key begins with `prefix`: key >> shift.
struct FilterEnd {
  int bin;    // kBins: everything is kept
  int shift;  // 64: no byte of the key is known yet
  uint64_t prefix;
  int inside;  // tokens that agree with it
  int before;  // tokens that come before those, and their mass
  Mass massBefore;
};

struct Filter {
  const HeadArguments& head;
  const HeadRowWork& row;
  const HeadOptionWork& options;
  float largest;

  DEVICE int binOf(float z) const {
    const float at = (largest - z) * options.filterRate * kBinsPerNat;
    return at < kBins - 1 ? static_cast<int>(at) : kBins - 1;
  }
  DEVICE Mass massOf(float z) const {
    return static_cast<Mass>(expf((z - largest) * options.filterRate) * kMassUnit);
  }
  DEVICE bool full(int taken, Mass mass, Mass all) const {
    if (options.topK > 0 && taken >= options.topK) return true;
    return options.topP < 1 && taken > 0 &&
           static_cast<double>(mass) > static_cast<double>(options.topP) * static_cast<double>(all);
  }
  DEVICE bool keeps(const FilterEnd& end, float z, int token) const {
    const int bin = binOf(z);
    if (bin != end.bin) return bin < end.bin;
    return end.shift == 64 || tokenKey(z, token) >> end.shift >= end.prefix;
  }
  DEVICE bool below(const FilterEnd& end, int tile) const {
    const float highest = row.parts[tile].highest;
    return highest == -INFINITY || binOf(highest) > end.bin;
  }
  // Calls body(z, token) for the tokens of this thread.
  template <class Body>
  DEVICE void forTile(int tile, const Body& body) const {
    const int token = tile * kHeadTile + lane() * kLaneTokens;
    const float4 z = as<const float4>(row.whole + token)[0];
    const float four[4] = {z.x, z.y, z.z, z.w};
    for (int i = 0; i < 4; i++) {
      if (four[i] != -INFINITY) body(four[i], token + i);
    }
  }
};

constexpr int kFilterWarps = kFilterThreads / 32;

DEVICE void clearBins(Shared<uint32_t> counts, Shared<Mass> masses, int bins) {
  __syncthreads();
  for (int bin = static_cast<int>(threadIdx.x); bin < bins; bin += kFilterThreads) {
    counts[bin] = 0;
    masses[bin] = 0;
  }
  __syncthreads();
}

// Every token by its bin. The last bin holds the bulk of a sharp distribution, so each thread
// counts its own.
DEVICE void binTokens(const Filter& f, Shared<uint32_t> counts, Shared<Mass> masses) {
  uint32_t last = 0;
  Mass lastMass = 0;
  for (int tile = warp(); tile < f.head.tiles; tile += kFilterWarps) {
    f.forTile(tile, [&](float z, int) {
      const int bin = f.binOf(z);
      if (bin == kBins - 1) {
        last++;
        lastMass += f.massOf(z);
      } else {
        atomicAdd(counts + bin, 1u);
        atomicAdd(masses + bin, f.massOf(z));
      }
    });
  }
  last = warpSum(last);
  lastMass = warpSum(lastMass);
  if (lane() == 0 && last > 0) {
    atomicAdd(counts + (kBins - 1), last);
    atomicAdd(masses + (kBins - 1), lastMass);
  }
  __syncthreads();
}

// The tokens that agree with `end` by the next byte of their keys, the largest first.
DEVICE void binBytes(const Filter& f, const FilterEnd& end, Shared<uint32_t> counts,
                     Shared<Mass> masses) {
  for (int tile = warp(); tile < f.head.tiles; tile += kFilterWarps) {
    if (f.below(end, tile)) continue;
    f.forTile(tile, [&](float z, int token) {
      if (f.binOf(z) != end.bin) return;
      const uint64_t key = tokenKey(z, token);
      if (end.shift < 64 && key >> end.shift != end.prefix) return;
      const int byte = 255 - static_cast<int>(key >> (end.shift - 8) & 255);
      atomicAdd(counts + byte, 1u);
      atomicAdd(masses + byte, f.massOf(z));
    });
  }
  __syncthreads();
}

// The bin with which what is kept becomes full, or `bins`; `end` gets the counts up to it. One
// warp: each lane adds up its share of the bins, then the lane where it happens goes through them.
DEVICE int findEnd(const Filter& f, Shared<uint32_t> counts, Shared<Mass> masses, int bins,
                   FilterEnd& end, Mass& all) {
  const int share = bins / 32, first = lane() * share;
  int taken = 0;
  Mass mass = 0;
  for (int bin = first; bin < first + share; bin++) {
    taken += static_cast<int>(counts[bin]);
    mass += masses[bin];
  }
  const int ownTaken = taken;
  const Mass ownMass = mass;
  for (int distance = 1; distance < 32; distance *= 2) {
    const int otherTaken = __shfl_up_sync(kAllLanes, taken, distance);
    const Mass otherMass = __shfl_up_sync(kAllLanes, mass, distance);
    if (lane() < distance) continue;
    taken += otherTaken;
    mass += otherMass;
  }
  if (bins == kBins) all = __shfl_sync(kAllLanes, mass, 31);
  const bool here = f.full(end.before + taken, end.massBefore + mass, all);
  const unsigned lanes = __ballot_sync(kAllLanes, here);
  int found = bins;
  if (lanes && lane() == __ffs(static_cast<int>(lanes)) - 1) {
    end.before += taken - ownTaken;
    end.massBefore += mass - ownMass;
    for (found = first;; found++) {
      end.inside = static_cast<int>(counts[found]);
      if (f.full(end.before + end.inside, end.massBefore + masses[found], all)) break;
      end.before += end.inside;
      end.massBefore += masses[found];
    }
  }
  return found;
}

DEVICE float highestLogit(const Filter& f, Shared<float> work) {
  float highest = -INFINITY;
  for (int tile = static_cast<int>(threadIdx.x); tile < f.head.tiles; tile += kFilterThreads) {
    highest = fmaxf(highest, f.row.parts[tile].highest);
  }
  highest = warpMax(highest);
  if (lane() == 0) work[warp()] = highest;
  __syncthreads();
  return warpMax(lane() < kFilterWarps ? static_cast<float>(work[lane()]) : -INFINITY);
}

// The token, and with Dream's statistics these too, from what is kept.
DEVICE void reduceKept(const Filter& f, const FilterEnd& end) {
  for (int tile = warp(); tile < f.head.tiles; tile += kFilterWarps) {
    const HeadTile at{f.head, f.row, f.options, tile};
    float z[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    if (!f.below(end, tile)) {
      f.forTile(tile, [&](float logit, int token) {
        if (f.keeps(end, logit, token)) z[token - at.laneToken()] = logit;
      });
    }
    HeadKept kept{};
    kept.choice = choose(at, z, kept.logit);
    if (lane() == 0) f.row.kept[tile] = kept;
    if (!f.options.tempered) continue;
    HeadPart part = f.row.parts[tile];
    describe(at, z, part);
    __syncwarp();  // all lanes have read it
    if (lane() == 0) f.row.parts[tile] = part;
  }
}

KERNEL(headFilter, kFilterThreads, HeadFilterArguments) {
  SHARED(uint32_t, counts, kBins);
  SHARED(Mass, masses, kBins);
  SHARED(float, work, 32);
  SHARED(FilterEnd, shared, 1);
  if (a.filtered[blockIdx.x] < 0) return;
  const HeadRowWork& row = a.head.rows[a.filtered[blockIdx.x]];
  Filter f{a.head, row, a.head.options[row.options], 0};
  f.largest = highestLogit(f, work);

  clearBins(counts, masses, kBins);
  binTokens(f, counts, masses);
  FilterEnd end{kBins, 64, 0, 0, 0, 0};
  Mass all = 0;
  if (warp() == 0) {
    end.bin = findEnd(f, counts, masses, kBins, end, all);
    const unsigned found = __ballot_sync(kAllLanes, end.bin < kBins);
    if (lane() == (found ? __ffs(static_cast<int>(found)) - 1 : 0)) shared[0] = end;
  }
  __syncthreads();
  end = shared[0];
  while (end.bin < kBins && end.inside > 1 && end.shift > 0) {
    clearBins(counts, masses, 256);
    binBytes(f, end, counts, masses);
    if (warp() == 0) {
      const int byte = findEnd(f, counts, masses, 256, end, all);
      if (byte < 256) {  // one lane found it
        end.prefix = end.prefix << 8 | static_cast<uint64_t>(255 - byte);
        end.shift -= 8;
        shared[0] = end;
      }
    }
    __syncthreads();
    end = shared[0];
  }
  reduceKept(f, end);
}

}  // namespace lacuna::cuda
