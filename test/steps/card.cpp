// Whole steps on the CUDA backend, on a card or in the emulator. Every kind of step against the
// CPU: a model of F32 weights must take the same way, token by token, and any model may lose
// against the oracle what the CPU loses, and a little.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "cuda/backend.h"
#include "error.h"
#include "steps.h"
#include "test/driver.h"

namespace lacuna::steps {
namespace {

constexpr int kRounds = 4;

struct Played {
  std::vector<StepResult> results;  // of all sessions of all rounds
  std::vector<std::vector<int32_t>> canvases;
};

// With `logits` the first round reports them.
Played play(const std::shared_ptr<Model>& model, const Scenario& scenario, int rounds,
            bool logits) {
  const std::atomic<bool> cancelled{false};
  const std::vector<Player> players = gather(model, scenario);
  Stepper stepper(*model);
  Played played;
  for (int round = 0; round < rounds; round++) {
    std::vector<StepRequest> requests = requestsOf(scenario, players, round);
    for (StepRequest& request : requests) request.head.logits |= logits && round == 0;
    std::vector<StepResult> results;
    stepper.step(requests, results, cancelled);
    played.results.insert(played.results.end(), results.begin(), results.end());
    for (const Player& player : players) played.canvases.push_back(player.session->canvas.tokens());
  }
  return played;
}

// ‖a − b‖ / ‖b‖ over the logits of all results.
double distance(const Played& a, const Played& b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < b.results.size(); i++) {
    const std::vector<float>&x = a.results[i].logits, &y = b.results[i].logits;
    if (x.size() != y.size()) return INFINITY;
    for (size_t j = 0; j < y.size(); j++) {
      difference += (double{x[j]} - y[j]) * (double{x[j]} - y[j]);
      norm += double{y[j]} * y[j];
    }
  }
  return norm > 0 ? std::sqrt(difference / norm) : 0;
}

template <class T>
bool near(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](T x, T y) {
           return x == y || std::fabs(x - y) <= 1e-4 * (1 + std::fabs(y));
         });
}

// Tokens and commits equal, numbers near.
void sameWay(Tally& tally, const Played& card, const Played& cpu, const std::string& what) {
  tally.hold(card.canvases == cpu.canvases, what + ": canvases differ");
  for (size_t i = 0; i < cpu.results.size(); i++) {
    const StepResult &a = card.results[i], &b = cpu.results[i];
    const bool exact = a.position == b.position && a.token == b.token && a.topToken == b.topToken &&
                       a.committed == b.committed;
    const bool close = near(a.probability, b.probability) && near(a.margin, b.margin) &&
                       near(a.entropy, b.entropy) && near(a.kl, b.kl) && near(a.probe, b.probe) &&
                       near(a.topProbability, b.topProbability) && near(a.logits, b.logits);
    tally.hold(exact && close,
               what + ": result " + std::to_string(i) + (exact ? " is not near" : " differs"));
  }
}

// A canvas denoised from masks to the end, each step's choice changing the next one's input.
constexpr int kTrajectory = 15;

bool isF32(const Model& model) {
  const auto& tensors = model.file->tensors();
  return std::all_of(tensors.begin(), tensors.end(),
                     [](const TensorView& tensor) { return tensor.type == Type::f32; });
}

// The same steps again on the same memory: the second time the program is known, the third it runs
// as a graph.
void checkGraphs(Tally& tally, const std::shared_ptr<Model>& model, const std::string& what) {
  auto& backend = static_cast<cuda::CudaBackend&>(*model->backend);
  const Scenario plain = scenarios().front();
  const std::vector<Player> players = gather(model, plain);
  const std::atomic<bool> cancelled{false};
  Stepper stepper(*model);
  std::vector<StepResult> results;
  std::vector<double> first;
  const auto before = backend.counts();
  for (int round = 0; round < 5; round++) {
    std::vector<StepRequest> requests = requestsOf(plain, players, 0);
    requests[0].commit.reset();
    stepper.step(requests, results, cancelled);
    if (round == 0) first = results[0].probability;
    tally.hold(results[0].probability == first, what + ": a step repeated gives something else");
    const Timing& t = results[0].timing;
    tally.hold(t.linear > 0 && t.attend > 0 && t.head > 0 && t.norm > 0,
               what + ": times are missing");
  }
  const auto after = backend.counts();
  tally.hold(after.steps - before.steps == 5 && after.graphs - before.graphs >= 3,
             what + ": steps of one shape run as a graph");

  // As masks are committed fewer positions are reported; not each of these steps has its own shape.
  constexpr size_t kMost = 16, kLeast = 9;
  for (size_t reported = kMost; reported >= kLeast; reported--) {
    std::vector<StepRequest> requests = requestsOf(plain, players, 0);
    requests[0].commit.reset();
    requests[0].query.resize(reported);
    requests[0].head.seed = reported;
    stepper.step(requests, results, cancelled);
  }
  tally.hold(backend.counts().graphs - after.graphs >= static_cast<int64_t>(kMost - kLeast) - 1,
             what + ": steps that report fewer rows run as a graph");
}

}  // namespace

std::shared_ptr<Model> loadOn(const std::string& path, std::unique_ptr<Backend> backend,
                              bool decoded) {
  if (decoded) return loadDecoded(path, std::move(backend));
  const std::atomic<bool> cancelled{false};
  return loadModel(path, {}, std::move(backend), {}, cancelled);
}

MakeBackend cardBackend(const std::string& device) {
  const auto driver = openDriver(device);
  return [driver] { return std::make_unique<cuda::CudaBackend>(driver); };
}

void checkCard(Tally& tally, const MakeBackend& make, const std::string& path,
               const std::string& filter, bool decoded) {
#ifdef LACUNA_EMULATE
  if (filter.empty() && !decoded) checkEmulated(tally, path);  // first: models share weights
#endif
  const auto card = loadOn(path, make(), decoded),
             cpu = loadOn(path, makeCpuBackend(2, ""), decoded),
             oracle = loadOn(path, makeReferenceBackend(), decoded);
  const bool f32 = decoded || isF32(*card);
  for (const Scenario& scenario : scenarios()) {
    if (scenario.name.find(filter) == std::string::npos) continue;
    const std::string what = path + ", " + scenario.name;
    const int rounds = f32 ? kRounds : 1;
    const Played onCard = play(card, scenario, rounds, true),
                 onCpu = play(cpu, scenario, rounds, true),
                 expected = play(oracle, scenario, 1, true);
    if (f32) sameWay(tally, onCard, onCpu, what);
    const double theirs = distance(onCpu, expected), ours = distance(onCard, expected);
    tally.hold(ours <= 1.25 * theirs + 1e-4,
               what + ": error " + std::to_string(ours) + ", the CPU's " + std::to_string(theirs));
  }
  if (filter.empty() && f32) {
    const Scenario plain = scenarios().front();
    const Played whole = play(card, plain, kTrajectory, false);
    sameWay(tally, whole, play(cpu, plain, kTrajectory, false), path + ", trajectory");
    const std::vector<int32_t>& canvas = whole.canvases.back();
    tally.hold(std::count(canvas.begin(), canvas.end(), card->spec.mask) == 0,
               path + ", trajectory: masks are left");
  }
  if (filter.empty()) checkGraphs(tally, card, path);
}

}  // namespace lacuna::steps
