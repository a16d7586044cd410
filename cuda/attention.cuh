#pragma once
#include "attention.h"
#include "device.cuh"
#include "mma.cuh"

// softmax(q · kᵀ · scale) · v with the online softmax, tile by tile of keys (FlashAttention-2,
// arXiv 2307.08691).
//
// Every product is f16 on tensor cores with operands of two terms, x = hi + lo: three products
// (lo · hi, hi · lo, hi · hi) into one f32 sum leave an error of about 2⁻²², so that there is one
// path, as good as f32. So that no term is lost below the halves' range, `lo` of keys and values is
// kept times 2¹¹ and meets hi · 2⁻¹¹ of the other side, which is made large: queries are scaled by
// a power of two per row, weights reach 2^kWeightBits.
//
// A block is `WARPS` warps of 16 pairs of (row, head of the kv head), so that grouped heads share a
// pass over the keys. K and V have one tile of shared memory each: V arrives during q · kᵀ, the
// next K during the softmax and p · v, and the other blocks of the SM fill what is left.
namespace lacuna::cuda {

constexpr float kMasked = -3e38f;  // below every running maximum, which starts at kLowest
constexpr float kLowest = -1e30f;
constexpr int kWeightBits = 14;
constexpr float kLargestWeight = 1 << kWeightBits;  // of a row
constexpr float kLowScale = 2048;                   // 2¹¹
constexpr uint32_t kLowered = 0x10001000;           // 2⁻¹¹, twice

// A tile of rows in shared memory: DIM halves of hi and DIM of lo a row, in chunks of 8 halves that
// are swizzled so that the eight rows of an ldmatrix lie in different banks.
template <int DIM>
DEVICE int chunkAt(int row, int chunk) {
  return (row * (DIM / 4) + (chunk ^ (row & 7))) * 8;
}

// Two terms of an f16 operand, and `hi` as it meets a `lo` of keys or values.
struct Terms {
  uint32_t hi[4], lo[4], lowered[4];

  DEVICE void lower() {
    UNROLL
    for (int i = 0; i < 4; i++) lowered[i] = mulHalves(hi[i], kLowered);
  }
};

// sum[n] += a · b[n], where b[n][0..1] is hi and b[n][2..3] is lo. Products into one sum have to
// wait for each other, so the sums take turns.
template <int N>
DEVICE void multiplyTerms(float (*sum)[4], const Terms& a, const uint32_t (&b)[N][4]) {
  UNROLL
  for (int n = 0; n < N; n++) mmaHalves(sum[n], a.lo, {b[n][0], b[n][1]});
  UNROLL
  for (int n = 0; n < N; n++) mmaHalves(sum[n], a.lowered, {b[n][2], b[n][3]});
  UNROLL
  for (int n = 0; n < N; n++) mmaHalves(sum[n], a.hi, {b[n][0], b[n][1]});
}

// The state of a warp: 16 pairs, of which a thread has numbers lane / 4 and lane / 4 + 8 (`side` 0
// and 1), and of their scores and sums the columns lane % 4 · 2 and + 1 of every 8.
template <int DIM, int WARPS, int KEYS>
struct AttentionBlock {
  static constexpr int kThreads = WARPS * 32, kPairs = WARPS * 16;

  const AttentionArguments& a;
  const AttentionSegment s;
  const int firstPair, kvHead, split;
  const int thread;
  const Shared<uint16_t> queries, keys, values;

  int end = 0;                          // keys that any row of the block sees
  bool busy = false, shadowed = false;  // whether the warp has rows, and shadow rows among them
  int row[2];                           // of the segment, −1: none
  int limit[2];
  int except[2][2];  // the positions that a shadow row leaves out, else −1
  float factor[2];   // from products to scores
  float largest[2], total[2];
  float sum[DIM / 8][4];  // Σ weight · value, in the units of products

  DEVICE AttentionBlock(const AttentionArguments& a, Shared<uint16_t> shared)
      : a(a),
        s(a.segments[a.tasks[blockIdx.x].segment]),
        firstPair(a.tasks[blockIdx.x].first),
        kvHead(static_cast<int>(blockIdx.y)),
        split(static_cast<int>(blockIdx.z)),
        thread(static_cast<int>(threadIdx.x)),
        queries(shared),
        keys(shared + kPairs * DIM * 2),
        values(shared + (kPairs + KEYS) * DIM * 2) {}

