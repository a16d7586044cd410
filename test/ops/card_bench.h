#pragma once
#include <functional>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "cuda/backend.h"
#include "cuda/ceilings.h"
#include "ops.h"

// --bench of a card: every kernel against what the same card reached a moment ago, on random data,
// with weights and K/V in so many copies that no call finds its own in the second-level cache.
namespace lacuna::ops {

struct CardBenchOptions {
  std::string filter;
  bool quick = false;  // small shapes, for the emulator: what is timed means nothing there
  bool json = false;
};

class CardBench {
 public:
  CardBench(cuda::CudaBackend& backend, const cuda::Driver::Facts& facts,
            const cuda::Ceilings& ceilings, const CardBenchOptions& options);

  cuda::CudaBackend& backend;
  const bool quick;

  bool wants(const std::string& name) const { return name.find(filter) != std::string::npos; }
  bool wantsAny(const std::vector<std::string>& names) const;
  // Copies of something of `bytes` that together are four times the second-level cache.
  int copies(double bytes) const;
  // A size for the card and one for the emulator.
  int size(int full, int small) const { return quick ? small : full; }

  // What one call does: arithmetic, and the bytes that it must at least move.
  enum class Unit { int8, f16, f32 };  // of the tensor cores, but for f32
  struct Work {
    double operations = 0, bytes = 0;
    Unit unit = Unit::f16;
  };
  static Unit unitOf(Type type);
  // Times `record`, which asks for `calls` calls of a step, unless the filter leaves `name` out.
  // `outputs` are poisoned before and must hold numbers only after the first run.
  void measure(const std::string& name, const Work& work, int calls,
               const std::function<void()>& record, std::initializer_list<const Buffer*> outputs);
  int finish();  // the exit status

 private:
  void report(const std::string& name, const Work& work, double seconds);
  void step(const std::function<void()>& record);
  double deviceSeconds() const;

  const std::string filter;
  const bool json;
  const double l2Bytes;
  const cuda::Ceilings ceilings;
  int measured = 0, failed = 0;
};

// Rows in random order of a small random tensor: as good as random ones for a card, and made in no
// time.
HostTensor largeTensor(Random& random, Type type, int64_t cols, int64_t rows, int64_t depth = 1);
// Normally distributed, out of a small supply.
std::vector<float> largeNormals(size_t count, float deviation = 1);

void benchLinear(CardBench& bench);
void benchRows(CardBench& bench);  // embed, norm, rope
void benchAttend(CardBench& bench);
void benchExperts(CardBench& bench);
void benchHead(CardBench& bench);  // and commit

int benchCard(const std::string& device, const CardBenchOptions& options);

}  // namespace lacuna::ops
