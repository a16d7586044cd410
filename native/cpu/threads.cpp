#include "threads.h"

#include <chrono>
#include <string>
#include <system_error>

#include "../error.h"

#if defined(_M_X64) || defined(__x86_64__)
#include <emmintrin.h>
#elif defined(_M_ARM64)
#include <intrin.h>
#endif

namespace lacuna::cpu {
namespace {

constexpr int kIndexBits = 24;
constexpr uint64_t kIndexMask = (uint64_t{1} << kIndexBits) - 1;

uint64_t generationOf(uint64_t ticket) { return ticket >> (2 * kIndexBits); }

void relax() {
#if defined(_M_X64) || defined(__x86_64__)
  _mm_pause();
#elif defined(_M_ARM64)
  __yield();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Spins until `ready` or for some 50 µs, which is longer than the gaps between the verbs of a step;
// returns whether it is ready. Yields on the way: where there are more threads than cores, the one
// that is waited for may need this one's.
template <class Ready>
bool spinUntil(const Ready& ready) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::microseconds(50);
  do {
    for (int i = 0; i < 64; i++) {
      if (ready()) return true;
      relax();
    }
    std::this_thread::yield();
  } while (Clock::now() < end);
  return ready();
}

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
  while (!spinUntil([&] { return done.load(std::memory_order_acquire) >= chunks; })) {
  }
}

void Threads::work(int thread) {
  uint64_t seen = 0;
  for (;;) {
    const auto called = [&] { return generationOf(ticket.load()) != seen || stopping.load(); };
    if (!spinUntil(called)) {
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
