// head: hidden rows and token sets, then matrix products that reduce their tiles, each followed by
// its filter and the second stage of the reduction.
#include "backend.h"
#include "head_state.h"

namespace lacuna::cuda {

void CudaBackend::head(HeadResult& result, Tensor x, const Weight& w, std::span<const HeadRow> rows,
                       std::span<const HeadOptions> options) {
  const CudaWeight& weight = cudaWeight(w);
  if (!headState) headState = std::make_shared<HeadState>();
  HeadState& s = *headState;
  s.vocabulary = static_cast<int>(w.rows);
  s.tiles = (s.vocabulary + kHeadTile - 1) / kHeadTile;
  s.addResult(*this, result, rows, options);
  headResult = &result;
  if (rows.empty()) return;
  s.layOut(rows, options);
  s.addOptions(*this, options);
  s.addRows(*this, x, rows, options);

  const int lines = s.products.back().firstLine + s.products.back().lineRoom();
  const size_t floats = static_cast<size_t>(lines) * static_cast<size_t>(x.cols);
  const Tensor hidden{scratch<float>(floats), lines, x.cols};
  HeadLinesArguments before{};
  before.rows = stage(std::span<const HeadRowWork>(s.rows));
  before.options = stage(std::span<const HeadOptionWork>(s.options));
  before.lines = hidden.data;
  before.count = static_cast<int>(s.rows.size());
  before.dim = x.cols;
  before.words = s.tiles * kHeadTile / 32;
  launch(Verb::head, "headLines", {static_cast<unsigned>(s.rows.size() + options.size())},
         kHeadThreads, 0, before);

  const int32_t* owners = stage(std::span<const int32_t>(s.owners));
  const int32_t* filtered = stage(std::span<const int32_t>(s.filtered));
  for (const HeadState::Product& p : s.products) {
    HeadArguments head{};
    head.rows = before.rows + p.firstRow;
    head.options = before.options;
    head.owner = owners + p.firstLine;
    head.vocabulary = s.vocabulary;
    head.tiles = s.tiles;
    GemmArguments product{};
    product.x = prepare(Verb::head, hidden.slice(p.firstLine, 1).data, p.lineRoom(), weight);
    product.head = stage(std::span<const HeadArguments>(&head, 1));
    const int width = gemmWidth(facts(), weight.matrix, weight.terms(), p.lineRoom());
    // Not split over k: sums of all rows and the whole vocabulary would lie in memory.
    const GemmPlan plan = planGemm(facts(), weight.matrix, weight.terms(), width,
                                   (p.lineRoom() + width - 1) / width, false);
    multiply(Verb::head, weight, plan, product);
    if (p.filtered > 0) {
      const HeadFilterArguments filter{head, filtered + p.firstFiltered};
      launch(Verb::head, "headFilter", {static_cast<unsigned>(p.filteredRoom())}, kFilterThreads, 0,
             filter);
    }
    const HeadMergeArguments merge{head, s.out};
    launch(Verb::head, "headMerge", {static_cast<unsigned>(p.rowRoom())}, kHeadThreads, 0, merge);
  }
}

void CudaBackend::finishHead() {
  if (headResult) headState->finish(*headResult);
}

}  // namespace lacuna::cuda
