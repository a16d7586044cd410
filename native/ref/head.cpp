#include "head.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "../session/philox.h"

namespace lacuna {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

bool contains(std::span<const int32_t> set, int32_t token) {
  return std::binary_search(set.begin(), set.end(), token);
}

// softmax(z); −∞ gives 0. All −∞ gives all 0.
std::vector<double> distribution(const std::vector<double>& z) {
  const double largest = *std::max_element(z.begin(), z.end());
  std::vector<double> p(z.size(), 0.0);
  if (largest == kNever) return p;
  double sum = 0;
  for (size_t v = 0; v < z.size(); v++) sum += p[v] = std::exp(z[v] - largest);
  for (double& value : p) value /= sum;
  return p;
}

std::vector<int32_t> ranking(const std::vector<double>& z) {
  std::vector<int32_t> order(z.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return z[a] > z[b]; });
  return order;
}

// Dream's order: nucleus first, then the k largest. z is already divided by the temperature.
std::vector<double> filter(std::vector<double> z, const HeadOptions& options) {
  const auto order = ranking(z);
  size_t kept = order.size();
  if (options.topP < 1) {
    const auto p = distribution(z);
    double cumulative = 0;
    kept = 0;
    while (kept < order.size() && (kept == 0 || cumulative <= options.topP))
      cumulative += p[order[kept++]];
  }
  if (options.topK > 0) kept = std::min(kept, static_cast<size_t>(options.topK));
  for (size_t n = kept; n < order.size(); n++) z[order[n]] = kNever;
  return z;
}

// The best token that may be chosen; −1 when there is none.
int32_t choose(const std::vector<double>& z, const HeadRow& row, const HeadOptions& options) {
  int32_t best = -1;
  double bestScore = kNever;
  for (size_t v = 0; v < z.size(); v++) {
    const auto token = static_cast<int32_t>(v);
    if (z[v] == kNever || contains(options.unchosen, token)) continue;
    double score = z[v];
    if (options.temperature > 0)
      score += Philox::gumbel(options.seed, options.step, static_cast<uint32_t>(row.position),
                              static_cast<uint32_t>(token));
    if (best < 0 || score > bestScore) {
      best = token;
      bestScore = score;
    }
  }
  return best;
}

}  // namespace

void reduceRow(HeadResult& result, const std::vector<double>& logits, const HeadRow& row,
               const HeadOptions& options) {
  if (options.logits)
    for (double value : logits) result.logits.push_back(static_cast<float>(value));

  std::vector<double> z = logits;
  for (const Credit& credit : options.credits)
    if (credit.position == row.position) z[credit.token] += credit.value;
  for (size_t v = 0; v < z.size(); v++) {
    const auto token = static_cast<int32_t>(v);
    const bool allowed = options.allow.empty() || contains(options.allow, token);
    if (!allowed || contains(options.suppress, token) || std::isnan(z[v])) z[v] = kNever;
  }

  // The distribution the token is drawn from.
  std::vector<double> sampled = z;
  if (options.temperature > 0)
    for (double& value : sampled) value /= options.temperature;
  const std::vector<double> tempered = sampled;
  if (options.topP < 1 || options.topK > 0) sampled = filter(std::move(sampled), options);
  int32_t token = choose(sampled, row, options);
  if (token < 0)
    token = choose(tempered, row, options);  // the filter kept only tokens never chosen
  if (token < 0) throw noToken(row.position);

  // The distribution the statistics describe.
  std::vector<double> described = options.tempered ? sampled : z;
  for (int32_t unscored : options.unscored) described[unscored] = kNever;
  const std::vector<double> p = distribution(described);
  double entropy = 0, first = 0, second = 0;
  for (double value : p) {
    if (value > 0) entropy -= value * std::log(value);
    second = std::max(second, std::min(first, value));
    first = std::max(first, value);
  }
  result.token.push_back(token);
  result.probability.push_back(p[token]);
  result.margin.push_back(first - second);
  result.entropy.push_back(std::max(entropy, 0.0));
  for (int32_t probe : options.probe) result.probe.push_back(static_cast<float>(p[probe]));
  if (options.list > 0) {
    const auto order = ranking(p);
    for (int n = 0; n < options.list; n++) {
      result.topToken.push_back(order[n]);
      result.topProbability.push_back(static_cast<float>(p[order[n]]));
    }
  }
}

}  // namespace lacuna
