// attend: fresh K/V into the sessions' rows, visible keys and values packed per head, then rows of
// one head at a time against them. A full canvas and a list of visible keys take the same path: the
// packing is the gather.
#include <algorithm>
#include <cstring>

#include "backend.h"

namespace lacuna::cpu {
namespace {

constexpr int kRowsPerChunk = 4 * kAttentionRows;

}  // namespace

void CpuBackend::storeFresh(Tensor k, Tensor v, std::span<const Segment> segments, int kvDim) {
  const size_t bytes = static_cast<size_t>(kvDim) * sizeof(float);
  for (const Segment& s : segments) {
    for (int r = 0; r < s.rows - s.shadows; r++) {
      const int64_t at = int64_t{s.positions[r]} * kvDim;
      std::memcpy(s.keys + at, k.slice(s.firstRow + r, 1).data, bytes);
      std::memcpy(s.values + at, v.slice(s.firstRow + r, 1).data, bytes);
    }
  }
}

void CpuBackend::packKeys(std::span<const Segment> segments, const AttentionShape& shape) {
  const int dim = shape.headDim, nr = kernels.nr, kvDim = shape.kvHeads * dim;
  const size_t width = static_cast<size_t>((dim + nr - 1) / nr) * nr;
  packedSegments.resize(segments.size());
  size_t keys = 0, values = 0;
  for (size_t i = 0; i < segments.size(); i++) {
    PackedSegment& p = packedSegments[i];
    const int count = segments[i].storeOnly ? 0 : segments[i].visibleCount;
    p.capacity = (count + kKeyBlock - 1) / kKeyBlock * kKeyBlock;
    p.keyFloats = static_cast<size_t>(p.capacity) * static_cast<size_t>(dim);
    p.valueFloats = static_cast<size_t>(p.capacity) * width;
    p.keys = keys;
    p.values = values;
    keys += p.keyFloats * static_cast<size_t>(shape.kvHeads);
    values += p.valueFloats * static_cast<size_t>(shape.kvHeads);
  }
  float* keyStart = packedKeys.get<float>(keys);
  float* valueStart = packedValues.get<float>(values);

  const int jobs = static_cast<int>(segments.size()) * shape.kvHeads;
  pool.parallelFor(jobs, [&](int job, int) {
    const int head = job % shape.kvHeads;
    const Segment& s = segments[job / shape.kvHeads];
    const PackedSegment& p = packedSegments[job / shape.kvHeads];
    float* k = keyStart + p.keys + p.keyFloats * head;
    float* v = valueStart + p.values + p.valueFloats * head;
    for (int i = 0; i < p.capacity; i++) {
      float* keyColumn = k + static_cast<size_t>(i / nr) * dim * nr + i % nr;
      const bool real = i < s.visibleCount;
      const int64_t at = real ? int64_t{s.visible[i]} * kvDim + int64_t{head} * dim : 0;
      for (int c = 0; c < dim; c++) keyColumn[c * nr] = real ? s.keys[at + c] : 0.0f;
      for (size_t c = 0; c < width; c += nr) {
        float* out = v + c * p.capacity + static_cast<size_t>(i) * nr;
        const int n = real ? std::min(nr, dim - static_cast<int>(c)) : 0;
        for (int j = 0; j < n; j++) out[j] = s.values[at + static_cast<int64_t>(c) + j];
        for (int j = n; j < nr; j++) out[j] = 0;
      }
    }
  });
}

AttentionJob CpuBackend::attentionJob(Tensor o, Tensor q, const Segment& s, const PackedSegment& p,
                                      const AttentionShape& shape, int head, int first, int rows) {
  const int kvHead = head / (shape.heads / shape.kvHeads);
  const int64_t at = int64_t{s.firstRow + first} * q.cols + int64_t{head} * shape.headDim;
  AttentionJob job;
  job.q = q.data + at;
  job.o = o.data + at;
  job.stride = q.cols;
  job.rows = rows;
  job.headDim = shape.headDim;
  job.scale = shape.scale;
  job.keys = packedKeys.get<float>(0) + p.keys + p.keyFloats * kvHead;
  job.values = packedValues.get<float>(0) + p.values + p.valueFloats * kvHead;
  job.keyCapacity = p.capacity;
  job.limit = s.limit + first;
  return job;
}

void CpuBackend::attend(Tensor o, Tensor q, Tensor k, Tensor v, std::span<const Segment> segments,
                        const AttentionShape& shape) {
  const Stopwatch watch(times.attend);
  wrote();
  storeFresh(k, v, segments, shape.kvHeads * shape.headDim);
  packKeys(segments, shape);

  // For every row of q: the two keys a shadow row does not see (indices into visible), and its row
  // of k and v.
  const size_t n = static_cast<size_t>(q.rows);
  attentionExcept.assign(2 * n, -1);
  shadowRow.assign(n, 0);
  for (const Segment& s : segments) {
    for (int r = s.rows - s.shadows; r < s.rows; r++) {
      const size_t row = static_cast<size_t>(s.firstRow) + r;
      const int32_t left[2] = {s.positions[r], s.hidden[r - (s.rows - s.shadows)]};
      shadowRow[row] = 1;
      for (size_t i = 0; i < 2; i++) {
        const int32_t* end = s.visible + s.visibleCount;
        const int32_t* at = std::lower_bound(s.visible, end, left[i]);
        if (at != end && *at == left[i]) {
          attentionExcept[2 * row + i] = static_cast<int32_t>(at - s.visible);
        }
      }
    }
  }

  const size_t work = (attentionScratch(shape.headDim) + 15) / 16 * 16;
  float* scratch = attentionWork.get<float>(work * static_cast<size_t>(pool.count()));
  attentionChunks.clear();
  for (size_t i = 0; i < segments.size(); i++) {
    if (segments[i].storeOnly) continue;
    for (int head = 0; head < shape.heads; head++) {
      for (int first = 0; first < segments[i].rows; first += kRowsPerChunk) {
        attentionChunks.push_back({static_cast<int>(i), head, first});
      }
    }
  }
  pool.parallelFor(static_cast<int>(attentionChunks.size()), [&](int chunk, int thread) {
    const auto [i, head, first] = attentionChunks[chunk];
    const Segment& s = segments[i];
    const int rows = std::min(kRowsPerChunk, s.rows - first);
    AttentionJob job = attentionJob(o, q, s, packedSegments[i], shape, head, first, rows);
    const int kvHead = head / (shape.heads / shape.kvHeads);
    const float *ownKey[kRowsPerChunk], *ownValue[kRowsPerChunk];
    for (int r = 0; r < rows; r++) {
      const int row = s.firstRow + first + r;
      const int64_t at = int64_t{row} * k.cols + int64_t{kvHead} * shape.headDim;
      ownKey[r] = shadowRow[row] ? k.data + at : nullptr;
      ownValue[r] = shadowRow[row] ? v.data + at : nullptr;
    }
    job.except = attentionExcept.data() + 2 * (s.firstRow + first);
    job.ownKey = ownKey;
    job.ownValue = ownValue;
    job.scratch = scratch + work * static_cast<size_t>(thread);
    kernels.attention(job);
  });
}

}  // namespace lacuna::cpu
