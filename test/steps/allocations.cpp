// Counts what steps allocate after the first of each shape: operator new of the whole program is
// replaced by one that counts.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "steps.h"

namespace {

std::atomic<bool> counting{false};
std::atomic<int64_t> counted{0};
std::atomic<size_t> sizes[lacuna::steps::Allocations::kSizes];

void* allocate(size_t bytes, size_t alignment) {
  if (counting.load(std::memory_order_relaxed)) {
    const int64_t index = counted.fetch_add(1, std::memory_order_relaxed);
    if (index < lacuna::steps::Allocations::kSizes) sizes[index] = bytes;
  }
#ifdef _MSC_VER
  void* memory = _aligned_malloc(std::max<size_t>(bytes, 1), alignment);
#else
  // A multiple of the alignment, as aligned_alloc wants it.
  const size_t whole = (std::max<size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, whole);
#endif
  if (!memory) throw std::bad_alloc();
  return memory;
}

void release(void* memory) {
#ifdef _MSC_VER
  _aligned_free(memory);
#else
  std::free(memory);
#endif
}

constexpr size_t kUsual = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

}  // namespace

// The other forms (new[], nothrow, sized delete) end in these by definition.
void* operator new(size_t bytes) { return allocate(bytes, kUsual); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, size_t) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { release(memory); }

namespace lacuna::steps {

void startCounting() {
  counted = 0;
  counting = true;
}

Allocations stopCounting() {
  counting = false;
  Allocations result;
  result.count = counted;
  const int64_t known = std::min<int64_t>(result.count, Allocations::kSizes);
  for (int64_t i = 0; i < known; i++) result.sizes[i] = sizes[i];
  return result;
}

namespace {

std::string describe(const Allocations& found) {
  std::string text = std::to_string(found.count);
  text += " allocations, the first of";
  for (size_t size : found.sizes) {
    if (size > 0) text.append(" ").append(std::to_string(size));
  }
  return text + " bytes";
}

}  // namespace

void countAllocations(Tally& tally, const std::string& path, const std::string& filter) {
  startCounting();
  void* volatile memory = ::operator new(1);  // volatile: a pair may be optimised away
  const Allocations own = stopCounting();
  ::operator delete(memory);
  tally.hold(own.count == 1 && own.sizes[0] == 1, "operator new is not counted");

  const std::atomic<bool> cancelled{false};
  for (int threads : {1, 2}) {
    const std::shared_ptr<Model> model = load(path, threads);
    Stepper stepper(*model);
    for (const Scenario& scenario : scenarios()) {
      if (scenario.name.find(filter) == std::string::npos) continue;
      const std::vector<Player> players = gather(model, scenario);
      std::vector<StepResult> results;
      for (int round = 0; round < scenario.shapes + 4; round++) {
        std::vector<StepRequest> requests = requestsOf(scenario, players, round);
        startCounting();
        stepper.step(requests, results, cancelled);
        const Allocations found = stopCounting();
        if (round < scenario.shapes) continue;
        tally.hold(found.count == 0, path + ", " + scenario.name +
                                         ", threads: " + std::to_string(threads) + ", round " +
                                         std::to_string(round) + ": " + describe(found));
      }
    }
  }
}

}  // namespace lacuna::steps
