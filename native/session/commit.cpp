#include "commit.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "philox.h"

namespace lacuna {
namespace {

double scoreOf(const CommitItem& item, size_t i) {
  const CommitRule& rule = item.rule;
  const HeadResult& head = *item.head;
  const int32_t position = item.positions[i];
  const size_t row = item.first + i;
  double score = 0;
  switch (rule.score) {
    case Score::probability: score = head.probability[row]; break;
    case Score::margin: score = head.margin[row]; break;
    case Score::negEntropy: score = -head.entropy[row]; break;
    case Score::random:
      score = Philox::score(rule.seed, rule.step, static_cast<uint32_t>(position));
      break;
    case Score::position: score = -position; break;
  }
  if (!rule.bias.empty()) score += rule.bias[static_cast<size_t>(position)];
  return std::isnan(score) ? -INFINITY : score;  // damaged weights; NaN has no place in an order
}

void rank(const CommitItem& item, std::vector<Candidate>& candidates) {
  candidates.clear();
  for (size_t i = 0; i < item.positions.size(); i++) {
    const int32_t position = item.positions[i];
    if (position < item.rule.begin || position >= item.rule.end) continue;
    if ((*item.canvas)[position] != item.mask) continue;
    candidates.push_back({i, scoreOf(item, i)});
  }
  std::sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
    if (a.score != b.score) return a.score > b.score;
    return item.positions[a.index] < item.positions[b.index];
  });
}

// Fast-dLLM (arXiv 2505.22618): rank n (from 1) passes when (n + 1)(1 − score) <= factor; rank 1
// always does.
size_t factorCount(const CommitRule& rule, const std::vector<Candidate>& ranked) {
  size_t count = std::min<size_t>(1, ranked.size());
  while (count < ranked.size() &&
         static_cast<double>(count + 2) * (1.0 - ranked[count].score) <= rule.factor)
    count++;
  if (rule.literal && count + 1 == ranked.size()) count++;
  return count;
}

// EB-Sampler (arXiv 2505.24857): Σ H − max H over the prefix bounds the dependence between its
// tokens.
size_t entropyCount(const CommitItem& item, const std::vector<Candidate>& ranked) {
  double sum = 0, largest = 0;
  size_t count = 0;
  for (; count < ranked.size(); count++) {
    const double entropy = item.head->entropy[item.first + ranked[count].index];
    sum += entropy;
    largest = std::max(largest, entropy);
    if (count > 0 && sum - largest > item.rule.gamma) break;
  }
  return count;
}

size_t selectCount(const CommitItem& item, const std::vector<Candidate>& ranked) {
  const CommitRule& rule = item.rule;
  const auto atMost = [&](int n) {
    return std::min(ranked.size(), static_cast<size_t>(std::max(n, 0)));
  };
  switch (rule.select) {
    case Select::topK: return atMost(rule.k);
    case Select::threshold: {
      size_t count = 0;
      while (count < ranked.size() &&
             (rule.strict ? ranked[count].score > rule.tau : ranked[count].score >= rule.tau))
        count++;
      return std::max(count, atMost(rule.min));
    }
    case Select::factor: return factorCount(rule, ranked);
    case Select::entropyBound: return entropyCount(item, ranked);
    case Select::all: return ranked.size();
  }
  return 0;
}

}  // namespace

void applyRule(CommitItem& item, std::vector<Candidate>& ranked) {
  rank(item, ranked);
  const size_t count = selectCount(item, ranked);
  item.committed.clear();
  for (size_t n = 0; n < count; n++) {
    const size_t i = ranked[n].index;
    const int32_t token = item.head->token[item.first + i];
    if (token == item.mask) continue;
    item.canvas->write(item.positions[i], token);
    item.committed.push_back(item.positions[i]);
  }
  std::sort(item.committed.begin(), item.committed.end());
}

void Backend::commit(CommitBatch& batch) {
  for (CommitItem& item : batch.items) applyRule(item, batch.ranked);
}

}  // namespace lacuna
