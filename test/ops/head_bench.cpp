// Cases of --bench: the head.
#include <memory>

#include "ops.h"
#include "quant/quant.h"

namespace lacuna::ops {
namespace {

constexpr int kDim = 1024, kHeadVocabulary = 126464;

// The head over LLaDA's vocabulary, its logits flat (of deviation 2) as where little is known yet:
// there noise must be drawn for every token.
struct Head {
  // Rows take turns with the lists of options.
  Head(Backend& backend, int n, const std::vector<HeadOptions>& asked)
      : random(1),
        w(upload(backend, randomTensor(random, Type::q8_0, kDim, kHeadVocabulary), Use::matrix)),
        x(backend, random.normals(static_cast<size_t>(n) * kDim), n, kDim),
        previous(backend, random.normals(static_cast<size_t>(n) * kDim), n, kDim),
        options(asked),
        rows(static_cast<size_t>(n)) {
    const bool kl = asked[0].kl;
    for (int64_t i = 0; i < int64_t{n} * kDim; i++) x.tensor.data[i] *= 0.15f;
    for (int i = 0; i < n; i++) {
      HeadRow& row = rows[static_cast<size_t>(i)];
      row.hidden = row.position = i;
      row.options = i % static_cast<int>(asked.size());
      row.hasPrevious = kl;
      if (kl) row.previous = previous.tensor.slice(i, 1).data;
      for (int32_t token : {7, 70000}) credits.push_back({i, token, 0.5f});
    }
    if (asked[0].list > 0) options[0].credits = credits;
  }
  Random random;
  WeightPtr w;
  Buffer x, previous;
  std::vector<HeadOptions> options;
  std::vector<Credit> credits;
  std::vector<HeadRow> rows;
  HeadResult result;
};

BenchCase headCase(int n, const char* name, const std::vector<HeadOptions>& options) {
  BenchCase c;
  c.name = "head Q8_0 " + std::to_string(n) + "x" + std::to_string(kHeadVocabulary) + " " + name;
  c.flops = 2.0 * n * kHeadVocabulary * kDim * (options[0].kl ? 2 : 1);
  c.bytes = static_cast<double>(rowBytes(Type::q8_0, kDim)) * kHeadVocabulary;
  c.int8 = true;
  c.prepare = [=](std::unique_ptr<Backend> made) {
    const auto round = [](Backend& backend, Head& h) {
      backend.head(h.result, h.x.tensor, *h.w, h.rows, h.options);
    };
    return keeping<Head>(std::move(made), round, n, options);
  };
  return c;
}

std::vector<int32_t> everyToken(int step) {
  std::vector<int32_t> set;
  for (int32_t token = 0; token < kHeadVocabulary; token += step) set.push_back(token);
  return set;
}

// A third of the rows each: no list, an allowed set of some thousand tokens (digits), half the
// vocabulary suppressed.
BenchCase limitsCase(int n) {
  static const std::vector<int32_t> digits = everyToken(100), half = everyToken(2);
  std::vector<HeadOptions> options(3);
  options[1].allow = digits;
  options[2].suppress = half;
  return headCase(n, "limits by position", options);
}

void addCases(std::vector<BenchCase>& cases, int n) {
  cases.push_back(limitsCase(n));
  HeadOptions options;
  cases.push_back(headCase(n, "greedy", {options}));
  options.kl = true;
  cases.push_back(headCase(n, "KL", {options}));
  options.kl = false;
  options.list = 16;
  static constexpr int32_t probe[] = {1, 2, 126000};
  options.probe = probe;
  cases.push_back(headCase(n, "list, probes, credits", {options}));
  options.list = 0;
  options.probe = {};
  options.temperature = 1;
  cases.push_back(headCase(n, "sampled", {options}));
  options.topK = 50;
  cases.push_back(headCase(n, "top-k", {options}));
  options.topK = 0;
  options.topP = 0.9f;
  cases.push_back(headCase(n, "top-p", {options}));
}

}  // namespace

void addHeadBenches(std::vector<BenchCase>& cases) {
  for (int n : {32, 96, 256}) addCases(cases, n);
}

}  // namespace lacuna::ops
