// What a step computes depends neither on the number of threads, nor on the sessions beside it, nor
// on what other threads do meanwhile: bit for bit.
#include <cstring>
#include <thread>

#include "error.h"
#include "model/weights.h"
#include "steps.h"

namespace lacuna::steps {
namespace {

constexpr int kRounds = 4;

// Everything a run produced: what it is called and its bytes, in the order of computation.
using Trace = std::vector<std::pair<std::string, std::string>>;

template <class T>
std::string bytesOf(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

void record(Trace& trace, const std::string& where, const StepResult& result,
            const Session& session) {
  const auto add = [&](const char* name, std::string bytes) {
    trace.emplace_back(where + ", " + name, std::move(bytes));
  };
  add("position", bytesOf(result.position));
  add("token", bytesOf(result.token));
  add("probability", bytesOf(result.probability));
  add("margin", bytesOf(result.margin));
  add("entropy", bytesOf(result.entropy));
  add("top tokens", bytesOf(result.topToken));
  add("top probabilities", bytesOf(result.topProbability));
  add("probes", bytesOf(result.probe));
  add("KL", bytesOf(result.kl));
  add("logits", bytesOf(result.logits));
  add("committed", bytesOf(result.committed));
  add("canvas", bytesOf(session.canvas.tokens()));
}

// The rounds of a scenario, all sessions in one step or each in its own.
Trace play(const std::shared_ptr<Model>& model, const Scenario& scenario, bool together) {
  const std::atomic<bool> cancelled{false};
  const std::vector<Player> players = gather(model, scenario);
  Stepper stepper(*model);
  Trace trace;
  for (int round = 0; round < kRounds; round++) {
    std::vector<StepRequest> requests = requestsOf(scenario, players, round);
    std::vector<StepResult> results, own;
    if (together) {
      stepper.step(requests, results, cancelled);
    } else {
      for (StepRequest& request : requests) {
        stepper.step({&request, 1}, own, cancelled);
        results.push_back(own[0]);
      }
    }
    for (size_t i = 0; i < results.size(); i++) {
      const std::string where = "round " + std::to_string(round) + ", session " + std::to_string(i);
      record(trace, where, results[i], *players[i].session);
    }
  }
  return trace;
}

void same(Tally& tally, const Trace& ours, const Trace& theirs, const std::string& what) {
  for (size_t i = 0; i < ours.size() && i < theirs.size(); i++) {
    if (ours[i] != theirs[i]) return tally.hold(false, what + ": " + ours[i].first + " differs");
  }
  tally.hold(ours.size() == theirs.size() && !ours.empty(), what + ": not as many results");
}

void checkFork(Tally& tally, const std::shared_ptr<Model>& model, const std::string& what) {
  Scenario scenario{"fork", 1, 1, nullptr};
  scenario.ask = [](StepRequest& request, const Player&, int) { request.head.kl = true; };
  const std::vector<Player> players = gather(model, scenario);
  const std::atomic<bool> cancelled{false};
  Stepper stepper(*model);
  std::vector<StepResult> results;
  Trace first, second;
  for (int round = 0; round < kRounds; round++) {
    std::vector<Player> forks(1);
    forks[0].session = players[0].session->fork();
    std::vector<StepRequest> theirs = requestsOf(scenario, forks, round);
    stepper.step(theirs, results, cancelled);
    record(second, "round " + std::to_string(round), results[0], *forks[0].session);
    std::vector<StepRequest> ours = requestsOf(scenario, players, round);
    stepper.step(ours, results, cancelled);
    record(first, "round " + std::to_string(round), results[0], *players[0].session);
  }
  same(tally, second, first, what + ": a fork against its session");
}

// A step that another thread ends changes no canvas, and when it is asked again, it computes what
// it would have.
void checkAbort(Tally& tally, const std::shared_ptr<Model>& model, const std::string& what) {
  const Scenario scenario = scenarios().front();
  Trace expected = play(model, scenario, true);
  Stepper stepper(*model);
  for (int delay = 0; delay < 6; delay++) {
    const std::vector<Player> players = gather(model, scenario);
    Session& session = *players[0].session;
    const std::vector<int32_t> canvas = session.canvas.tokens();
    std::vector<StepRequest> requests = requestsOf(scenario, players, 0);
    std::vector<StepResult> results;
    std::atomic<bool> cancelled{delay == 0}, started{false};
    std::thread other([&] {
      started.wait(false);
      for (int i = 0; i < 1 << (2 * delay); i++) std::this_thread::yield();
      cancelled = true;
    });
    started = true;
    started.notify_all();
    bool aborted = false;
    try {
      stepper.step(requests, results, cancelled);
    } catch (const Error& error) {
      aborted = error.code == Code::aborted;
    }
    other.join();
    if (aborted) {
      tally.hold(session.canvas.tokens() == canvas,
                 what + ": an aborted step leaves the canvas alone");
      cancelled = false;
      stepper.step(requests, results, cancelled);
    }
    tally.hold(aborted || delay > 0, what + ": a step that is aborted ends in ABORTED");
    Trace trace;
    record(trace, "round 0, session 0", results.at(0), session);
    expected.resize(trace.size());
    same(tally, trace, expected, what + ": asked again after an abort");
  }
}

void checkTwoModels(Tally& tally, const std::string& path) {
  const Scenario scenario = scenarios().back();  // all kinds at once
  const Trace expected = play(load(path, 1), scenario, true);
  Trace traces[2];
  std::thread threads[2];
  for (int i = 0; i < 2; i++) {
    threads[i] = std::thread([&, i] { traces[i] = play(load(path, 2), scenario, true); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Trace& trace : traces) {
    same(tally, trace, expected, path + ": two models at once");
  }
}

// Another thread ends the load when half of it is done.
void checkAbortedLoad(Tally& tally, const std::string& path) {
  std::atomic<bool> cancelled{false};
  std::atomic<bool> half{false};
  std::thread other([&] {
    half.wait(false);
    cancelled = true;
    cancelled.notify_all();
  });
  const auto progress = [&](uint64_t done, uint64_t total) {
    if (2 * done < total || half.exchange(true)) return;
    half.notify_all();
    cancelled.wait(false);
  };
  bool aborted = false;
  try {
    const std::shared_ptr<Gguf> file = Gguf::open(path);
    const std::unique_ptr<Backend> backend = makeCpuBackend(2, "");
    // Not loadModel: it would find the weights that other models hold, and reports less often.
    uploadWeights(planWeights(*file, readSpec(*file)), *file, *backend, progress, cancelled);
  } catch (const Error& error) {
    aborted = error.code == Code::aborted;
  }
  half = true;
  half.notify_all();
  other.join();
  tally.hold(aborted, path + ": a load that is aborted half-way ends in ABORTED");
}

}  // namespace

void check(Tally& tally, const std::string& path, const std::string& filter) {
  const std::shared_ptr<Model> models[] = {load(path, 1), load(path, 2), load(path, 4)};
  for (const Scenario& scenario : scenarios()) {
    if (scenario.name.find(filter) == std::string::npos) continue;
    const std::string what = path + ", " + scenario.name;
    const Trace expected = play(models[0], scenario, true);
    same(tally, play(models[1], scenario, true), expected, what + ": 2 threads");
    same(tally, play(models[2], scenario, true), expected, what + ": 4 threads");
    if (scenario.players > 1) {
      same(tally, play(models[1], scenario, false), expected, what + ": one session at a time");
    }
  }
  if (!filter.empty()) return;
  checkFork(tally, models[1], path);
  checkAbort(tally, models[1], path);
  checkTwoModels(tally, path);
  checkAbortedLoad(tally, path);
}

}  // namespace lacuna::steps
