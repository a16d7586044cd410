#pragma once
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "../native/backend.h"
#include "../native/session/commit.h"
#include "arena.h"
#include "driver.h"
#include "embed.h"
#include "gemm_plan.h"
#include "moe.h"
#include "weight.h"

namespace lacuna::cuda {

// For Timing.
enum class Verb { embed, norm, linear, rope, attend, moe, head, commit };
constexpr int kVerbs = 8;

// The twelve verbs on a card. Verbs only record: between begin() and end() they append launches to
// the step's program; end() sends what was staged, runs the program and fetches the results, with
// one wait. A program that comes again byte for byte becomes a graph, which starts in the time of
// one launch. So what changes between steps of one shape (tokens, positions, addresses of K/V,
// seeds, options) is staged, and arguments hold what a shape decides.
class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(std::shared_ptr<Driver> driver);
  ~CudaBackend() override;

  std::string name() const override;
  std::string layout() const override;
  MemoryPtr alloc(size_t floats, const Memory* source) override;
  WeightPtr upload(const TensorView& view, Use use, const std::atomic<bool>& cancelled) override;
  uint64_t weightBytes(const TensorView& view, Use use) const override;
  void reserve(uint64_t bytes) override;
  uint64_t freeBytes() const override { return driver->freeBytes(); }
  std::vector<Other> others() const override;
  Limits limits() const override;
  void begin() override;
  void end() override;
  // From step to step a decoder reports fewer and fewer rows: some of these steps shall be one
  // graph.
  int rowGroup() const override { return 8; }
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

  // Memory of alloc() from and to the host, for tests. Not in a step.
  void write(float* device, std::span<const float> host);
  void read(const float* device, std::span<float> host);

  // Of all steps so far: how many ran, and how many of these as a graph.
  struct Counts {
    int64_t steps = 0, graphs = 0;
  };
  Counts counts() const { return counted; }

  // Nanoseconds of the last step by kernel, the longest first: as timing(), from the start of each
  // launch to that of the next one.
  struct KernelTime {
    const char* kernel = nullptr;
    int64_t launches = 0, nanoseconds = 0;
  };
  std::vector<KernelTime> kernelTimes() const;

 private:
  friend struct HeadState;

  // ---- What verbs record with (backend.cpp)

  // Appends a launch. `kernel` is a literal. Arguments must have no padding, which would keep equal
  // programs from being equal.
  template <class Arguments>
  void launch(Verb verb, const char* kernel, Grid grid, int threads, size_t sharedBytes,
              const Arguments& arguments) {
    static_assert(std::is_trivially_copyable_v<Arguments>);
    launchBytes(verb, kernel, grid, threads, sharedBytes, &arguments, sizeof arguments);
  }
  // Copies host data to where this step's kernels can read it and returns the device address. Data
  // that was staged from the same place in this step, and is the same, is sent once.
  template <class T>
  const T* stage(std::span<const T> host) {
    static_assert(std::is_trivially_copyable_v<T>);
    return static_cast<const T*>(stageBytes(host.data(), host.size_bytes()));
  }
  // Working memory of this step; undefined at first.
  template <class T>
  T* scratch(size_t count) {
    return reinterpret_cast<T*>(working.take(count * sizeof(T)).device);
  }
  // Where kernels write what `host` shall hold after end(). `host` must live until then.
  template <class T>
  T* fetch(std::span<T> host) {
    static_assert(std::is_trivially_copyable_v<T>);
    return static_cast<T*>(fetchBytes(host.data(), host.size_bytes()));
  }
  // Working memory for launches that use it one after another: allocated once a step, or again
  // when more is needed.
  struct Reused {
    std::byte* data = nullptr;
    size_t bytes = 0;
  };
  template <class T>
  T* reuse(Reused& place, size_t count) {
    if (place.bytes < count * sizeof(T)) {
      place.bytes = count * sizeof(T);
      place.data = working.take(place.bytes).device;
    }
    return reinterpret_cast<T*>(place.data);
  }
  const Driver::Facts& facts() const { return driver->facts(); }

  // ---- Matrices (linear.cpp)

  // `rows` rows of x as products with w want them. With `source` (device, rows): row i is row
  // source[i] of x, zeros if that is negative, and `rows` may be more than x has. Good until the
  // next prepare() of this step.
  Prepared prepare(Verb verb, const float* x, int rows, const CudaWeight& w,
                   const int32_t* source = nullptr);
  // Records a product of a.x with w; a holds x, y, yStride, bias, epilogue and, when grouped, work
  // and workCount. `plan` is planGemm's.
  void multiply(Verb verb, const CudaWeight& w, const GemmPlan& plan, GemmArguments a);

