#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend.h"
#include "cpu/kernels.h"

// The op table: every verb of the backend with its shapes, tolerance and work. --check runs each
// case on the CPU backend and compares with the reference backend, --bench times it.
namespace lacuna::ops {

// Numbers that are a function of the seed alone, on every platform.
class Random {
 public:
  explicit Random(uint64_t seed) : state(seed) {}
  uint32_t bits();
  int below(int n) { return static_cast<int>(bits() % static_cast<uint32_t>(n)); }
  float uniform() { return static_cast<float>(bits() >> 8) * (1.0f / 16777216.0f); }
  float normal();
  std::vector<float> normals(size_t n, float deviation = 1);
  // Rows that int8 activations per 32 hold exactly, so that a quantised product has no excuse.
  std::vector<float> representable(size_t n);
  // Ascending, without duplicates.
  std::vector<int32_t> subset(int from, int count);

 private:
  uint64_t state;
};

// A tensor with its bytes: random blocks of any type, decoded values of order 0.1 to 1.
struct HostTensor {
  TensorView view;
  std::vector<uint8_t> bytes;
};
HostTensor randomTensor(Random& random, Type type, int64_t cols, int64_t rows, int64_t depth = 1);
HostTensor floatTensor(const std::vector<float>& values, int64_t cols, int64_t rows);

WeightPtr upload(Backend& backend, const HostTensor& tensor, Use use);

// A rectangle of backend memory filled from the host.
struct Buffer {
  Buffer(Backend& backend, const std::vector<float>& values, int rows, int cols);
  std::vector<float> read() const;
  Backend& backend;
  MemoryPtr memory;
  Tensor tensor;
};

// What a case computed. `values` are compared by relative error ‖a − b‖ / ‖b‖, or, when `absolute`,
// by the largest difference; `exact` must be equal.
struct Output {
  std::vector<double> values;
  std::vector<int32_t> exact;
};

Output output(const Buffer& buffer);

struct Case {
  std::string name;  // "linear Q4_K 5x96x512 add"
  double tolerance = 0;
  bool absolute = false;
  std::function<Output(Backend&)> run;
  double cardTolerance = 0;  // of the CUDA backend, where its format differs; 0: the same
};

struct BenchCase {
  std::string name;
  double flops = 0, bytes = 0;  // of one round
  bool int8 = false;            // which peak the flops are compared with
  // Prepares on a backend of its own and returns one round.
  std::function<std::function<void()>(std::unique_ptr<Backend>)> prepare;
};

// One round over a State(backend, arguments…), which lives as long as the round, and the backend
// longer than the state.
template <class State, class Round, class... Arguments>
std::function<void()> keeping(std::unique_ptr<Backend> backend, Round round,
                              const Arguments&... arguments) {
  struct Held {
    std::unique_ptr<Backend> backend;
    std::unique_ptr<State> state;
  };
  auto held = std::make_shared<Held>(Held{std::move(backend), nullptr});
  held->state = std::make_unique<State>(*held->backend, arguments...);
  return [held, round] {
    held->backend->begin();
    round(*held->backend, *held->state);
    held->backend->end();
  };
}

std::vector<Type> allTypes();
void addRowCases(std::vector<Case>& cases);        // embed, norm, linear, rope
void addAttentionCases(std::vector<Case>& cases);  // attend
void addExpertCases(std::vector<Case>& cases);     // moe
void addHeadCases(std::vector<Case>& cases);       // head
void addCommitCases(std::vector<Case>& cases);     // commit
std::vector<BenchCase> benchCases(int threads);
void addHeadBenches(std::vector<BenchCase>& cases);
void addCommitBenches(std::vector<BenchCase>& cases);

struct Target {
  std::string name;
  const cpu::Kernels* kernels;
};
// ISAs of this machine, and those that are emulated in this build if asked for.
std::vector<Target> targets(bool emulated);

// Backends for --backend=NAME: what is checked there must be the same bit for bit in all of them.
struct Variant {
  std::string name;
  std::function<std::unique_ptr<Backend>()> make;
  bool card = false;  // cardTolerance counts
};
// Passed and failed checks of the CUDA emulator itself.
std::pair<int, int> checkEmulator();
std::vector<Variant> cardVariants(const std::string& backend);

}  // namespace lacuna::ops
