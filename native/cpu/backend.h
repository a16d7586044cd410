#pragma once
#include <chrono>
#include <vector>

#include "../backend.h"
#include "../session/commit.h"
#include "head.h"
#include "kernels.h"
#include "pages.h"
#include "threads.h"
#include "weight.h"

namespace lacuna::cpu {

// Where `row` of an input starts.
inline GemmInput slice(GemmInput in, const Panels& w, int64_t row) {
  if (in.x) {
    in.x += row * w.cols;
  } else {
    in.quantised.q += row * w.cols;
    if (in.quantised.fine) in.quantised.fine += row * w.cols;
    in.quantised.scale += row * (w.cols / 32);
    in.quantised.sum16 += row * (w.cols / 16);
    in.quantised.sum32 += row * (w.cols / 32);
  }
  return in;
}

// The twelve verbs over one table of kernels and one pool. Splits work into chunks; every output is
// computed by one thread in one order, so that results do not depend on the number of threads.
class CpuBackend final : public Backend {
 public:
  CpuBackend(int threads, const Kernels& kernels);

  std::string name() const override;
  std::string layout() const override { return std::string("cpu ") + kernels.name; }
  MemoryPtr alloc(size_t floats, const Memory* source) override;
  WeightPtr upload(const TensorView& view, Use use, const std::atomic<bool>& cancelled) override;
  uint64_t weightBytes(const TensorView& view, Use use) const override {
    return packedBytes(view, use, kernels);
  }
  uint64_t freeBytes() const override { return freeHostBytes(); }
  void begin() override;
  void end() override {}
  Timing timing() const override { return times; }

  void embed(Tensor x, const Weight& table, std::span<const int32_t> tokens,
             std::span<const SoftRow> soft, std::span<const Segment> segments) override;
  void norm(Tensor y, Tensor x, const Weight& scale, float eps,
            std::span<const int32_t> rows) override;
  void linear(Tensor y, Tensor x, const Weight& w, const Weight* bias, Epilogue epilogue) override;
  void rope(Tensor x, int headDim, std::span<const int32_t> positions, const Rope& rope) override;
  void attend(Tensor o, Tensor q, Tensor k, Tensor v, std::span<const Segment> segments,
              const AttentionShape& shape) override;
  void moe(Tensor y, Tensor x, const Experts& experts) override;
  void head(HeadResult& result, Tensor x, const Weight& w, std::span<const HeadRow> rows,
            std::span<const HeadOptions> options) override;
  void commit(CommitBatch& batch) override;

 private:
  // Where a segment's part of keyBlocks and keyBias begins.
  struct SegmentKeys {
    int first = 0, count = 0;  // of keyBlocks
    int bias = 0;              // of keyBias
  };

  // n rows of x as the panels of w want them.
  GemmInput input(const float* x, int n, const Panels& w);
  Quantised quantise(const float* x, int n, const Panels& w);
  // Forgets which rows `quantised` was made of: activations have changed.
  void wrote() { quantisedOf = {}; }
  // A whole product, split over the pool.
  void multiply(const Gemm& whole);
  void prepareRope(std::span<const int32_t> positions, const Rope& rope);

  // attend.cpp
  void storeFresh(Tensor k, Tensor v, std::span<const Segment> segments,
                  const AttentionShape& shape);
  void listKeyBlocks(const Segment& segment, bool prefix);
  void planAttention(std::span<const Segment> segments, const AttentionShape& shape);
  // moe.cpp
  void route(Tensor x, const Experts& experts);
  void multiplyRouted(const CpuWeight& w, const GemmInput& in, float* y, Finish finish);

  const Kernels& kernels;
  Threads pool;
  Timing times;

  struct QuantisedOf {
    const float* x = nullptr;
    int n = 0, cols = 0;
    bool precise = false;
    // All rows of this are among the first ones of the other.
    bool firstOf(const QuantisedOf& other) const {
      return x == other.x && n <= other.n && cols == other.cols && precise == other.precise;
    }
  } quantisedOf;
  Quantised quantised;
  Scratch quantisedBytes, quantisedFine, quantisedScales, quantisedSums16, quantisedSums32;
  Scratch softRows;
  Scratch attentionWork;
  Scratch routerLogits, expertInput, expertHidden, expertOutput;
  HeadScratch headScratch;

  std::vector<SegmentKeys> segmentKeys;  // (segments)
  std::vector<KeyBlock> keyBlocks;
  std::vector<float> keyBias;  // capacity floats for every segment with a list of keys
  struct AttentionChunk {
    int segment, kvHead, first, rows;  // rows as in AttentionJob
  };
  std::vector<AttentionChunk> attentionChunks;

  struct Routed {
    int expert, row;
    float weight;
  };
  std::vector<Routed> routed;  // (rows · used) sorted by (expert, row)
  std::vector<int> routedOf;   // (rows, used): where a row's entries went, ascending
  std::vector<int> routedCount, expertOrder;
  std::vector<int> expertChunks;  // (chunks + 1): bounds in routed; a chunk has one expert

  // cos and sin of the last positions and frequencies asked for.
  Rope ropeOf;
  std::vector<int32_t> ropePositions;
  std::vector<float> ropeCosines, ropeSines;
};

// Adds the time between construction and destruction to one of a step's counters.
class Stopwatch {
 public:
  explicit Stopwatch(int64_t& total) : total(total) {}
  ~Stopwatch() {
    const auto elapsed = std::chrono::steady_clock::now() - start;
    total += std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count();
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  int64_t& total;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
};

}  // namespace lacuna::cpu
