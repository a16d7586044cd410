#include "shared.h"

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>

#include "../error.h"

namespace lacuna {
namespace {

struct Entry {
  std::weak_ptr<const Weights> weights;
  bool loading = false;
  uint64_t done = 0, total = 0;
};

// The only mutable global of the core. Node gives every thread its own state of the addon, so
// nothing but the process itself can know that two of them load one file.
struct Registry {
  std::mutex mutex;
  std::condition_variable changed;  // some entry stopped loading
  std::map<std::string, Entry> entries;

  void forgetFreed() {
    std::erase_if(entries, [](const auto& item) {
      return !item.second.loading && item.second.weights.expired();
    });
  }
};

Registry& registry() {
  static Registry instance;
  return instance;
}

// Loads on behalf of everyone who waits for the entry.
WeightsPtr load(Registry& all, Entry& entry, const MakeWeights& make, const Progress& progress) {
  const auto end = [&](const WeightsPtr& weights) {
    const std::lock_guard lock(all.mutex);
    entry.loading = false;
    entry.weights = weights;
    all.changed.notify_all();
  };
  const auto report = [&](uint64_t done, uint64_t total) {
    {
      const std::lock_guard lock(all.mutex);
      entry.done = done;
      entry.total = total;
    }
    progress(done, total);
  };
  try {
    WeightsPtr weights = make(report);
    end(weights);
    return weights;
  } catch (...) {
    end(nullptr);
    throw;
  }
}

}  // namespace

WeightsPtr shareWeights(const std::string& key, const MakeWeights& make, const Progress& progress,
                        const std::atomic<bool>& cancelled) {
  // `cancelled` is a plain flag that wakes nobody, so it is looked at this often.
  constexpr auto patience = std::chrono::milliseconds(20);
  Registry& all = registry();
  std::unique_lock lock(all.mutex);
  for (;;) {
    all.forgetFreed();
    // Looked up anew after every wait: an entry that nobody loads or holds is gone.
    Entry& entry = all.entries[key];
    if (WeightsPtr ready = entry.weights.lock()) return ready;
    if (cancelled) throw Error(Code::aborted, "loading was aborted");
    if (!entry.loading) {
      entry.loading = true;  // keeps the entry where it is
      entry.done = entry.total = 0;
      lock.unlock();
      return load(all, entry, make, progress);
    }
    const uint64_t done = entry.done, total = entry.total;
    lock.unlock();
    progress(done, total);
    lock.lock();
    all.changed.wait_for(lock, patience);
  }
}

HeldWeights heldWeights() {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  HeldWeights held;
  for (const auto& [key, entry] : all.entries) {
    const WeightsPtr weights = entry.weights.lock();
    if (!weights) continue;
    held.count++;
    held.bytes += weights->bytes;
  }
  return held;
}

}  // namespace lacuna
