// Cases of commit: every rule on statistics full of ties, NaN and −0, whose commits must be those
// of the reference exactly, and rules on the statistics that a head of the same step left.
#include <cmath>
#include <limits>

#include "ops.h"
#include "session/commit.h"

namespace lacuna::ops {
namespace {

constexpr int32_t kMask = 99;

// One session: what its rule sees.
struct Given {
  CommitRule rule;
  Canvas canvas;
  std::vector<int32_t> positions;
  std::vector<float> bias;
};

Given randomGiven(Random& random, int rows) {
  Given g;
  const int length = rows + random.below(rows + 1) + 1;
  g.canvas = Canvas(length, kMask);
  for (int p = 0; p < length; p++)
    if (random.below(5) == 0) g.canvas.write(p, p % 90);
  g.positions = random.subset(length, rows);
  g.rule.begin = random.below(4) == 0 ? random.below(length) : 0;
  g.rule.end = random.below(4) == 0 ? random.below(length + 1) : length;
  g.rule.seed = uint64_t{random.bits()} << 32 | random.bits();
  g.rule.step = random.bits();
  if (random.below(2) == 0) {
    for (int p = 0; p < length; p++) {
      const float bias = 0.25f * static_cast<float>(random.below(5) - 2);
      g.bias.push_back(random.below(50) == 0 ? std::numeric_limits<float>::quiet_NaN() : bias);
    }
  }
  return g;
}

// Numbers of which many are equal.
double statistic(Random& random) {
  switch (random.below(8)) {
    case 0: return 1;
    case 1: return 0;
    case 2: return -0.0;
    case 3: return 1 - 1e-12 * random.below(3);
    case 4: return random.below(20) == 0 ? std::numeric_limits<double>::quiet_NaN() : 0.5;
    default: return static_cast<double>(random.below(1000)) / 999;
  }
}

HeadResult randomStatistics(Random& random, size_t rows) {
  HeadResult head;
  for (size_t i = 0; i < rows; i++) {
    head.token.push_back(random.below(8) == 0 ? kMask : random.below(90));
    head.probability.push_back(statistic(random));
    head.margin.push_back(statistic(random));
    head.entropy.push_back(std::fabs(statistic(random)));
  }
  return head;
}

// Numbers near those where the selections change.
void randomise(CommitRule& rule, Random& random, int rows) {
  rule.k = random.below(rows + 3) - 1;
  rule.tau = random.below(2) ? 0.5 : 1 - 1e-12 * random.below(3);
  rule.strict = random.below(2) == 0;
  rule.min = random.below(4);
  rule.factor = 0.01 + random.below(6);
  rule.literal = random.below(2) == 0;
  rule.gamma = 0.1 * random.below(40);
}

void append(Output& output, const CommitItem& item) {
  output.exact.push_back(static_cast<int32_t>(item.committed.size()));
  output.exact.insert(output.exact.end(), item.committed.begin(), item.committed.end());
  const std::vector<int32_t>& canvas = item.canvas->tokens();
  output.exact.insert(output.exact.end(), canvas.begin(), canvas.end());
}

Output runRules(Backend& backend, Score score, Select select, const std::vector<int>& sizes) {
  Random random(static_cast<uint64_t>(score) * 16 + static_cast<uint64_t>(select));
  Output output;
  for (int rows : sizes) {
    std::vector<Given> sessions;
    size_t all = 0;
    for (int s = 0; s < 3; s++) {
      sessions.push_back(randomGiven(random, s == 1 ? 1 : rows));
      Given& g = sessions.back();
      randomise(g.rule, random, rows);
      g.rule.score = score;
      g.rule.select = select;
      all += g.positions.size();
    }
    const HeadResult head = randomStatistics(random, all + 1);
    CommitBatch batch;
    size_t first = 1;
    for (Given& g : sessions) {
      CommitItem item;
      item.rule = g.rule;
      item.rule.bias = g.bias;
      item.canvas = &g.canvas;
      item.mask = kMask;
      item.positions = g.positions;
      item.head = &head;
      item.first = first;
      first += g.positions.size();
      batch.items.push_back(item);
    }
    backend.begin();
    backend.commit(batch);
    backend.end();
    for (const CommitItem& item : batch.items) append(output, item);
  }
  return output;
}

// A head and rules over its rows in one step: the commits are those of applyRule on the result.
Output runWithHead(Backend& backend) {
  constexpr int kRows = 40, kVocabulary = 300, kDim = 64;
  Random random(7);
  const WeightPtr w =
      upload(backend, randomTensor(random, Type::f32, kDim, kVocabulary), Use::matrix);
  const Buffer x(backend, random.normals(size_t{kRows} * kDim, 2), kRows, kDim);
  std::vector<HeadRow> rows(kRows);
  std::vector<int32_t> positions, unchosen{kMask};
  for (int i = 0; i < kRows; i++) {
    rows[static_cast<size_t>(i)].hidden = i % 30;  // some rows are equal
    rows[static_cast<size_t>(i)].position = i;
    positions.push_back(i);
  }
  std::vector<HeadOptions> options(1);
  options[0].unchosen = unchosen;
  Canvas canvases[2];
  HeadResult head;
  CommitBatch batch;
  for (size_t s = 0; s < 2; s++) {
    canvases[s] = Canvas(kRows, kMask);
    CommitItem item;
    item.rule.select = s == 0 ? Select::topK : Select::entropyBound;
    item.rule.score = s == 0 ? Score::probability : Score::negEntropy;
    item.rule.k = 7;
    item.rule.gamma = 2;
    item.rule.end = kRows;
    item.canvas = &canvases[s];
    item.mask = kMask;
    item.positions = std::span(positions).subspan(s * 20, 20);
    item.head = &head;
    item.first = s * 20;
    batch.items.push_back(item);
  }
  backend.begin();
  backend.head(head, x.tensor, *w, rows, options);
  backend.commit(batch);
  backend.end();

  Output output;
  std::vector<Candidate> ranked;
  for (CommitItem& item : batch.items) {
    append(output, item);
    Canvas again(kRows, kMask);
    CommitItem expected = item;
    expected.canvas = &again;
    applyRule(expected, ranked);
    output.exact.push_back(expected.committed == item.committed);
    output.exact.push_back(again.tokens() == item.canvas->tokens());
  }
  return output;
}

// What a round of --bench works on. Every proposal is MASK, so that no round changes the canvas.
struct Bench {
  Bench(std::unique_ptr<Backend> made, int rows, Select select) : backend(std::move(made)) {
    Random random(5);
    const size_t n = static_cast<size_t>(rows);
    canvas = Canvas(rows, kMask);
    head = randomStatistics(random, n);
    head.token.assign(n, kMask);
    for (int i = 0; i < rows; i++) positions.push_back(i);
    CommitItem item;
    item.rule.select = select;
    item.rule.k = rows / 8;
    item.rule.factor = rows;  // all of them pass
    item.rule.end = rows;
    item.canvas = &canvas;
    item.mask = kMask;
    item.positions = positions;
    item.head = &head;
    batch.items.push_back(item);
  }
  void round() {
    backend->begin();
    backend->commit(batch);
    backend->end();
  }
  std::unique_ptr<Backend> backend;
  Canvas canvas;
  std::vector<int32_t> positions;
  HeadResult head;
  CommitBatch batch;
};

}  // namespace

void addCommitBenches(std::vector<BenchCase>& cases) {
  for (const auto& [select, name] :
       {std::pair{Select::topK, "top-k"}, {Select::factor, "factor"}}) {
    for (int rows : {32, 512, 4096}) {
      BenchCase c;
      c.name = "commit " + std::to_string(rows) + " " + name;
      c.bytes = 32.0 * rows;
      c.prepare = [rows, select = select](std::unique_ptr<Backend> made) {
        const auto bench = std::make_shared<Bench>(std::move(made), rows, select);
        return [bench] { bench->round(); };
      };
      cases.push_back(std::move(c));
    }
  }
}

void addCommitCases(std::vector<Case>& cases) {
  const std::pair<Score, const char*> scores[] = {{Score::probability, "probability"},
                                                  {Score::margin, "margin"},
                                                  {Score::negEntropy, "negEntropy"},
                                                  {Score::random, "random"},
                                                  {Score::position, "position"}};
  const std::pair<Select, const char*> selections[] = {{Select::topK, "top-k"},
                                                       {Select::threshold, "threshold"},
                                                       {Select::factor, "factor"},
                                                       {Select::entropyBound, "entropy bound"},
                                                       {Select::all, "all"}};
  for (const auto& [score, scoreName] : scores) {
    for (const auto& [select, selectName] : selections) {
      cases.push_back({std::string("commit ") + selectName + " by " + scoreName, 0, false,
                       [score = score, select = select](Backend& backend) {
                         return runRules(backend, score, select, {1, 2, 33, 64, 300, 700});
                       }});
    }
  }
  // More than a tile of the card's sort: several, the last one not full.
  for (const Select select : {Select::topK, Select::factor}) {
    cases.push_back(
        {std::string("commit of 5000 rows, ") + (select == Select::topK ? "top-k" : "factor"), 0,
         false, [select](Backend& backend) {
           return runRules(backend, Score::probability, select, {1025, 5000});
         }});
  }
  cases.push_back({"commit after a head", 0, false, runWithHead});
}

}  // namespace lacuna::ops
