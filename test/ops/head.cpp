// Cases of head. Logits spread like a trained model's: some rows nearly certain, some flat.
#include <cmath>
#include <limits>
#include <memory>

#include "ops.h"
#include "quant/quant.h"

namespace lacuna::ops {
namespace {

struct HeadCase {
  std::string name;
  int vocabulary = 1000, dim = 96, n = 9;
  Type type = Type::f32;
  float sharpness = 1;  // deviation of the logits
  HeadOptions options;  // spans are filled from the sets below
  std::vector<int32_t> suppress, allow, unchosen, unscored, probe;
  std::vector<Credit> credits;
  // Lists that rows take turns with, in place of the sets above: {suppress, allow} each.
  std::vector<std::pair<std::vector<int32_t>, std::vector<int32_t>>> limits;
  bool guided = false, previous = false;
  int period = 0;  // tokens after which the weights repeat, so that logits are equal; 0: never
};

Output runHead(Backend& backend, const HeadCase& c) {
  Random random(static_cast<uint64_t>(c.vocabulary + c.dim));
  const int rows = 2 * c.n;
  const size_t dim = static_cast<size_t>(c.dim);
  HostTensor weight = randomTensor(random, c.type, c.dim, c.vocabulary);
  if (c.period > 0) {
    const size_t repeated =
        weight.bytes.size() / static_cast<size_t>(c.vocabulary) * static_cast<size_t>(c.period);
    for (size_t i = repeated; i < weight.bytes.size(); i++)
      weight.bytes[i] = weight.bytes[i - repeated];
  }
  const WeightPtr w = upload(backend, weight, Use::matrix);
  std::vector<float> hidden = c.type == Type::f32
                                  ? random.normals(static_cast<size_t>(rows) * dim)
                                  : random.representable(static_cast<size_t>(rows) * dim);
  if (c.type == Type::f32) {
    const float unit = c.sharpness / (0.3f * std::sqrt(static_cast<float>(c.dim)));
    for (size_t i = 0; i < hidden.size(); i++) {
      hidden[i] *= unit * (i / dim % 3 == 1 ? 8.0f : 1.0f);
    }
  }
  const Buffer x(backend, hidden, rows, c.dim);
  const Buffer before(backend, random.normals(static_cast<size_t>(c.n) * dim, 0.5f), c.n, c.dim);

  // Two lists of options: the case's own for three of four rows, the defaults for the fourth; or
  // the case's own with each of its limits.
  std::vector<HeadOptions> options(2);
  options[0] = c.options;
  options[0].suppress = c.suppress;
  options[0].allow = c.allow;
  options[0].unchosen = c.unchosen;
  options[0].unscored = c.unscored;
  options[0].probe = c.probe;
  options[0].credits = c.credits;
  options[0].seed = 0x1234567890ABCDEFu;
  options[0].step = 5;
  if (!c.limits.empty()) {
    options.assign(c.limits.size(), options[0]);
    for (size_t i = 0; i < options.size(); i++) {
      options[i].suppress = c.limits[i].first;
      options[i].allow = c.limits[i].second;
    }
  }
  std::vector<HeadRow> headRows(static_cast<size_t>(c.n));
  for (int i = 0; i < c.n; i++) {
    HeadRow& row = headRows[static_cast<size_t>(i)];
    row.hidden = c.n - 1 - i;
    row.position = 3 * i;
    row.options = c.limits.empty() ? i % 4 == 3 : i * 5 % static_cast<int>(options.size());
    if (c.guided && i % 2 == 0) {
      row.unconditional = c.n + i;
      row.guidance = 1.5f;
    }
    if (c.previous) {
      row.previous = before.tensor.slice(i, 1).data;
      row.hasPrevious = i % 3 != 2;
    }
  }
  HeadResult result;
  backend.begin();
  backend.head(result, x.tensor, *w, headRows, options);
  backend.end();

  Output output;
  const auto add = [&](const auto& part) {
    output.values.insert(output.values.end(), part.begin(), part.end());
  };
  add(result.probability);
  for (double p : result.probability) {  // near 1 what is missing counts
    output.values.push_back(std::log(std::max(1 - p, 1e-10)));
  }
  add(result.margin);
  add(result.entropy);
  add(result.topProbability);
  add(result.probe);
  add(result.logits);
  for (float kl : result.kl) {
    output.exact.push_back(std::isinf(kl));
    output.values.push_back(std::isinf(kl) ? 0 : kl);
  }
  if (c.previous) {
    const std::vector<float> kept = before.read();
    output.values.insert(output.values.end(), kept.begin(), kept.end());
  }
  output.exact.insert(output.exact.end(), result.token.begin(), result.token.end());
  output.exact.insert(output.exact.end(), result.topToken.begin(), result.topToken.end());
  return output;
}

HeadCase named(std::string name) {
  HeadCase c;
  c.name = std::move(name);
  c.options.list = 5;
  return c;
}

std::vector<int32_t> every(int step, int from, int to) {
  std::vector<int32_t> set;
  for (int i = from; i < to; i += step) set.push_back(i);
  return set;
}

void addSets(std::vector<HeadCase>& list) {
  HeadCase suppress = named("suppress");
  suppress.suppress = every(3, 0, 1000);
  list.push_back(suppress);
  HeadCase allow = named("allow two tokens, list of five");
  allow.allow = {17, 900};
  list.push_back(allow);
  allow.name = "allow, suppress and a sample";
  allow.allow = every(7, 100, 990);
  allow.suppress = every(14, 100, 990);
  allow.options.temperature = 0.8f;
  list.push_back(allow);
  HeadCase unchosen = named("unchosen");
  unchosen.unchosen = every(2, 0, 1000);
  list.push_back(unchosen);
  HeadCase unscored = named("unscored");
  unscored.unscored = every(2, 0, 1000);
  unscored.probe = {0, 1, 2, 3};
  list.push_back(unscored);
  HeadCase credits = named("credits and probes");
  for (int position = 0; position < 27; position += 6) {
    credits.credits.push_back({position, 3, 4.5f});
    credits.credits.push_back({position, 999, 40.0f});
  }
  credits.probe = {3, 255, 256, 998, 999};
  list.push_back(credits);
}

// Many lists in one step: digits, all but a few, one token, none at all.
void addLimits(std::vector<HeadCase>& list) {
  HeadCase c = named("limits by position");
  c.n = 33;
  c.unchosen = {999};
  c.probe = {0, 17, 500, 998};
  c.limits = {{{}, every(10, 0, 1000)}, {every(1, 100, 1000), {}}, {{}, {17}}, {{}, {}}};
  for (int i = 1; i < 9; i++) c.limits.push_back({every(i + 1, 0, 1000), every(i, i, 1000)});
  list.push_back(c);
  c.name = "limits by position, sampled";
  c.options.temperature = 0.9f;
  list.push_back(c);
  c.name = "limits by position, top-p, kl";
  c.options.topP = 0.8f;
  c.options.tempered = true;
  c.options.kl = c.previous = true;
  list.push_back(c);
  c.name = "limits by position, vocabulary 40000";
  c.options = named("").options;
  c.previous = false;
  c.vocabulary = 40000;
  c.limits = {{{}, every(1, 1, 20000)}, {every(2, 0, 40000), {}}, {{}, {}}, {{}, {39998, 39999}}};
  list.push_back(c);
}

void addSampling(std::vector<HeadCase>& list) {
  for (float temperature : {0.0f, 0.2f, 1.0f}) {
    for (bool tempered : {false, true}) {
      const std::string with =
          " T=" + std::to_string(temperature).substr(0, 3) + (tempered ? " tempered" : "");
      HeadCase c = named("sample" + with);
      c.options.temperature = temperature;
      c.options.tempered = tempered;
      list.push_back(c);
      c.options.topK = 7;
      c.name = "top-k" + with;
      list.push_back(c);
      c.options.topP = 0.7f;
      c.probe = {1, 500};
      c.name = "top-p, top-k" + with;
      list.push_back(c);
      c.options.topK = 0;
      c.options.topP = 0.95f;
      c.name = "top-p" + with;
      list.push_back(c);
    }
  }
  HeadCase mask = named("filter that keeps only unchosen tokens");
  mask.options.temperature = 1;
  mask.options.topK = 1;
  mask.options.tempered = true;
  mask.unchosen = every(2, 0, 1000);
  list.push_back(mask);
}

// Logits that are equal, lists as long as they get, and more rows than are reduced together.
void addExtremes(std::vector<HeadCase>& list) {
  HeadCase ties = named("ties");
  ties.period = 100;
  ties.options.list = 25;
  list.push_back(ties);
  ties.name = "ties, top-k";
  ties.options.temperature = 1;
  ties.options.topK = 27;
  ties.options.tempered = true;
  list.push_back(ties);
  ties.name = "ties, top-p";
  ties.options.topK = 0;
  ties.options.topP = 0.3f;
  list.push_back(ties);

  HeadCase longList = named("list of 200");
  longList.options.list = 200;
  list.push_back(longList);
  HeadCase whole = named("list of the vocabulary, some suppressed");
  whole.vocabulary = whole.options.list = 30;
  whole.suppress = {0, 1, 7, 29};
  list.push_back(whole);

  HeadCase rows = named("700 rows, kl, top-p");
  rows.n = 700;
  rows.vocabulary = 300;
  rows.dim = 32;
  rows.options.kl = rows.previous = true;
  rows.options.temperature = 1;
  rows.options.topP = 0.9f;
  list.push_back(rows);
}

// A row that may choose nothing is an error of the step.
Output runNothingAllowed(Backend& backend) {
  Random random(3);
  const WeightPtr w = upload(backend, randomTensor(random, Type::f32, 32, 50), Use::matrix);
  const Buffer x(backend, random.normals(32), 1, 32);
  const std::vector<int32_t> token{5};
  std::vector<HeadOptions> options(1);
  options[0].allow = options[0].suppress = token;
  const std::vector<HeadRow> rows(1);
  HeadResult result;
  Output output;
  try {
    backend.begin();
    backend.head(result, x.tensor, *w, rows, options);
    backend.end();
  } catch (const Error& error) {
    output.exact.push_back(error.code == Code::invalidArgument);
  }
  return output;
}

}  // namespace

void addHeadCases(std::vector<Case>& cases) {
  std::vector<HeadCase> list;
  list.push_back(named("greedy"));
  for (int vocabulary : {2, 15, 256, 257, 5000, 40000}) {
    HeadCase c = named("greedy, vocabulary " + std::to_string(vocabulary));
    c.vocabulary = vocabulary;
    c.options.list = 2;
    list.push_back(c);
  }
  HeadCase many = named("many rows");
  many.n = 100;
  list.push_back(many);
  HeadCase certain = named("certain");
  certain.sharpness = 12;
  list.push_back(certain);
  HeadCase kl = named("kl");
  kl.options.kl = kl.previous = true;
  list.push_back(kl);
  kl.name = "kl, filtered";
  kl.options.temperature = 1;
  kl.options.topP = 0.9f;
  kl.vocabulary = 3000;
  list.push_back(kl);
  HeadCase logits = named("logits, guidance");
  logits.options.logits = logits.guided = true;
  list.push_back(logits);
  addSets(list);
  addSampling(list);
  addLimits(list);
  addExtremes(list);
  for (Type type : allTypes()) {
    HeadCase c = named(std::string("greedy ") + typeInfo(type).name);
    c.type = type;
    c.dim = 256;
    list.push_back(c);
  }
  for (const HeadCase& c : list) {
    // Probabilities, entropies in nats and logits, each to this difference.
    cases.push_back(
        {"head " + c.name, 5e-5, true, [c](Backend& backend) { return runHead(backend, c); }});
  }
  cases.push_back({"head nothing allowed", 0, true, runNothingAllowed});
}

}  // namespace lacuna::ops
