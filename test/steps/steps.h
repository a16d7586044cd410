#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "session/stepper.h"

// Whole steps of real models, driven as the addon drives them. --check holds what they compute
// equal for every number of threads and every way of putting sessions together; --allocations
// counts what they allocate.
namespace lacuna::steps {

// One session of a scenario, and what it is about to be asked.
struct Player {
  std::unique_ptr<Session> session;
  std::unique_ptr<Session> twin;  // unconditional canvas, same length
  int index = 0;                  // among the sessions of the scenario
};

// Steps of one kind: `ask` turns the plain request (whole canvas, masks queried, two commits) of a
// player into the scenario's for round 0, 1, …
struct Scenario {
  std::string name;
  int players = 1;
  int shapes = 1;  // rounds until no new shape of step comes
  std::function<void(StepRequest& request, const Player& player, int round)> ask;
};

std::vector<Scenario> scenarios();

std::shared_ptr<Model> load(const std::string& path, int threads);
std::vector<Player> gather(const std::shared_ptr<Model>& model, const Scenario& scenario);
std::vector<StepRequest> requestsOf(const Scenario& scenario, const std::vector<Player>& players,
                                    int round);

// What was passed and what failed, counted.
struct Tally {
  int passed = 0, failed = 0;
  // Counts; prints `message` when it does not hold.
  void hold(bool holds, const std::string& message);
};

// Makes a backend for a model: "emulator", "cuda" or "cuda:1".
using MakeBackend = std::function<std::unique_ptr<Backend>()>;
MakeBackend cardBackend(const std::string& device);
// `decoded`: of the file's weights decoded to F32.
void checkCard(Tally& tally, const MakeBackend& make, const std::string& path,
               const std::string& filter, bool decoded);
#ifdef LACUNA_EMULATE
void checkEmulated(Tally& tally, const std::string& path);
#endif
std::shared_ptr<Model> loadOn(const std::string& path, std::unique_ptr<Backend> backend,
                              bool decoded = false);
std::shared_ptr<Model> loadDecoded(const std::string& path, std::unique_ptr<Backend> backend);
// `index`: index.json of a folder of reference models and logits; `filter`: a part of a file's
// name.
void checkGoldens(Tally& tally, const MakeBackend& make, const std::string& index,
                  const std::string& filter);

void check(Tally& tally, const std::string& path, const std::string& filter);
void countAllocations(Tally& tally, const std::string& path, const std::string& filter);

// Calls of operator new, by any thread, since the last start; sizes of the first few.
struct Allocations {
  static constexpr int kSizes = 8;
  int64_t count = 0;
  size_t sizes[kSizes] = {};
};
void startCounting();
Allocations stopCounting();

}  // namespace lacuna::steps
