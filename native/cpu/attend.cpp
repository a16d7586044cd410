// attend: fresh K/V into the sessions' planes, then rows against them, some rows of one kv head at
// a time. A plane holds `capacity` = planeRows(length) positions, in the order in which the kernel
// reads them:
//   keys    [kvHead][position / nr][headDim][nr]
//   values  [kvHead][headDim / nr][capacity][nr], where the last tile is as wide as what is left
// so that nothing is gathered or repacked, whatever the rows of a step.
#include <algorithm>
#include <cstring>

#include "backend.h"

namespace lacuna::cpu {
namespace {

static_assert(kKeyBlock % kPlaneRows == 0);

constexpr int kRowsPerJob = 48;      // rows that share a pass over the keys
constexpr int kTileRows = 6;         // what a register tile takes, on most ISAs
constexpr int kFewFloats = 1 << 14;  // less is not worth waking a thread for
constexpr float kHidden = -3e38f;    // as a bias: below every score

bool seesPrefix(const Segment& s) {  // ascending, without duplicates
  return s.visibleCount == 0 || s.visible[s.visibleCount - 1] == s.visibleCount - 1;
}

int32_t endOf(const Segment& s, int row, bool prefix) {
  const int32_t limit = s.limit[row];
  return prefix || limit == 0 ? limit : s.visible[limit - 1] + 1;
}

// One head of some rows, which lie `stride` floats apart, into panels. The rows of one panel go
// there together and by way of a small block, so that every line of the panel is written once, in
// order.
void storeKeys(float* keys, const float* rows, int64_t stride, const int32_t* positions, int n,
               int dim, int nr) {
  constexpr int kColumns = 64;
  float block[kPlaneRows][kColumns];
  int column[kPlaneRows];
  for (int r = 0, count; r < n; r += count) {
    const int panel = positions[r] / nr;
    for (count = 0; r + count < n && positions[r + count] / nr == panel; count++) {
      column[count] = positions[r + count] % nr;
    }
    for (int first = 0; first < dim; first += kColumns) {
      const int columns = std::min(kColumns, dim - first);
      for (int i = 0; i < count; i++) {
        std::copy_n(rows + (r + i) * stride + first, columns, block[i]);
      }
      float* out = keys + (int64_t{panel} * dim + first) * nr;
      for (int c = 0; c < columns; c++, out += nr) {
        for (int i = 0; i < count; i++) out[column[i]] = block[i][c];
      }
    }
  }
}

void storeValues(float* values, const float* rows, int64_t stride, const int32_t* positions, int n,
                 int dim, int nr, int64_t capacity) {
  for (int r = 0; r < n; r++) {
    const float* row = rows + r * stride;
    for (int c = 0; c < dim; c += nr) {
      const int columns = std::min(nr, dim - c);
      float* out = values + c * capacity + int64_t{positions[r]} * columns;
      if (columns == 16) {  // a copy of known size is no call
        std::memcpy(out, row + c, 16 * sizeof(float));
      } else {
        std::copy_n(row + c, columns, out);
      }
    }
  }
}

}  // namespace

void CpuBackend::storeFresh(Tensor k, Tensor v, std::span<const Segment> segments,
                            const AttentionShape& shape) {
  const int dim = shape.headDim, nr = kernels.nr;
  const auto store = [&](const Segment& s, int head) {
    const int64_t capacity = planeRows(s.length), plane = capacity * dim * head;
    const int64_t from = int64_t{s.firstRow} * k.cols + int64_t{head} * dim;
    const int n = s.rows - s.shadows;
    storeKeys(s.keys + plane, k.data + from, k.cols, s.positions, n, dim, nr);
    storeValues(s.values + plane, v.data + from, v.cols, s.positions, n, dim, nr, capacity);
  };
  const int heads = shape.kvHeads, jobs = static_cast<int>(segments.size()) * heads;
  const bool few = int64_t{k.rows} * k.cols < kFewFloats;
  pool.parallelFor(few ? 1 : jobs, [&](int chunk, int) {
    for (int job = chunk; job < (few ? jobs : chunk + 1); job++) {
      store(segments[job / heads], job % heads);
    }
  });
}

void CpuBackend::listKeyBlocks(const Segment& s, bool prefix) {
  SegmentKeys keys{static_cast<int>(keyBlocks.size()), 0, static_cast<int>(keyBias.size())};
  const int capacity = planeRows(s.length);
  if (prefix) {
    for (int first = 0; first < s.visibleCount; first += kKeyBlock) {
      keyBlocks.push_back({first, std::min(kKeyBlock, capacity - first), false});
    }
  } else {
    keyBias.resize(keyBias.size() + static_cast<size_t>(capacity), kHidden);
    float* bias = keyBias.data() + keys.bias;
    for (int i = 0; i < s.visibleCount;) {
      const int first = s.visible[i] / kPlaneRows * kPlaneRows;
      const int end = (first / kKeyBlock + 1) * kKeyBlock, begin = i;
      for (; i < s.visibleCount && s.visible[i] < end; i++) bias[s.visible[i]] = 0;
      const int count = (s.visible[i - 1] / kPlaneRows + 1) * kPlaneRows - first;
      keyBlocks.push_back({first, count, i - begin < count});
    }
  }
  keys.count = static_cast<int>(keyBlocks.size()) - keys.first;
  segmentKeys.push_back(keys);
}

void CpuBackend::planAttention(std::span<const Segment> segments, const AttentionShape& shape) {
  segmentKeys.clear();
  keyBlocks.clear();
  keyBias.clear();
  attentionChunks.clear();
  const int group = shape.heads / shape.kvHeads;
  int64_t rows = 0;
  for (const Segment& s : segments) rows += s.storeOnly ? 0 : int64_t{s.rows} * shape.heads;
  // Some chunks for every thread, down to a tile each; the result is the same.
  const int64_t share = rows / (4 * pool.count()) / kTileRows * kTileRows;
  const int size = static_cast<int>(std::clamp<int64_t>(share, kTileRows, kRowsPerJob));
  for (size_t i = 0; i < segments.size(); i++) {
    const Segment& s = segments[i];
    if (s.storeOnly) {
      segmentKeys.push_back({});
      continue;
    }
    listKeyBlocks(s, seesPrefix(s));
    const int all = s.rows * group, chunks = (all + size - 1) / size;
    for (int head = 0; head < shape.kvHeads; head++) {
      for (int c = 0; c < chunks; c++) {  // of about equal size
        const int first = all * c / chunks;
        attentionChunks.push_back(
            {static_cast<int>(i), head, first, all * (c + 1) / chunks - first});
      }
    }
  }
}

void CpuBackend::attend(Tensor o, Tensor q, Tensor k, Tensor v, std::span<const Segment> segments,
                        const AttentionShape& shape) {
  const Stopwatch watch(times.attend);
  wrote();
  storeFresh(k, v, segments, shape);
  planAttention(segments, shape);

  const int dim = shape.headDim, group = shape.heads / shape.kvHeads;
  const size_t work = (attentionScratch(kRowsPerJob, dim) + 15) / 16 * 16;
  float* scratch = attentionWork.get<float>(work * static_cast<size_t>(pool.count()));
  pool.parallelFor(static_cast<int>(attentionChunks.size()), [&](int chunk, int thread) {
    const AttentionChunk& c = attentionChunks[chunk];
    const Segment& s = segments[c.segment];
    const SegmentKeys& keys = segmentKeys[c.segment];
    const bool prefix = seesPrefix(s);
    int32_t end[kRowsPerJob];
    for (int r = 0; r < c.rows; r++) end[r] = endOf(s, (c.first + r) / group, prefix);

    AttentionJob job;
    job.stride = q.cols;
    job.headDim = dim;
    job.group = group;
    job.first = c.first;
    job.rows = c.rows;
    const int64_t query = int64_t{s.firstRow} * q.cols + int64_t{c.kvHead} * group * dim;
    job.q = q.data + query;
    job.o = o.data + query;
    job.scale = static_cast<float>(double{shape.scale} * 1.4426950408889634);
    job.capacity = planeRows(s.length);
    const int64_t plane = int64_t{job.capacity} * dim * c.kvHead;
    job.keys = s.keys + plane;
    job.values = s.values + plane;
    job.blocks = keyBlocks.data() + keys.first;
    job.blockCount = keys.count;
    job.bias = keyBias.data() + keys.bias;
    job.end = end;
    job.ordinary = s.rows - s.shadows;
    job.positions = s.positions;
    job.hidden = s.hidden;
    const int64_t fresh = int64_t{s.firstRow} * k.cols + int64_t{c.kvHead} * dim;
    job.freshKeys = k.data + fresh;
    job.freshValues = v.data + fresh;
    job.freshStride = k.cols;
    job.scratch = scratch + work * static_cast<size_t>(thread);
    kernels.attention(job);
  });
}

}  // namespace lacuna::cpu
