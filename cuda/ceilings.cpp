#include "ceilings.h"

#include <algorithm>
#include <cstring>

#include "../native/error.h"
#include "peak.h"

namespace lacuna::cuda {
namespace {

constexpr int kRounds = 8;

// Device memory for the length of a measurement.
struct Held {
  Held(Driver& driver, size_t bytes) : driver(driver), memory(driver.allocate(bytes)) {
    if (!memory)
      throw Error(Code::outOfMemory, "measuring a card takes " + std::to_string(bytes) +
                                         " bytes of its memory; " +
                                         std::to_string(driver.freeBytes()) + " are free");
  }
  ~Held() { driver.release(memory); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  template <class T>
  T* as() const {
    return static_cast<T*>(memory);
  }
  Driver& driver;
  void* memory;
};

// Seconds of the fastest of some launches after each other.
template <class Arguments>
double fastest(Driver& driver, Stream& stream, const char* kernel, unsigned blocks,
               const Arguments& arguments) {
  const Held clocks(driver, (kRounds + 1) * sizeof(uint64_t));
  Program program;
  program.clocks = clocks.as<uint64_t>();
  program.arguments.resize((sizeof arguments + 15) / 16 * 16);
  std::memcpy(program.arguments.data(), &arguments, sizeof arguments);
  Launch launch;
  launch.kernel = driver.kernel(kernel);
  launch.grid = {blocks};
  launch.threads = kPeakThreads;
  launch.argumentBytes = sizeof arguments;
  program.launches.assign(kRounds, launch);
  launch.kernel = driver.kernel("stepEnd");
  launch.grid = {};
  launch.threads = 1;
  launch.argumentBytes = sizeof(uint64_t);
  program.launches.push_back(launch);
  uint64_t times[kRounds + 1];
  stream.run(program);
  stream.copyOut(times, program.clocks, sizeof times);
  stream.wait();
  uint64_t best = UINT64_MAX;
  for (int i = 0; i < kRounds; i++) best = std::min(best, times[i + 1] - times[i]);
  return static_cast<double>(std::max<uint64_t>(best, 1)) * 1e-9;
}

// Bytes that look random; more of them are copies of the first ones.
void fill(Stream& stream, unsigned char* to, size_t bytes) {
  std::vector<uint32_t> words(std::min<size_t>(bytes, size_t{1} << 20) / 4);
  uint32_t state = 1;
  for (uint32_t& word : words) word = state = state * 1664525u + 1013904223u;
  size_t done = words.size() * 4;
  stream.copyIn(to, words.data(), done);
  for (; done < bytes; done *= 2) stream.copy(to + done, to, std::min(done, bytes - done));
  stream.wait();
}

}  // namespace

Ceilings measureCeilings(Driver& driver, bool quick) {
  const auto stream = driver.makeStream();
  const unsigned processors = static_cast<unsigned>(driver.facts().processors);
  Ceilings found;

  const unsigned blocks = (quick ? 1 : 2) * processors;
  const Held sums(driver, size_t{8} * processors * kPeakThreads * sizeof(int32_t));
  const PeakProductArguments products{sums.as<int32_t>(), quick ? 2 : 1 << 14, 0};
  const double perLane = 2.0 * 16 * 8 * kPeakTiles * products.rounds / 32;
  const double all = perLane * kPeakThreads * blocks;
  found.int8 = all * 32 / fastest(driver, *stream, "peakBytes", blocks, products);
  found.f16 = all * 16 / fastest(driver, *stream, "peakHalves", blocks, products);
  const double multiplyAdds = 4.0 * kPeakTiles * products.rounds;  // of a thread
  found.f32 = 2 * multiplyAdds * kPeakThreads * blocks /
              fastest(driver, *stream, "peakFloats", blocks, products);

  const size_t bytes = quick ? size_t{1} << 18 : size_t{1} << 30;
  const Held from(driver, bytes), to(driver, bytes);
  fill(*stream, from.as<unsigned char>(), bytes);
  PeakCopyArguments copies{from.as<uint32_t>(), to.as<uint32_t>(),
                           static_cast<int64_t>(bytes / 16)};
  const double size = static_cast<double>(bytes);
  found.copy = 2 * size / fastest(driver, *stream, "peakCopy", 8 * processors, copies);
  std::vector<uint32_t> first(1024), last(1024);
  const size_t end = bytes / 4 - last.size();
  stream->copyOut(first.data(), from.as<uint32_t>() + end, first.size() * 4);
  stream->copyOut(last.data(), to.as<uint32_t>() + end, last.size() * 4);
  stream->wait();
  if (first != last) throw Error(Code::internal, "the card does not copy what it is given");
  copies.to = sums.as<uint32_t>();
  found.read = size / fastest(driver, *stream, "peakRead", 8 * processors, copies);
  return found;
}

}  // namespace lacuna::cuda
