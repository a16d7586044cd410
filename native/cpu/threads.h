#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace lacuna::cpu {

// A pool that runs the chunks of one job at a time on `count` threads, the caller among them.
// Workers wait for the next job spinning for some microseconds, then asleep.
class Threads {
 public:
  explicit Threads(int count);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  int count() const { return static_cast<int>(workers.size()) + 1; }

  // Calls each(chunk, thread) for every chunk in [0, chunks), thread in [0, count()), and returns
  // when all are done. Chunks go to whoever is free: a call must write only what its chunk owns.
  // Calls must not throw. One caller at a time.
  template <class Body>
  void parallelFor(int chunks, const Body& each) {
    run(
        chunks,
        [](const void* b, int chunk, int thread) { (*static_cast<const Body*>(b))(chunk, thread); },
        &each);
  }

 private:
  using Call = void (*)(const void* body, int chunk, int thread);
  void run(int chunks, Call call, const void* body);
  void stop();
  void work(int thread);
  bool takeChunk(int thread);

  // Generation (16 bits), number of chunks (24) and next chunk (24) in one word, so that taking a
  // chunk is one atomic addition and a late worker cannot take one of a job that is over: the job's
  // fields change only after all chunks taken from it are done.
  std::atomic<uint64_t> ticket{0};
  std::atomic<int> done{0};
  Call call = nullptr;
  const void* body = nullptr;

  std::atomic<bool> stopping{false};
  std::atomic<int> sleepers{0};
  std::mutex mutex;
  std::condition_variable wake;
  std::vector<std::thread> workers;
};

}  // namespace lacuna::cpu