  // A pair's columns of q and o.
  DEVICE int64_t columnsOf(int pair) const {
    const int head = kvHead * a.group + pair % a.group;
    return (static_cast<int64_t>(s.firstRow + pair / a.group) * a.kvHeads * a.group + head) *
           a.headDim;
  }
  DEVICE int64_t ownColumns(int r) const {  // of a row's fresh k and v
    return (static_cast<int64_t>(s.firstRow + r) * a.kvHeads + kvHead) * a.headDim;
  }
  DEVICE int position(int n) const { return s.visible ? s.visible[n] : n; }

  DEVICE void findRows() {
    const int pairs = s.rows * a.group, first = firstPair + warp() * 16;
    busy = first < pairs;
    shadowed = busy && (min(first + 15, pairs - 1)) / a.group >= s.ordinary;
    for (int side = 0; side < 2; side++) {
      const int pair = first + side * 8 + lane() / 4;
      row[side] = pair < pairs ? pair / a.group : -1;
      limit[side] = row[side] < 0 ? 0 : s.limit[row[side]];
      const bool shadow = row[side] >= s.ordinary;
      except[side][0] = shadow ? s.positions[row[side]] : -1;
      except[side][1] = shadow ? s.hidden[row[side] - s.ordinary] : -1;
      largest[side] = kLowest;
      total[side] = 0;
    }
    const int last = min(firstPair + kPairs, pairs) - 1;  // every warp looks at all rows
    for (int r = firstPair / a.group + lane(); r <= last / a.group; r += 32) {
      end = max(end, s.limit[r]);
    }
    end = warpMax(end);
  }

  // The warp's queries into shared memory, each scaled by a power of two to below 2¹⁴.
  DEVICE void loadQueries() {
    UNROLL
    for (int side = 0; side < 2; side++) {
      for (int r = 0; r < 8; r++) {
        const float scale = loadQuery(warp() * 16 + side * 8 + r);
        if (r == lane() / 4) factor[side] = a.scale / (scale * kPlaneScale);
      }
    }
  }

  DEVICE float loadQuery(int at) {
    const int pair = firstPair + at;
    const bool exists = pair / a.group < s.rows;
    const float* in = a.q + (exists ? columnsOf(pair) : 0);
    float2 x[DIM / 64];
    float most = 0;
    UNROLL
    for (int i = 0; i < DIM / 64; i++) {
      const int column = (i * 32 + lane()) * 2;
      x[i] = exists && column < a.headDim ? *reinterpret_cast<const float2*>(in + column)
                                          : make_float2(0, 0);
      most = fmaxf(most, fmaxf(fabsf(x[i].x), fabsf(x[i].y)));
    }
    most = warpMax(most);
    const int exponent = max(static_cast<int>(__float_as_uint(most) >> 23) - 127, -100);
    const float scale = __uint_as_float(static_cast<uint32_t>(127 + 13 - exponent) << 23);
    UNROLL
    for (int i = 0; i < DIM / 64; i++) {
      const int word = i * 32 + lane();
      const float x0 = x[i].x * scale, x1 = x[i].y * scale;
      const uint32_t hi = packHalves(x0, x1);
      as<uint32_t>(queries + chunkAt<DIM>(at, word / 4) + word % 4 * 2)[0] = hi;
      as<uint32_t>(queries + chunkAt<DIM>(at, DIM / 8 + word / 4) + word % 4 * 2)[0] =
          packHalves(x0 - lowHalf(hi), x1 - highHalf(hi));
    }
    return scale;
  }

  // A shadow row's own key and value, which nobody else sees: where its sums begin.
  DEVICE void startSums() {
    UNROLL
    for (int n = 0; n < DIM / 8; n++) {
      for (int i = 0; i < 4; i++) sum[n][i] = 0;
    }
    if (!shadowed || split != 0) return;
    UNROLL
    for (int side = 0; side < 2; side++) {
      for (int r = 0; r < 8; r++) {
        const float score = ownScore(firstPair + warp() * 16 + side * 8 + r);
        if (r == lane() / 4 && row[side] >= s.ordinary) largest[side] = score;
      }
      if (row[side] < s.ordinary) continue;
      if (lane() % 4 == 0) total[side] = kLargestWeight;
      const float* v = a.v + ownColumns(row[side]);
      UNROLL
      for (int n = 0; n < DIM / 8; n++) {
        for (int i = 0; i < 2; i++) {
          const int column = n * 8 + lane() % 4 * 2 + i;
          if (column < a.headDim) sum[n][side * 2 + i] = v[column] * (kPlaneScale * kLargestWeight);
        }
      }
    }
  }

