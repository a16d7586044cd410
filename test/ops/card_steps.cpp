// --steps: whole steps of a synthetic model of LLaDA-8B's shape on a card, against the time that
// reading the weights once, or the arithmetic, would take at the rates measured in the same run.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "card_steps.h"
#include "cuda/ceilings.h"
#include "error.h"
#include "quant/quant.h"
#include "session/stepper.h"
#include "test/driver.h"

namespace lacuna::ops {
namespace {

struct Shape {
  int layers, dim, heads, headDim, ffn, vocabulary, canvas, block;

  double layerWeights() const {
    return 4.0 * dim * heads * headDim + 3.0 * static_cast<double>(dim) * ffn;
  }
  double headWeights() const { return static_cast<double>(dim) * vocabulary; }
  // With the embedding, of which a step reads a few rows only: the time counts it.
  double bytes(Type type) const {
    const double perWeight = static_cast<double>(rowBytes(type, dim)) / dim;
    return perWeight * (layers * layerWeights() + 2 * headWeights());
  }
  double operations(int rows, int queried) const {
    const double attention = 4.0 * rows * canvas * heads * headDim;
    return 2.0 * rows * layers * layerWeights() + layers * attention +
           2.0 * queried * headWeights();
  }
};

constexpr Shape kLlada8B{32, 4096, 32, 128, 12288, 126464, 512, 32};
constexpr Shape kSmall{2, 256, 4, 64, 512, 600, 48, 16};

// Matrices of one shape are copies of each other, in memory of their own.
std::shared_ptr<Model> syntheticModel(std::shared_ptr<cuda::Driver> driver, Type type,
                                      const Shape& shape) {
  auto model = std::make_shared<Model>();
  ModelSpec& spec = model->spec;
  spec.layers = shape.layers;
  spec.dim = shape.dim;
  spec.heads = spec.kvHeads = shape.heads;
  spec.headDim = shape.headDim;
  spec.ffn = shape.ffn;
  spec.vocabulary = shape.vocabulary;
  spec.mask = shape.vocabulary - 1;
  spec.rope.dims = shape.headDim;
  for (int i = 0; i < shape.headDim / 2; i++)
    spec.rope.frequencies.push_back(std::pow(5e5, -2.0 * i / shape.headDim));
  auto backend = std::make_unique<cuda::CudaBackend>(std::move(driver));
  Random random(9);
  const int qDim = shape.heads * shape.headDim;
  const HostTensor table = largeTensor(random, type, shape.dim, shape.vocabulary),
                   in = largeTensor(random, type, shape.dim, qDim),
                   out = largeTensor(random, type, qDim, shape.dim),
                   up = largeTensor(random, type, shape.dim, shape.ffn),
                   down = largeTensor(random, type, shape.ffn, shape.dim),
                   scale = floatTensor(std::vector<float>(static_cast<size_t>(shape.dim), 0.1f),
                                       shape.dim, 1);
  const auto matrix = [&](const HostTensor& t) { return upload(*backend, t, Use::matrix); };
  const auto vector = [&] { return upload(*backend, scale, Use::vector); };
  auto weights = std::make_unique<Weights>();
  weights->embedding = upload(*backend, table, Use::table);
  weights->head = matrix(table);
  weights->finalNorm = vector();
  weights->layers.resize(static_cast<size_t>(shape.layers));
  for (LayerWeights& layer : weights->layers) {
    layer.attentionNorm = vector();
    layer.ffnNorm = vector();
    for (WeightPtr* w : {&layer.q, &layer.k, &layer.v}) *w = matrix(in);
    layer.o = matrix(out);
    for (WeightPtr* w : {&layer.gate, &layer.up}) *w = matrix(up);
    layer.down = matrix(down);
  }
  model->weights = std::move(weights);
  model->backend = std::move(backend);
  return model;
}

// One measured step.
struct Sample {
  double wall = 0;  // seconds
  Timing timing;

  double device() const {
    const Timing& t = timing;
    return static_cast<double>(t.embed + t.norm + t.linear + t.rope + t.attend + t.moe + t.head +
                               t.commit) *
           1e-9;
  }
};

class StepBench {
 public:
  StepBench(std::shared_ptr<cuda::Driver> on, const CardStepOptions& options)
      : driver(std::move(on)),
        options(options),
        shape(options.quick ? kSmall : kLlada8B),
        ceilings(cuda::measureCeilings(*driver, options.quick)) {}

  int run();

 private:
  double seconds(double bytes) const { return bytes / ceilings.copy; }
  StepRequest request(Session& session, bool full) const;
  void check(const StepResult& result, int queried) const;
  Sample measure(Stepper& stepper, Session& session, bool full);
  double productSeconds(Model& model, int rows);
  void benchType(Type type);
  void benchStep(Type type, const std::shared_ptr<Model>& model, Session& session, bool full);
  void row(const std::string& what, const std::string& result, const std::string& ceiling,
           const std::string& target, bool met);

