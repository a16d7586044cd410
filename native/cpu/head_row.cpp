#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "head.h"

namespace lacuna::cpu {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// Calls f(token) for those of the ascending set that lie in [t0, t0 + n).
template <class Body>
void forTokens(std::span<const int32_t> set, int t0, int n, const Body& body) {
  for (auto t = std::lower_bound(set.begin(), set.end(), t0); t != set.end() && *t < t0 + n; ++t) {
    body(*t);
  }
}

bool contains(std::span<const int32_t> set, int32_t token) {
  return std::binary_search(set.begin(), set.end(), token);
}

// Sums relative to `largest` become sums relative to `to`; rate as in PartialHead.
void raise(double& sum, double& weighted, float& largest, float to, float rate) {
  if (to == largest) return;
  const double shift = sum > 0 ? (static_cast<double>(to) - largest) * rate : 0;
  const double factor = std::exp(-shift);
  weighted = factor * (weighted - shift * sum);
  sum *= factor;
  largest = to;
}

}  // namespace

void RowReducer::diverge(const float* z, const float* before, int n) const {
  PartialHead block;
  block.rawLargest = kernels.maximum(z, n);
  block.beforeLargest = kernels.maximum(before, n);
  kernels.crossSums(z, before, n, block.rawLargest, block.beforeLargest, &block.rawSum,
                    &block.beforeSum, &block.cross);
  merge(block, nullptr);
}

void RowReducer::adjust(float* z, int t0, int n) const {
  for (const Credit* c = layout.credits; c != layout.creditsEnd; c++) {
    if (c->token >= t0 && c->token < t0 + n) z[c->token - t0] += c->value;
  }
  if (!options.allow.empty()) {
    int next = t0;
    forTokens(options.allow, t0, n, [&](int32_t token) {
      std::fill(z + (next - t0), z + (token - t0), kNever);
      next = token + 1;
    });
    std::fill(z + (next - t0), z + n, kNever);
  }
  forTokens(options.suppress, t0, n, [&](int32_t token) { z[token - t0] = kNever; });
}

void RowReducer::choose(const float* z, int t0, int n, float most) const {
  if (options.temperature > 0) return draw(z, t0, n);
  const auto bound = [&] { return partial.token < 0 ? kNever : partial.score; };
  if (!(most > bound())) return;
  for (int i = kernels.nextAbove(z, 0, n, bound()); i < n;
       i = kernels.nextAbove(z, i + 1, n, bound())) {
    propose(t0 + i, z[i], z[i]);
  }
}

void RowReducer::draw(const float* z, int t0, int n) const {
  const Draw noise{options.seed, options.step, static_cast<uint32_t>(row.position),
                   options.temperature};
  uint32_t contenders = 0;
  float uniforms[kDraw];
  const auto next = [&](int from) {
    return kernels.nextContenders(noise, z, t0, from, n, reached, &contenders, uniforms);
  };
  for (int at = next(0); at < n; at = next(at + kDraw)) {
    for (; contenders; contenders &= contenders - 1) {
      const int bit = std::countr_zero(contenders), i = at + bit;
      propose(t0 + i, z[i], z[i] / options.temperature - std::log(-std::log(uniforms[bit])));
    }
  }
}

// Tokens come in ascending order: of equal scores the lower token's stays.
void RowReducer::propose(int32_t token, float z, float score) const {
  if (partial.token >= 0 && !(score > partial.score)) return;
  if (contains(options.unchosen, token)) return;
  partial.token = token;
  partial.score = score;
  partial.z = z;
  reached = std::max(reached, score);
}

void RowReducer::describe(float* z, int t0, int n, float most) const {
  if (!options.unscored.empty()) {
    forTokens(options.unscored, t0, n, [&](int32_t token) { z[token - t0] = kNever; });
    most = kernels.maximum(z, n);
  }
  forTokens(options.probe, t0, n, [&](int32_t token) {
    const auto at = std::lower_bound(options.probe.begin(), options.probe.end(), token);
    probes[at - options.probe.begin()] = z[token - t0];
  });
  if (most == kNever) return;
  if (!(partial.sum > 0)) partial.largest = most;
  raise(partial.sum, partial.weighted, partial.largest, std::max(partial.largest, most),
        layout.rate);
  kernels.expSums(z, n, partial.largest, layout.rate, &partial.sum, &partial.weighted);

  const ListEntry& last = list[layout.list - 1];
  const auto bound = [&] { return last.token < 0 ? kNever : last.z; };
  if (!(most > bound())) return;
  for (int i = kernels.nextAbove(z, 0, n, bound()); i < n;
       i = kernels.nextAbove(z, i + 1, n, bound())) {
    enter({z[i], t0 + i});
  }
}

