// attend: what the kernels of attention.cu do, cut into blocks.
#include <algorithm>

#include "../native/error.h"
#include "attention.h"
#include "backend.h"

namespace lacuna::cuda {
namespace {

// The instances of attention.cu: the smallest that has the head's columns.
struct AttentionKernel {
  const char* name;
  int columns, warps, keys;  // columns and keys of a tile

  int pairs() const { return warps * 16; }
  size_t sharedBytes() const {
    return static_cast<size_t>(pairs() + 2 * keys) * static_cast<size_t>(columns) * sizeof(float);
  }
};
constexpr AttentionKernel kKernels[] = {
    {"attend64", 64, 4, 64},
    {"attend128", 128, 4, 32},
    {"attend256", kLargestHead, 2, 16},
};

// Blocks that a multiprocessor is given before the keys stay in one piece, and the tiles that make
// a piece worth its share of the merge.
constexpr int kBlocksWanted = 2;
constexpr int kTilesOfSplit = 2;
constexpr int kMostSplits = 16;

const AttentionKernel& kernelFor(int headDim) {
  if (headDim % 2 != 0 || headDim > kLargestHead)  // loading refuses such models: see limits()
    throw Error(Code::internal, "no kernel has heads of " + std::to_string(headDim) + " columns");
  return *std::find_if(std::begin(kKernels), std::end(kKernels),
                       [&](const AttentionKernel& k) { return headDim <= k.columns; });
}

bool seesPrefix(const Segment& s) {  // ascending, without duplicates
  return s.visibleCount == 0 || s.visible[s.visibleCount - 1] == s.visibleCount - 1;
}

}  // namespace

// One layer's segments and blocks: the same from layer to layer but for the planes.
struct AttendState {
  std::vector<AttentionSegment> segments;
  std::vector<AttentionTask> tasks;
};

void CudaBackend::attend(Tensor o, Tensor q, Tensor k, Tensor v, std::span<const Segment> segments,
                         const AttentionShape& shape) {
  const AttentionKernel& kernel = kernelFor(shape.headDim);
  const int group = shape.heads / shape.kvHeads;
  if (!attendState) attendState = std::make_shared<AttendState>();
  AttendState& state = *attendState;
  state.segments.clear();
  state.tasks.clear();
  int stored = 0, visible = 0;  // at most, of any segment
  for (const Segment& s : segments) {
    const auto rows = [&](const int32_t* values, int count) {
      return stage(std::span(values, static_cast<size_t>(count)));
    };
    AttentionSegment to{};
    to.keys = reinterpret_cast<uint16_t*>(s.keys);
    to.values = reinterpret_cast<uint16_t*>(s.values);
    to.positions = rows(s.positions, s.rows);
    to.firstRow = s.firstRow;
    to.rows = s.rows;
    to.ordinary = s.rows - s.shadows;
    to.capacity = planeRows(s.length);
    stored = std::max(stored, to.ordinary);
    if (!s.storeOnly) {
      to.visible = seesPrefix(s) ? nullptr : rows(s.visible, s.visibleCount);
      to.limit = rows(s.limit, s.rows);
      to.hidden = rows(s.hidden, s.shadows);
      visible = std::max(visible, s.visibleCount);
      for (int first = 0; first < s.rows * group; first += kernel.pairs())
        state.tasks.push_back({static_cast<int32_t>(state.segments.size()), first});
    }
    state.segments.push_back(to);
  }
  const AttentionSegment* staged = stage(std::span<const AttentionSegment>(state.segments));

  stored = (stored + rowGroup() - 1) / rowGroup() * rowGroup();  // see rowGroup
  const Grid rows{static_cast<unsigned>(stored), static_cast<unsigned>(segments.size()), 2};
  launch(Verb::attend, "storeKeysValues", rows, 128, 0,
         StoreArguments{k.data, v.data, staged, shape.kvHeads, shape.headDim});
  if (state.tasks.empty()) return;

  const int blocks = static_cast<int>(state.tasks.size()) * shape.kvHeads;
  const int tiles = (visible + kernel.keys - 1) / kernel.keys;
  const int splits = std::clamp(kBlocksWanted * facts().processors / blocks, 1,
                                std::clamp(tiles / kTilesOfSplit, 1, kMostSplits));
  AttentionArguments a{};
  a.q = q.data;
  a.k = k.data;
  a.v = v.data;
  a.o = o.data;
  a.segments = staged;
  a.tasks = stage(std::span<const AttentionTask>(state.tasks));
  a.rows = q.rows;
  a.kvHeads = shape.kvHeads;
  a.group = group;
  a.headDim = shape.headDim;
  a.splits = splits;
  a.scale = static_cast<float>(double{shape.scale} * 1.4426950408889634);
  const size_t pairs = static_cast<size_t>(q.rows) * static_cast<size_t>(shape.heads);
  if (splits > 1) {
    a.partial =
        reuse<float>(attendMemory.partial, pairs * static_cast<size_t>(splits * shape.headDim));
    a.totals = reuse<float>(attendMemory.totals, pairs * static_cast<size_t>(splits) * 2);
  }
  const Grid grid{static_cast<unsigned>(state.tasks.size()), static_cast<unsigned>(shape.kvHeads),
                  static_cast<unsigned>(splits)};
  launch(Verb::attend, kernel.name, grid, kernel.warps * 32, kernel.sharedBytes(), a);
  if (splits == 1) return;
  const int count = static_cast<int>(pairs);
  launch(Verb::attend, "mergeSplits", {static_cast<unsigned>((count + 3) / 4)}, 128, 0,
         MergeArguments{a.partial, a.totals, o.data, count, shape.headDim, splits, 0});
}

}  // namespace lacuna::cuda