  DEVICE float ownScore(int pair) const {
    const int r = pair / a.group;
    if (r < s.ordinary || r >= s.rows) return 0;
    const float *q = a.q + columnsOf(pair), *k = a.k + ownColumns(r);
    float score = 0;
    for (int i = lane(); i < a.headDim; i += 32) score += q[i] * k[i];
    return warpSum(score) * a.scale;
  }

  // Columns that no head has are zeros, in every tile to come.
  DEVICE void clearPadding() {
    if (a.headDim == DIM) return;
    for (int i = thread; i < KEYS * 2 * (DIM / 4); i += kThreads) {
      const int chunk = i % (DIM / 4);
      if (chunk % (DIM / 8) * 8 + 8 <= a.headDim) continue;
      const Shared<uint16_t> at = keys + chunkAt<DIM>(i / (DIM / 4), chunk);  // values follow keys
      for (int word = 0; word < 4; word++) as<uint32_t>(at)[word] = 0;
    }
    __syncthreads();
  }

  // Starts the copy of the rows of the keys `first` … of a plane. Past `end` there is nothing to
  // see; the last key is repeated there.
  DEVICE void loadTile(Shared<uint16_t> tile, const uint16_t* plane, int first) const {
    const uint16_t* head = plane + static_cast<int64_t>(kvHead) * s.capacity * a.headDim * 2;
    for (int i = thread; i < KEYS * (DIM / 4); i += kThreads) {
      const int key = i / (DIM / 4), chunk = i % (DIM / 4);
      const int term = chunk / (DIM / 8), column = chunk % (DIM / 8) * 8;
      if (column >= a.headDim) continue;
      const int from = position(min(first + key, end - 1));
      const uint16_t* in = head + (static_cast<int64_t>(from) * 2 + term) * a.headDim + column;
      const Shared<uint16_t> out = tile + chunkAt<DIM>(key, chunk);
      if (a.headDim % 8 == 0) {
        copyAsync<16>(out, in, 16);
      } else {  // rows without alignment: small heads of test models
        for (int w = 0; w < 4 && column + w * 2 < a.headDim; w++) {
          as<uint32_t>(out)[w] = reinterpret_cast<const uint32_t*>(in)[w];
        }
      }
    }
    cpAsyncCommit();
  }

  // score[n] = the products of the warp's pairs and keys n · 8 … of the tile.
  DEVICE void multiplyKeys(float (&score)[KEYS / 8][4]) const {
    UNROLL
    for (int n = 0; n < KEYS / 8; n++) {
      for (int i = 0; i < 4; i++) score[n][i] = 0;
    }
    UNROLL
    for (int k = 0; k < DIM / 16; k++) {
      if (k * 16 >= a.headDim) break;
      Terms q;
      const int r = warp() * 16 + lane() % 16, column = k * 2 + lane() / 16;
      loadMatrix4(q.hi, queries + chunkAt<DIM>(r, column));
      loadMatrix4(q.lo, queries + chunkAt<DIM>(r, DIM / 8 + column));
      q.lower();
      uint32_t b[KEYS / 8][4];  // hi, hi of the next 8 columns, lo, lo of the next 8 columns
      const int chunk = k * 2 + lane() / 8 % 2 + lane() / 16 * (DIM / 8);
      UNROLL
      for (int n = 0; n < KEYS / 8; n++) {
        loadMatrix4(b[n], keys + chunkAt<DIM>(n * 8 + lane() % 8, chunk));
      }
      multiplyTerms(score, q, b);
    }
  }

  DEVICE bool sees(int side, int n) const {
    if (n >= limit[side]) return false;
    if (!shadowed) return true;
    const int at = position(n);
    return at != except[side][0] && at != except[side][1];
  }

