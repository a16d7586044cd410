// What only the emulator can show, since a card's memory is neither small nor ours alone: what is
// taken and given back, what is said where it does not suffice, and the copies of canvases.
#ifdef LACUNA_EMULATE
#include <algorithm>
#include <cstdlib>

#include "cuda/backend.h"
#include "error.h"
#include "model/fit.h"
#include "steps.h"

namespace lacuna::steps {
namespace {

using cuda::CudaBackend;
using cuda::Driver;
using cuda::EmulatorOptions;

std::unique_ptr<CudaBackend> backendOn(const std::shared_ptr<Driver>& driver) {
  return std::make_unique<CudaBackend>(driver);
}

std::shared_ptr<Driver> emulator(size_t totalBytes) {
  EmulatorOptions options;
  options.totalBytes = totalBytes;
  options.neighbours = {{1, "Roomy Card", size_t{8} << 30}, {2, "Full Card", 1000}};
  return cuda::makeEmulator(options);
}

// The message of OUT_OF_MEMORY that `body` ends in, or what came in its place.
template <class Body>
std::string shortage(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code == Code::outOfMemory ? error.what()
                                           : std::string("another error: ") + error.what();
  }
  return "no error";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void stepAll(const std::shared_ptr<Model>& model, Session& session) {
  StepRequest request;
  request.session = &session;
  for (int i = 0; i < session.length(); i++) request.rows.push_back(i);
  request.visible = request.query = request.rows;
  const std::atomic<bool> cancelled{false};
  std::vector<StepResult> results;
  Stepper(*model).step({&request, 1}, results, cancelled);
}

// ---- Memory ------------------------------------------------------------------------------------

// Bytes of a backend that has loaded nothing yet, and of a model's weights.
struct Needs {
  size_t fixed = 0;
  uint64_t weights = 0;
};

Needs needsOf(const std::string& path) {
  const auto driver = cuda::makeEmulator();
  const size_t before = driver->freeBytes();
  const auto backend = backendOn(driver);
  const auto file = Gguf::open(path);
  const WeightPlan plan = planWeights(*file, readSpec(*file));
  return {before - driver->freeBytes(), weightBytes(plan, *backend)};
}

// All of it is taken before the first byte is sent, exactly what was computed; an aborted upload
// and a disposed model give it back.
void checkLoad(Tally& tally, const std::string& path, const Needs& needs) {
  const auto driver = cuda::makeEmulator();
  const size_t before = driver->freeBytes();
  std::atomic<bool> cancelled{false};
  size_t early = 0;
  Code code = Code::internal;
  try {
    loadModel(
        path, {}, backendOn(driver),
        [&](uint64_t done, uint64_t total) {
          if (early == 0 && done < total) early = before - driver->freeBytes();
          cancelled = true;
        },
        cancelled);
  } catch (const Error& error) {
    code = error.code;
  }
  const size_t wanted = needs.fixed + static_cast<size_t>(needs.weights);
  tally.hold(code == Code::aborted && early == wanted,
             path + ": " + std::to_string(early) + " bytes were taken when the upload began, not " +
                 std::to_string(wanted));
  tally.hold(driver->freeBytes() == before, path + ": an aborted upload keeps device memory");
  {
    const auto model = loadOn(path, backendOn(driver));
    tally.hold(before - driver->freeBytes() == wanted && model->weights->bytes == needs.weights,
               path + ": a model takes other memory than was computed");
    Session session(model, 40);
    stepAll(model, session);
  }
  tally.hold(driver->freeBytes() == before, path + ": device memory is not all given back");
}

// A card that is too small says what it lacks and what would fit, and keeps nothing.
void checkTooSmall(Tally& tally, const std::string& path, const Needs& needs) {
  const auto driver = emulator(needs.fixed + static_cast<size_t>(needs.weights) - 256);
  const size_t before = driver->freeBytes();
  const std::string message = shortage([&] { loadOn(path, backendOn(driver)); });
  const std::string what = path + ": a model that is too large for the card gave: " + message;
  tally.hold(has(message, std::to_string(needs.weights) +
                              " bytes are needed for the weights of the model, " +
                              std::to_string(needs.weights - 256) + " are free. "),
             what);
  tally.hold(has(message, "device 'cuda:1' (Roomy Card, 8.0 GiB free)") &&
                 !has(message, "cuda:2") && has(message, "device 'cpu'"),
             what);
  // There is no room for a session beside weights that are hardly smaller.
  tally.hold(!has(message, "quantised"), what);
  tally.hold(driver->freeBytes() == before, path + ": a load that failed keeps device memory");
}

// Where the file's matrices are F32, another type of theirs is an answer, and its number is true.
void checkSmallerType(Tally& tally, const std::string& path, const Needs& needs) {
  const auto file = Gguf::open(path);
  const ModelSpec spec = readSpec(*file);
  const auto scratch = backendOn(cuda::makeEmulator());
  WeightPlan plan = planWeights(*file, spec);
  std::vector<TensorView> views(plan.bindings.size());
  for (size_t i = 0; i < views.size(); i++) {
    views[i] = *plan.bindings[i].tensor;
    if (plan.bindings[i].use != Use::vector && views[i].cols % 32 == 0) views[i].type = Type::q8_0;
    plan.bindings[i].tensor = &views[i];
  }
  const uint64_t small = weightBytes(plan, *scratch),
                 session = sessionBytes(spec, 256).cache + stepBytes(spec, 256);
  for (const uint64_t spare : {uint64_t{0}, session}) {
    // At first without room for the session, then with it, as long as the weights themselves do not
    // fit as they are.
    if (small + spare >= needs.weights) continue;
    const auto driver = emulator(needs.fixed + static_cast<size_t>(small + spare));
    const std::string message = shortage([&] { loadOn(path, backendOn(driver)); });
    tally.hold(has(message, "quantised to Q8_0") == (spare == session),
               path + ": a smaller type is suggested wrongly: " + message);
  }
}

// A session that is too long says which one is not, and that one holds and steps.
void checkSession(Tally& tally, const std::string& path, const Needs& needs) {
  const auto driver =
      emulator(needs.fixed + static_cast<size_t>(needs.weights) + (size_t{9} << 20));
  const auto model = loadOn(path, backendOn(driver));
  const size_t before = driver->freeBytes();
  const std::string message = shortage([&] { Session(model, 1 << 22); });
  const std::string mark = "room for a session of ";
  const size_t at = message.find(mark);
  const int length = at == std::string::npos ? 0 : std::atoi(message.c_str() + at + mark.size());
  tally.hold(length >= 32 && has(message, " bytes are needed for a session") &&
                 has(message, std::to_string(before) + " are free"),
             path + ": a session that is too long gave: " + message);
  tally.hold(driver->freeBytes() == before, path + ": a session that failed keeps device memory");
  if (length < 32) return;
  // The whole length, but few rows a step, which the emulator computes in a reasonable time.
  Session session(model, length);
  model->reserve(length);
  StepRequest request;
  request.session = &session;
  request.rows = request.query = {0, 1, 2, 3};
  for (int i = 0; i < length; i++) request.visible.push_back(i);
  const std::atomic<bool> cancelled{false};
  std::vector<StepResult> results;
  tally.hold(
      shortage([&] { Stepper(*model).step({&request, 1}, results, cancelled); }) == "no error",
      path + ": the session that was suggested does not step");
}

// Two models and two sessions of each, by turns: each computes what it would alone.
void checkShared(Tally& tally, const std::string& path) {
  const auto driver = cuda::makeEmulator();
  const size_t before = driver->freeBytes();
  const Scenario plain = scenarios().front();
  const std::atomic<bool> cancelled{false};
  std::vector<std::vector<double>> probabilities[2];
  for (const bool together : {false, true}) {
    std::vector<std::vector<double>>& list = probabilities[together];
    // Of a decoded copy, too, since models of one file share their weights.
    auto a = loadOn(path, backendOn(driver));
    auto b = together ? loadOn(path, backendOn(driver), true) : nullptr;
    Scenario two = plain;
    two.players = 2;
    std::vector<Player> players = gather(a, two), others;
    if (b) others = gather(b, two);
    std::vector<StepResult> results;
    for (int round = 0; round < 2; round++) {
      for (int p = 0; p < 2; p++) {
        std::vector<StepRequest> requests = requestsOf(two, players, round);
        Stepper(*a).step({&requests[static_cast<size_t>(p)], 1}, results, cancelled);
        list.push_back(results[0].probability);
        if (!b) continue;
        requests = requestsOf(two, others, round);
        Stepper(*b).step({&requests[static_cast<size_t>(p)], 1}, results, cancelled);
      }
    }
    if (!b) continue;
    const size_t both = driver->freeBytes();
    players.clear();
    const size_t sessions = driver->freeBytes();
    a.reset();
    tally.hold(sessions > both && driver->freeBytes() > sessions && driver->freeBytes() < before,
               path + ": the memory of one of two models is not given back with it");
  }
  tally.hold(probabilities[0] == probabilities[1],
             path + ": a model beside another one computes something else");
  tally.hold(driver->freeBytes() == before, path + ": two models do not give back their memory");
}

// ---- Canvases ----------------------------------------------------------------------------------

// The copy on the card holds what the host does, where the host has not written since.
bool agrees(const Session& session) {
  auto& backend = static_cast<CudaBackend&>(*session.model->backend);
  std::vector<int32_t> copy(static_cast<size_t>(session.length()));
  backend.read(reinterpret_cast<const float*>(session.canvas.copy),
               {reinterpret_cast<float*>(copy.data()), copy.size()});
  for (int p = 0; p < session.length(); p++) {
    const bool stale = p >= session.canvas.stale.begin && p < session.canvas.stale.end;
    if (!stale && copy[static_cast<size_t>(p)] != session.canvas[p]) return false;
  }
  return true;
}

// One step of all players; what it ended in.
std::string stepOnce(const std::shared_ptr<Model>& model, std::vector<StepRequest> requests,
                     bool cancel = false) {
  const std::atomic<bool> cancelled{cancel};
  std::vector<StepResult> results;
  try {
    Stepper(*model).step(requests, results, cancelled);
  } catch (const Error& error) {
    return codeName(error.code);
  }
  return "";
}

// Steps, writes by the host, forks, steps that fail for one of two sessions and steps that are
// aborted, one after the other. Returns all canvases that it comes by.
std::vector<std::vector<int32_t>> canvasStory(Tally& tally, const std::shared_ptr<Model>& model,
                                              const std::string& what, bool card) {
  std::vector<std::vector<int32_t>> story;
  Scenario two = scenarios().front();
  two.players = 2;
  std::vector<Player> players = gather(model, two);
  const auto note = [&](const std::string& when, bool whole) {
    for (const Player& player : players) {
      const Session& session = *player.session;
      story.push_back(session.canvas.tokens());
      if (!card) continue;
      tally.hold(agrees(session), what + ", " + when + ": the card's canvas is another one");
      tally.hold(!whole || session.canvas.stale.begin == session.canvas.stale.end,
                 what + ", " + when + ": the card's canvas is not known to be right");
    }
  };
  const auto step = [&](const char* when) {
    tally.hold(stepOnce(model, requestsOf(two, players, 0)).empty(),
               what + ", " + when + ": failed");
    note(when, true);
  };
  step("first step");

  Session& first = *players[0].session;
  first.canvas.write(30, std::vector<int32_t>{5, 6, 7});
  first.canvas.write(2, first.canvas[30]);
  first.canvas.write(4, model->spec.mask);
  note("written by the host", false);
  step("after the host wrote");

  Player fork;
  fork.session = first.fork();
  fork.twin = players[0].twin->fork();
  fork.session->canvas.write(33, 9);
  step("one step ahead of the fork");
  std::swap(players[0].session, fork.session);
  step("a step of the fork");
  std::swap(players[0].session, fork.session);
  step("after a step of the fork");
  if (card) tally.hold(agrees(*fork.session), what + ": the fork's canvas on the card");

  // Commits of the second session have happened on the card when the first is found to fail.
  std::vector<StepRequest> failing = requestsOf(two, players, 0);
  for (int t = 0; t < model->spec.vocabulary; t++) failing[0].suppress.push_back(t);
  tally.hold(stepOnce(model, failing) == "INVALID_ARGUMENT", what + ": no token may be chosen");
  note("after a step that failed", false);
  step("after the next one");

  tally.hold(stepOnce(model, requestsOf(two, players, 0), true) == "ABORTED", what + ": aborted");
  note("after an aborted step", false);
  step("after the one that follows");
  return story;
}

void checkCanvases(Tally& tally, const std::string& path) {
  const auto card = loadOn(path, backendOn(cuda::makeEmulator())),
             cpu = loadOn(path, makeCpuBackend(1, ""));
  tally.hold(canvasStory(tally, card, path, true) == canvasStory(tally, cpu, path, false),
             path + ": canvases are not those of the CPU");
}

}  // namespace

void checkEmulated(Tally& tally, const std::string& path) {
  const Needs needs = needsOf(path);
  checkLoad(tally, path, needs);
  checkTooSmall(tally, path, needs);
  const auto file = Gguf::open(path);
  const auto isF32 = [](const TensorView& tensor) { return tensor.type == Type::f32; };
  if (!std::all_of(file->tensors().begin(), file->tensors().end(), isF32)) return;
  checkSmallerType(tally, path, needs);
  checkSession(tally, path, needs);
  checkShared(tally, path);
  checkCanvases(tally, path);
}

}  // namespace lacuna::steps
#endif
