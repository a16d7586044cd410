// moe: rows grouped by expert, so that an expert's weights are read once for all of its rows.
#include "moe.h"

#include <algorithm>
#include <iterator>

#include "../native/error.h"
#include "backend.h"

namespace lacuna::cuda {
namespace {

unsigned blocks(int work, int perBlock) {
  return static_cast<unsigned>((work + perBlock - 1) / perBlock);
}

}  // namespace

// Fills grouped.expert and .weight: each row's experts, best first.
void CudaBackend::routeRows(Tensor x, const Experts& experts) {
  const CudaWeight& router = cudaWeight(*experts.router);
  const int count = static_cast<int>(router.rows);
  const size_t entries = static_cast<size_t>(x.rows) * static_cast<size_t>(experts.used);
  const size_t logits = static_cast<size_t>(x.rows) * static_cast<size_t>(count);
  GemmArguments g{};
  g.x = prepare(Verb::moe, x.data, x.rows, router);
  g.y = reuse<float>(moeMemory.logits, logits);
  g.yStride = count;
  const int width = gemmWidth(facts(), router.matrix, router.terms(), x.rows);
  const int tiles = (x.rows + width - 1) / width;
  multiply(Verb::moe, router, planGemm(facts(), router.matrix, router.terms(), width, tiles, true),
           g);

  RouteArguments a{};
  a.logits = g.y;
  a.expert = reuse<int32_t>(moeMemory.expert, entries);
  a.weight = reuse<float>(moeMemory.weight, entries);
  a.rows = x.rows;
  a.experts = count;
  a.used = experts.used;
  a.renormalise = experts.renormalise;
  launch(Verb::moe, "routeExperts", {blocks(x.rows, 4)}, 128, 0, a);
}

// Sorts the chosen experts into slots and tiles of `width` slots. Grids have to be known before the
// router has chosen, so the counts are the most that there can be.
CudaBackend::ExpertGroups CudaBackend::groupRows(int rows, const Experts& experts, int width) {
  const int count = static_cast<int>(experts.router->rows), entries = rows * experts.used;
  const int busy = std::min(entries, count);
  ExpertGroups groups;
  groups.width = width;
  // Every expert may end with a slice of one row, and with a tile of one.
  groups.slots = (entries + busy * (kSliceRows - 1)) / kSliceRows * kSliceRows;
  groups.tiles = (entries - busy) / width + busy;
  GroupArguments& a = groups.arguments;
  a.expert = reuse<int32_t>(moeMemory.expert, static_cast<size_t>(entries));
  a.slotOf = reuse<int32_t>(moeMemory.slotOf, static_cast<size_t>(entries));
  a.source = reuse<int32_t>(moeMemory.source, static_cast<size_t>(groups.slots));
  a.present = reuse<int32_t>(moeMemory.present, static_cast<size_t>(groups.slots));
  a.work = reuse<GemmWork>(moeMemory.work, static_cast<size_t>(groups.tiles));
  a.workCount = reuse<int32_t>(moeMemory.workCount, 1);
  a.entries = entries;
  a.experts = count;
  a.used = experts.used;
  a.slots = groups.slots;
  a.width = width;
  launch(Verb::moe, "groupExperts", {}, kGroupWarps * 32, groupBytes(count), a);
  return groups;
}

// y (slots, rows of w) = the slots of x, each times its own expert's matrix.
void CudaBackend::multiplyGrouped(const CudaWeight& w, const Prepared& x,
                                  const ExpertGroups& groups, float* y, GemmEpilogue epilogue) {
  GemmArguments g{};
  g.x = x;
  g.y = y;
  g.yStride = w.rows;
  g.work = groups.arguments.work;
  g.workCount = groups.arguments.workCount;
  g.epilogue = epilogue;
  multiply(Verb::moe, w, planGemm(facts(), w.matrix, w.terms(), groups.width, groups.tiles, false),
           g);
}

void CudaBackend::moe(Tensor y, Tensor x, const Experts& experts) {
  if (y.rows == 0) return;
  const int count = static_cast<int>(experts.router->rows);
  if (count > kMostExperts)
    throw Error(Code::internal, "no kernel groups " + std::to_string(count) + " experts");
  const CudaWeight& gate = cudaWeight(*experts.gate);
  const CudaWeight& up = cudaWeight(*experts.up);
  const CudaWeight& down = cudaWeight(*experts.down);
  routeRows(x, experts);
  // A width that the rows of most experts fit in, for all three products.
  const int each = y.rows * experts.used / count + 1;
  int width = kWidths[std::size(kWidths) - 1];
  for (const CudaWeight* w : {&gate, &up, &down})
    width = std::min(width, gemmWidth(facts(), w->matrix, w->terms(), each));
  const ExpertGroups groups = groupRows(y.rows, experts, width);

  const auto slots = static_cast<size_t>(groups.slots);
  float* hidden = reuse<float>(moeMemory.hidden, slots * static_cast<size_t>(gate.rows));
  float* out = reuse<float>(moeMemory.out, slots * static_cast<size_t>(down.rows));
  Prepared rows = prepare(Verb::moe, x.data, groups.slots, gate, groups.arguments.source);
  multiplyGrouped(gate, rows, groups, hidden, GemmEpilogue::store);
  if (up.matrix.element != gate.matrix.element)
    rows = prepare(Verb::moe, x.data, groups.slots, up, groups.arguments.source);
  multiplyGrouped(up, rows, groups, hidden, GemmEpilogue::glu);
  rows = prepare(Verb::moe, hidden, groups.slots, down, groups.arguments.present);
  multiplyGrouped(down, rows, groups, out, GemmEpilogue::store);

  ScatterArguments a{};
  a.y = y.data;
  a.out = out;
  a.weight = reuse<float>(moeMemory.weight, static_cast<size_t>(groups.arguments.entries));
  a.slotOf = groups.arguments.slotOf;
  a.rows = y.rows;
  a.cols = y.cols;
  a.used = experts.used;
  launch(Verb::moe, "scatterExperts", {static_cast<unsigned>(y.rows), blocks(y.cols, 512)}, 128, 0,
         a);
}

}  // namespace lacuna::cuda
