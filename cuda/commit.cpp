// commit: rules run where the head left its statistics, write the canvases of the card, and say
// which rows they took, from which end() writes those of the host.
#include "commit.h"

#include <algorithm>
#include <bit>

#include "backend.h"
#include "head_state.h"

namespace lacuna::cuda {

struct CommitState {
  std::vector<CommitWork> work;  // (items)
  std::vector<int32_t> written;  // (rows of all items)
  std::vector<Canvas*> canvases;
};

namespace {

CommitWork workOf(const CommitRule& rule) {
  CommitWork w{};
  w.score = rule.score;
  w.select = rule.select;
  w.k = rule.k;
  w.min = rule.min;
  w.begin = rule.begin;
  w.end = rule.end;
  w.step = rule.step;
  w.strict = rule.strict;
  w.literal = rule.literal;
  w.seed = rule.seed;
  w.tau = rule.tau;
  w.factor = rule.factor;
  w.gamma = rule.gamma;
  return w;
}

}  // namespace

void CudaBackend::commit(CommitBatch& batch) {
  if (!commitState) commitState = std::make_shared<CommitState>();
  CommitState& s = *commitState;
  commitBatch = &batch;
  s.work.clear();
  const HeadOutput out = headResult ? headState->out : HeadOutput{};
  const auto ranksOf = [](const CommitItem& item) { return std::bit_ceil(item.positions.size()); };
  size_t rows = 0, ranked = 0;
  s.canvases.clear();
  for (const CommitItem& item : batch.items) {
    rows += item.positions.size();
    ranked += ranksOf(item);
    s.canvases.push_back(item.canvas);
  }
  s.written.resize(rows);
  if (rows == 0) return;
  follow(s.canvases);
  int32_t* written = fetch(std::span(s.written));
  CommitRank* ranks = scratch<CommitRank>(ranked);
  for (const CommitItem& item : batch.items) {
    const size_t n = item.positions.size();
    // Statistics of this step are on the card, others are sent there.
    const bool here = headResult == item.head;
    const auto statistics = [&](const auto& host, const auto* device) {
      return here ? device + item.first : stage(std::span(host).subspan(item.first, n));
    };
    CommitWork w = workOf(item.rule);
    w.token = statistics(item.head->token, out.token);
    w.probability = statistics(item.head->probability, out.probability);
    w.margin = statistics(item.head->margin, out.margin);
    w.entropy = statistics(item.head->entropy, out.entropy);
    w.positions = stage(item.positions);
    // Without a copy that lasts, one for this step.
    w.canvas = item.canvas->copy ? item.canvas->copy
                                 : const_cast<int32_t*>(stage(std::span(item.canvas->tokens())));
    w.bias = item.rule.bias.empty() ? nullptr : stage(item.rule.bias);
    w.ranks = ranks;
    w.written = written;
    w.count = static_cast<int32_t>(n);
    w.mask = item.mask;
    s.work.push_back(w);
    ranks += ranksOf(item);
    written += n;
  }
  const CommitArguments arguments{stage(std::span<const CommitWork>(s.work))};
  launch(Verb::commit, "commitRules", {static_cast<unsigned>(s.work.size())}, kCommitThreads, 0,
         arguments);
}

void CudaBackend::finishCommit() {
  if (!commitBatch) return;
  auto written = commitState->written.begin();
  for (CommitItem& item : commitBatch->items) {
    item.committed.clear();
    for (size_t i = 0; i < item.positions.size(); i++) {
      if (!*written++) continue;
      const int32_t position = item.positions[i];
      item.canvas->follow(position, item.head->token[item.first + i]);
      item.committed.push_back(position);
    }
    std::sort(item.committed.begin(), item.committed.end());
  }
}

}  // namespace lacuna::cuda