  // ---- Experts (moe.cpp)

  struct ExpertGroups {
    GroupArguments arguments{};  // where groupExperts leaves what it finds
    int slots = 0, tiles = 0, width = 0;
  };
  void routeRows(Tensor x, const Experts& experts);
  ExpertGroups groupRows(int rows, const Experts& experts, int width);
  void multiplyGrouped(const CudaWeight& w, const Prepared& x, const ExpertGroups& groups, float* y,
                       GemmEpilogue epilogue);

  void launchBytes(Verb verb, const char* kernel, Grid grid, int threads, size_t sharedBytes,
                   const void* arguments, size_t bytes);
  const void* stageBytes(const void* host, size_t bytes);
  void* fetchBytes(void* host, size_t bytes);
  Kernel resolve(const char* kernel);
  void run();
  void addTimes();
  std::shared_ptr<std::byte> weightMemory(size_t bytes, const std::string& name);
  // Called by end() with the results in host memory: head.cpp and commit.cpp. What they complete:
  HeadResult* headResult = nullptr;
  CommitBatch* commitBatch = nullptr;
  void finishHead();
  void finishCommit();
  void follow(std::span<Canvas* const> canvases);
  const float* ropeTable(std::span<const int32_t> positions, const Rope& rope);

  const std::shared_ptr<Driver> driver;
  const std::unique_ptr<Stream> stream;
  Arena working, staging, fetching;

  Program program;
  std::vector<Verb> verbs;       // (launches)
  std::vector<uint64_t> clocks;  // (launches + 1) when each began; the last one is the end
  Timing times;
  Counts counted;

  // Kernels by the address of their name, so that recording compares no strings.
  struct Resolved {
    const char* name = nullptr;
    Kernel kernel = nullptr;
  };
  std::vector<Resolved> resolved;  // a power of two, open addressing
  size_t resolvedCount = 0;

  struct Staged {
    const void* host = nullptr;
    size_t bytes = 0;
    Arena::Place place;
  };
  std::vector<Staged> staged;
  struct Fetched {
    void* target;
    size_t bytes;
    const std::byte* host;
  };
  std::vector<Fetched> fetched;

  // Programs seen, the last used first; a graph is built when one comes for the second time.
  struct Known {
    Program program;
    std::unique_ptr<Graph> graph;
  };
  std::vector<std::unique_ptr<Known>> known;

  // The last rope table of this step, nullptr: none.
  const float* ropeCosines = nullptr;       // device (positions, dims / 2, 2)
  const double* ropeFrequencies = nullptr;  // device
  float ropeMagnitude = 0;
  std::vector<int32_t> ropePositions;

  // The activations that were prepared last in this step, for all products of the same rows.
  struct PreparedOf {
    const float* x = nullptr;
    int rows = 0, cols = 0, terms = 0;
    Element element = Element::f32;
  };
  PreparedOf preparedOf;
  Prepared prepared{};
  struct LinearMemory {
    Reused bricks, rowScale, partial;
  };
  LinearMemory linearMemory;
  struct AttendMemory {
    Reused partial, totals;
  };
  AttendMemory attendMemory;
  struct MoeMemory {
    Reused logits, expert, weight, slotOf, source, present, work, workCount, hidden, out;
  };
  MoeMemory moeMemory;
  const DeviceBuffer tickets;     // of products whose sums are split: zeros between launches
  std::vector<Canvas*> canvases;  // that this step reads or writes
  std::vector<Canvas*> segmentCanvases;
  std::vector<CanvasEdit> canvasEdits;
  std::vector<TokenRow> tokenRows;
  std::vector<SoftEntry> softEntries;
  std::vector<int32_t> softTokens;
  std::vector<float> softWeights;

  // What uploads need, gone when the first step begins: threads and pinned memory, and the weights'
  // memory, which the weights hold as well.
  std::shared_ptr<struct Uploader> uploader;
  std::shared_ptr<DeviceBuffer> reserved;
  size_t reservedUsed = 0;

  // What the verbs of each file keep from step to step, defined there.
  std::shared_ptr<struct AttendState> attendState;
  std::shared_ptr<struct HeadState> headState;
  std::shared_ptr<struct CommitState> commitState;
};

}  // namespace lacuna::cuda