// Entries come in the order of their tokens: equal logits leave the lower token first.
void RowReducer::enter(ListEntry entry) const {
  int at = layout.list - 1;
  if (list[at].token >= 0 && !(entry.z > list[at].z)) return;
  for (; at > 0 && (list[at - 1].token < 0 || entry.z > list[at - 1].z); at--) {
    list[at] = list[at - 1];
  }
  list[at] = entry;
}

void RowReducer::merge(const PartialHead& next, const ListEntry* nextList) const {
  if (next.sum > 0) {
    if (!(partial.sum > 0)) partial.largest = next.largest;
    const float largest = std::max(partial.largest, next.largest);
    double sum = next.sum, weighted = next.weighted;
    float from = next.largest;
    raise(sum, weighted, from, largest, layout.rate);
    raise(partial.sum, partial.weighted, partial.largest, largest, layout.rate);
    partial.sum += sum;
    partial.weighted += weighted;
  }
  if (next.rawSum > 0) {
    const bool first = !(partial.rawSum > 0);
    const double now = first ? next.rawLargest : std::max(partial.rawLargest, next.rawLargest);
    const double then =
        first ? next.beforeLargest : std::max(partial.beforeLargest, next.beforeLargest);
    const double oldNow = std::exp(first ? 0 : partial.rawLargest - now);
    const double oldThen = std::exp(first ? 0 : partial.beforeLargest - then);
    const double newNow = std::exp(next.rawLargest - now);
    const double newThen = std::exp(next.beforeLargest - then);
    partial.rawSum = partial.rawSum * oldNow + next.rawSum * newNow;
    partial.cross = partial.cross * oldNow + next.cross * newNow;
    partial.beforeSum = partial.beforeSum * oldThen + next.beforeSum * newThen;
    partial.rawLargest = static_cast<float>(now);
    partial.beforeLargest = static_cast<float>(then);
  }
  if (next.token >= 0 && (partial.token < 0 || next.score > partial.score)) {
    partial.token = next.token;
    partial.score = next.score;
    partial.z = next.z;
  }
  for (int i = 0; nextList && i < layout.list && nextList[i].token >= 0; i++) enter(nextList[i]);
}

double RowReducer::probability(float z) const {
  if (!(z > kNever && partial.sum > 0)) return 0;
  const double d = static_cast<double>(z) - partial.largest;
  return std::exp(d * layout.rate) / partial.sum;
}

bool RowReducer::finish(HeadResult& result, size_t index) const {
  if (partial.token < 0) return false;
  const bool scored = !contains(options.unscored, partial.token);
  result.token[index] = partial.token;
  result.probability[index] = scored ? probability(partial.z) : 0;
  const double first = list[0].token < 0 ? 0 : probability(list[0].z);
  const double second = list[1].token < 0 ? 0 : probability(list[1].z);
  result.margin[index] = first - second;
  double entropy = 0;
  if (partial.sum > 0) entropy = std::log(partial.sum) - partial.weighted / partial.sum;
  result.entropy[index] = std::max(entropy, 0.0);
  for (size_t i = 0; i < options.probe.size(); i++) {
    result.probe[layout.probeAt + i] = static_cast<float>(probability(probes[i]));
  }
  int32_t spare = 0;  // tokens of probability 0 fill a list longer than the distribution
  for (int i = 0; i < options.list; i++) {
    int32_t token = list[i].token;
    const auto listed = [&](int32_t t) {
      return std::any_of(list, list + layout.list,
                         [t](const ListEntry& e) { return e.token == t; });
    };
    while (token < 0 && listed(spare)) spare++;
    const size_t at = layout.topAt + static_cast<size_t>(i);
    result.topToken[at] = token < 0 ? spare++ : token;
    result.topProbability[at] = token < 0 ? 0.0f : static_cast<float>(probability(list[i].z));
  }
  if (!result.kl.empty()) {
    double kl = std::numeric_limits<double>::infinity();
    if (layout.before >= 0) {
      const double shift = static_cast<double>(partial.rawLargest) - partial.beforeLargest;
      kl = partial.cross / partial.rawSum - shift - std::log(partial.rawSum) +
           std::log(partial.beforeSum);
      kl = std::max(kl, 0.0);
    }
    result.kl[index] = static_cast<float>(kl);
  }
  return true;
}

}  // namespace lacuna::cpu