  // Turns the products with the keys `first` … into weights.
  DEVICE void weigh(float (&score)[KEYS / 8][4], int first) {
    UNROLL
    for (int side = 0; side < 2; side++) {
      float most = largest[side];
      UNROLL
      for (int n = 0; n < KEYS / 8; n++) {
        for (int i = 0; i < 2; i++) {
          float& x = score[n][side * 2 + i];
          x = sees(side, first + n * 8 + lane() % 4 * 2 + i) ? x * factor[side] : kMasked;
          most = fmaxf(most, x);
        }
      }
      most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 1));
      most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 2));
      const float shrink = exp2f(largest[side] - most);
      largest[side] = most;
      total[side] *= shrink;
      if (__any_sync(kAllLanes, shrink != 1)) {  // seldom, after the first tiles
        UNROLL
        for (int n = 0; n < DIM / 8; n++) {
          for (int i = 0; i < 2; i++) sum[n][side * 2 + i] *= shrink;
        }
      }
      UNROLL
      for (int n = 0; n < KEYS / 8; n++) {
        for (int i = 0; i < 2; i++) {
          float& x = score[n][side * 2 + i];
          x = exp2f(x - most + kWeightBits);
          total[side] += x;
        }
      }
    }
  }

  // sum += weight · value. The fragment of scores is, two by two, the one that a product takes.
  DEVICE void addValues(const float (&weight)[KEYS / 8][4]) {
    UNROLL
    for (int k = 0; k < KEYS / 16; k++) {
      Terms p;
      UNROLL
      for (int i = 0; i < 4; i++) {
        const float* x = weight[k * 2 + i / 2] + i % 2 * 2;
        p.hi[i] = packHalves(x[0], x[1]);
        p.lo[i] = packHalves(x[0] - lowHalf(p.hi[i]), x[1] - highHalf(p.hi[i]));
      }
      p.lower();
      UNROLL
      for (int n = 0; n < DIM / 8; n += 4) {
        if (n * 8 >= a.headDim) break;
        uint32_t b[4][4];  // hi, hi of the next 8 keys, lo, lo of the next 8 keys
        UNROLL
        for (int i = 0; i < 4; i++) {
          const int key = k * 16 + lane() % 16, chunk = n + i + lane() / 16 * (DIM / 8);
          loadMatrix4Transposed(b[i], values + chunkAt<DIM>(key, chunk));
        }
        multiplyTerms(sum + n, p, b);
      }
    }
  }

  // The rows' weighted means, or with several splits what they are made of.
  DEVICE void store() {
    UNROLL
    for (int side = 0; side < 2; side++) {
      total[side] += __shfl_xor_sync(kAllLanes, total[side], 1);
      total[side] += __shfl_xor_sync(kAllLanes, total[side], 2);
      if (row[side] < 0) continue;
      const int64_t at = columnsOf(firstPair + warp() * 16 + side * 8 + lane() / 4);
      const int64_t whole = static_cast<int64_t>(a.rows) * a.kvHeads * a.group * split;
      const float units = total[side] * kPlaneScale;
      const float rate = a.splits > 1 ? 1 : units == 0 ? 0 : 1 / units;
      float* out = (a.splits > 1 ? a.partial + whole * a.headDim : a.o) + at;
      if (a.splits > 1 && lane() % 4 == 0) {
        float* totals = a.totals + (whole + at / a.headDim) * 2;
        totals[0] = largest[side];
        totals[1] = units;
      }
      UNROLL
      for (int n = 0; n < DIM / 8; n++) {
        const int column = n * 8 + lane() % 4 * 2;
        if (column >= a.headDim) break;
        *reinterpret_cast<float2*>(out + column) =
            make_float2(sum[n][side * 2] * rate, sum[n][side * 2 + 1] * rate);
      }
    }
  }
};

template <int DIM, int WARPS, int KEYS>
DEVICE void attend(const AttentionArguments& a, Shared<uint16_t> shared) {
  AttentionBlock<DIM, WARPS, KEYS> b(a, shared);
  b.findRows();
  const int tiles = (b.end + KEYS - 1) / KEYS;
  const int first = tiles * b.split / a.splits, last = tiles * (b.split + 1) / a.splits;
  b.clearPadding();
  if (first < last) {
    b.loadTile(b.keys, b.s.keys, first * KEYS);
    b.loadTile(b.values, b.s.values, first * KEYS);
  }
  b.loadQueries();
  b.startSums();
  __syncwarp();
  for (int tile = first; tile < last; tile++) {
    float score[KEYS / 8][4];
    cpAsyncWait<1>();  // all copies but the last tile's, which are the values
    __syncthreads();
    if (b.busy) b.multiplyKeys(score);
    __syncthreads();
    if (tile + 1 < last) b.loadTile(b.keys, b.s.keys, (tile + 1) * KEYS);
    if (b.busy) b.weigh(score, tile * KEYS);
    if (tile + 1 < last) {
      cpAsyncWait<1>();
    } else {
      cpAsyncWait<0>();
    }
    __syncthreads();
    if (b.busy) b.addValues(score);
    if (tile + 1 == last) break;
    __syncthreads();
    b.loadTile(b.values, b.s.values, (tile + 1) * KEYS);
  }
  b.store();
}

}  // namespace lacuna::cuda