  const std::shared_ptr<cuda::Driver> driver;
  const CardStepOptions options;
  const Shape shape;
  const cuda::Ceilings ceilings;
  std::vector<std::string> rows;
  int failed = 0;
};

std::string text(const char* format, double a, double b = 0, double c = 0) {
  char buffer[160];
  std::snprintf(buffer, sizeof buffer, format, a, b, c);
  return buffer;
}

void StepBench::row(const std::string& what, const std::string& result, const std::string& ceiling,
                    const std::string& target, bool met) {
  rows.push_back("| " + what + " | " + result + " | " + ceiling + " | " + target + " | " +
                 (options.quick ? "not a card"
                  : met         ? "met"
                                : "**missed**") +
                 " |");
}

// Everything, or the dual cache's step: one block is computed and sees the whole canvas.
StepRequest StepBench::request(Session& session, bool full) const {
  session.canvas.write(
      0, std::vector<int32_t>(static_cast<size_t>(session.length()), session.model->spec.mask));
  StepRequest asked;
  asked.session = &session;
  asked.visible.resize(static_cast<size_t>(shape.canvas));
  std::iota(asked.visible.begin(), asked.visible.end(), 0);
  const auto middle = asked.visible.begin() + shape.canvas / 2 - shape.block / 2;
  asked.rows = full ? asked.visible : std::vector<int32_t>(middle, middle + shape.block);
  asked.query = asked.rows;
  asked.unchosen = {session.model->spec.mask};
  asked.commit.emplace();
  asked.commit->select = Select::topK;
  asked.commit->k = 2;
  asked.commit->end = shape.canvas;
  return asked;
}

void StepBench::check(const StepResult& result, int queried) const {
  const size_t n = static_cast<size_t>(queried);
  bool good = result.token.size() == n && result.committed.size() == 2;
  for (size_t i = 0; good && i < n; i++) {
    good = result.token[i] >= 0 && result.token[i] < shape.vocabulary - 1 &&
           result.probability[i] > 0 && result.probability[i] <= 1 && result.entropy[i] >= 0;
  }
  if (!good) throw Error(Code::internal, "a step's results are none");
}

// The median step, by its wall time.
Sample StepBench::measure(Stepper& stepper, Session& session, bool full) {
  using Clock = std::chrono::steady_clock;
  const std::atomic<bool> cancelled{false};
  std::vector<StepResult> results;
  std::vector<Sample> samples;
  double total = 0;
  const size_t warm = 3, least = options.quick ? 1 : 15;
  while (samples.size() < warm + least || (!options.quick && total < 0.7)) {
    StepRequest asked = request(session, full);
    const auto start = Clock::now();
    stepper.step({&asked, 1}, results, cancelled);
    Sample sample;
    sample.wall = std::chrono::duration<double>(Clock::now() - start).count();
    sample.timing = results[0].timing;
    total += sample.wall;
    samples.push_back(sample);
    check(results[0], static_cast<int>(asked.query.size()));
  }
  samples.erase(samples.begin(), samples.begin() + warm);
  const auto middle = samples.begin() + static_cast<int64_t>(samples.size() / 2);
  std::nth_element(samples.begin(), middle, samples.end(),
                   [](const Sample& a, const Sample& b) { return a.wall < b.wall; });
  return *middle;
}

// The head's product alone: what the head takes beyond it is statistics.
double StepBench::productSeconds(Model& model, int rows) {
  auto& backend = static_cast<cuda::CudaBackend&>(*model.backend);
  const size_t n = static_cast<size_t>(rows);
  const Buffer x(backend, largeNormals(n * static_cast<size_t>(shape.dim)), rows, shape.dim);
  const MemoryPtr memory = backend.alloc(n * static_cast<size_t>(shape.vocabulary), nullptr);
  const Tensor y{memory->data, rows, shape.vocabulary};
  double best = INFINITY;
  for (int round = 0; round < 5; round++) {
    backend.begin();
    backend.linear(y, x.tensor, *model.weights->head, nullptr, Epilogue::store);
    backend.end();
    best = std::min(best, static_cast<double>(backend.timing().linear) * 1e-9);
  }
  return best;
}

void StepBench::benchStep(Type type, const std::shared_ptr<Model>& model, Session& session,
                          bool full) {
  Stepper stepper(*model);
  const Sample s = measure(stepper, session, full);
  const auto& backend = static_cast<const cuda::CudaBackend&>(*model->backend);
  const auto kernels = backend.kernelTimes();
  const int count = full ? shape.canvas : shape.block;
  const std::string name = std::string(full ? "full step" : "dual-cache step") + " of " +
                           std::to_string(count) + " rows, " + typeInfo(type).name;
  const double host = s.wall - s.device(), head = static_cast<double>(s.timing.head) * 1e-9,
               product = productSeconds(*model, count), statistics = std::max(0.0, head - product),
               commit = static_cast<double>(s.timing.commit) * 1e-9,
               share = (statistics + commit + host) / s.wall;

  const auto ms = [](int64_t nanoseconds) { return static_cast<double>(nanoseconds) * 1e-6; };
  const Timing& t = s.timing;
  std::printf("%s: %.3f ms, on the card %.3f, host and transfers %.1f us\n", name.c_str(),
              s.wall * 1e3, s.device() * 1e3, host * 1e6);
  std::printf(
      "  ms: embed %.3f, norm %.3f, linear %.3f, rope %.3f, attend %.3f, head %.3f (product "
      "alone %.3f), commit %.3f\n",
      ms(t.embed), ms(t.norm), ms(t.linear), ms(t.rope), ms(t.attend), ms(t.head), product * 1e3,
      ms(t.commit));
  for (size_t i = 0; i < std::min<size_t>(kernels.size(), 10); i++) {
    std::printf("  %-18s %4lld launches %9.3f ms\n", kernels[i].kernel,
                static_cast<long long>(kernels[i].launches), ms(kernels[i].nanoseconds));
  }

  if (full) {
    const double rate = shape.operations(count, count) / s.wall;
    // Without the library's rate: that of the instructions, which is what we can reach at most.
    const bool vendor = options.vendorRate > 0 && isFloat(type);
    const double ceiling = vendor          ? options.vendorRate
                           : isFloat(type) ? ceilings.f16
                                           : ceilings.int8;
    row(name, text("%.2f ms, %.0f TFLOP/s", s.wall * 1e3, rate / 1e12),
        std::string(vendor          ? "library's"
                    : isFloat(type) ? "mma f16"
                                    : "mma int8") +
            text(" %.0f TFLOP/s", ceiling / 1e12),
        text("%.0f %%", rate / ceiling * 100) + (isFloat(type) ? " (>= 45 %)" : " (no target)"),
        !isFloat(type) || rate >= 0.45 * ceiling);
  } else {
    const double once = seconds(shape.bytes(type));
    row(name, text("%.3f ms", s.wall * 1e3),
        text("%.2f GB at %.0f GB/s: %.3f ms", shape.bytes(type) / 1e9, ceilings.copy / 1e9,
             once * 1e3),
        text("%.2f x (<= 1.4 x)", s.wall / once), s.wall <= 1.4 * once);
  }
  row("statistics, commit, host: " + name,
      text("%.0f + %.0f + %.0f us", statistics * 1e6, commit * 1e6, host * 1e6),
      text("step %.3f ms", s.wall * 1e3), text("%.1f %% (<= 5 %%)", share * 100), share <= 0.05);
  row("host side: " + name, text("%.0f us", host * 1e6), "", "< 100 us", host < 100e-6);
}

void StepBench::benchType(Type type) {
  const std::string name = typeInfo(type).name;
  try {
    const auto start = std::chrono::steady_clock::now();
    const auto model = syntheticModel(driver, type, shape);
    Session session(model, shape.canvas);
    const double load =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("%s: %.2f GB made, packed and sent in %.1f s\n", name.c_str(),
                shape.bytes(type) / 1e9, load);
    for (const bool full : {true, false}) {
      benchStep(type, model, session, full);
      std::fflush(stdout);
    }
  } catch (const Error& error) {
    failed++;
    std::printf("FAIL steps %s: %s\n", name.c_str(), error.what());
    row("steps, " + name, "failed", "", "", false);
  }
}

int StepBench::run() {
  const auto& facts = driver->facts();
  rows.push_back("| card | " + facts.name + " | compute capability " + std::to_string(facts.major) +
                 "." + std::to_string(facts.minor) + text(", %.1f GB", facts.totalBytes / 1e9) +
                 " | | |");
  rows.push_back(
      text("| ceilings | int8 %.0f TOP/s, f16 %.0f TFLOP/s", ceilings.int8 / 1e12,
           ceilings.f16 / 1e12) +
      text(" (mma), f32 %.0f TFLOP/s", ceilings.f32 / 1e12) +
      text(" | copy %.0f GB/s, read %.0f GB/s | | |", ceilings.copy / 1e9, ceilings.read / 1e9));
  for (Type type : {Type::q8_0, Type::q4_K, Type::f16}) benchType(type);
  std::printf("\n");
  for (const std::string& line : rows) std::printf("%s\n", line.c_str());
  return failed ? 1 : 0;
}

}  // namespace

int benchCardSteps(const std::string& device, const CardStepOptions& options) {
  return StepBench(openDriver(device), options).run();
}

}  // namespace lacuna::ops
