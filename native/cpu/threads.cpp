#include "threads.h"

#include <chrono>
#include <string>
#include <system_error>

#include "../error.h"
#include "../spin.h"

namespace lacuna::cpu {
namespace {

constexpr int kIndexBits = 24;
constexpr uint64_t kIndexMask = (uint64_t{1} << kIndexBits) - 1;

uint64_t generationOf(uint64_t ticket) { return ticket >> (2 * kIndexBits); }

// Longer than the gaps between the verbs of a step.
constexpr std::chrono::microseconds kGap{50};

}  // namespace

Threads::Threads(int count) {
  try {
    for (int i = 1; i < count; i++) workers.emplace_back([this, i] { work(i); });
  } catch (const std::system_error&) {
    stop();
    throw Error(Code::invalidArgument,
                "threads: the system refused to start " + std::to_string(count) + " threads");
  }
}

Threads::~Threads() { stop(); }

void Threads::stop() {
  {
    std::lock_guard lock(mutex);
    stopping = true;
  }
  wake.notify_all();
  for (std::thread& worker : workers) worker.join();
}

bool Threads::takeChunk(int thread) {
  const uint64_t taken = ticket.fetch_add(1, std::memory_order_acq_rel);
  const uint64_t chunk = taken & kIndexMask, chunks = (taken >> kIndexBits) & kIndexMask;
  if (chunk >= chunks) return false;
  call(body, static_cast<int>(chunk), thread);
  done.fetch_add(1, std::memory_order_acq_rel);
  return true;
}

void Threads::run(int chunks, Call newCall, const void* newBody) {
  if (chunks <= 0) return;
  if (workers.empty() || chunks == 1) {
    for (int i = 0; i < chunks; i++) newCall(newBody, i, 0);
    return;
  }
  call = newCall;
  body = newBody;
  done.store(0, std::memory_order_relaxed);
  const uint64_t generation = generationOf(ticket.load(std::memory_order_relaxed)) + 1;
  ticket.store(generation << (2 * kIndexBits) | static_cast<uint64_t>(chunks) << kIndexBits);
  if (sleepers.load() > 0) {
    {
      std::lock_guard lock(mutex);
    }
    wake.notify_all();
  }
  while (takeChunk(0)) {
  }
  while (!spinUntil([&] { return done.load(std::memory_order_acquire) >= chunks; }, kGap)) {
  }
}

void Threads::work(int thread) {
  uint64_t seen = 0;
  for (;;) {
    const auto called = [&] { return generationOf(ticket.load()) != seen || stopping.load(); };
    if (!spinUntil(called, kGap)) {
      std::unique_lock lock(mutex);
      sleepers.fetch_add(1);
      wake.wait(lock, called);
      sleepers.fetch_sub(1);
    }
    if (stopping.load()) return;
    seen = generationOf(ticket.load());
    while (takeChunk(thread)) {
    }
  }
}

}  // namespace lacuna::cpu
