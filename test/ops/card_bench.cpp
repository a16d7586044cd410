#include "card_bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include "error.h"
#include "quant/quant.h"
#include "test/driver.h"

namespace lacuna::ops {
namespace {

constexpr int kMinimalRuns = 7, kMostRuns = 100;
constexpr double kSeconds = 0.1;  // of runs per case

std::vector<float> poison(size_t count) {
  return std::vector<float>(count, std::numeric_limits<float>::quiet_NaN());
}

bool allNumbers(const Buffer& buffer) {
  const std::vector<float> values = buffer.read();
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

}  // namespace

HostTensor largeTensor(Random& random, Type type, int64_t cols, int64_t rows, int64_t depth) {
  const int64_t few = std::min<int64_t>(rows * depth, 48);
  const HostTensor small = randomTensor(random, type, cols, few);
  HostTensor large;
  const size_t bytes = rowBytes(type, cols);
  large.bytes.resize(bytes * static_cast<size_t>(rows * depth));
  for (int64_t row = 0; row < rows * depth; row++) {
    const size_t from = static_cast<size_t>(random.below(static_cast<int>(few)));
    std::memcpy(large.bytes.data() + static_cast<size_t>(row) * bytes,
                small.bytes.data() + from * bytes, bytes);
  }
  large.view = {typeInfo(type).name, type, cols, rows, depth, large.bytes.data(),
                large.bytes.size()};
  return large;
}

std::vector<float> largeNormals(size_t count, float deviation) {
  static const std::vector<float> supply = Random(11).normals(10007);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; i++) values[i] = deviation * supply[i % supply.size()];
  return values;
}

CardBench::Unit CardBench::unitOf(Type type) {
  if (type == Type::f32) return Unit::f32;
  return isFloat(type) ? Unit::f16 : Unit::int8;
}

CardBench::CardBench(cuda::CudaBackend& backend, const cuda::Driver::Facts& facts,
                     const cuda::Ceilings& ceilings, const CardBenchOptions& options)
    : backend(backend),
      quick(options.quick),
      filter(options.filter),
      json(options.json),
      l2Bytes(static_cast<double>(facts.l2Bytes)),
      ceilings(ceilings) {
  if (json) {
    std::printf(
        "{\"card\":\"%s\",\"int8\":%.4g,\"f16\":%.4g,\"f32\":%.4g,\"copy\":%.4g,\"read\":%.4g,"
        "\"ops\":[",
        facts.name.c_str(), ceilings.int8, ceilings.f16, ceilings.f32, ceilings.copy,
        ceilings.read);
    return;
  }
  std::printf(
      "%s: %.0f TOP/s int8, %.0f TFLOP/s f16 (mma), %.0f f32, copy %.0f GB/s, read %.0f GB/s\n",
      facts.name.c_str(), ceilings.int8 / 1e12, ceilings.f16 / 1e12, ceilings.f32 / 1e12,
      ceilings.copy / 1e9, ceilings.read / 1e9);
  std::printf("%-44s %10s %9s %9s %9s  %s\n", "op", "us", "Top/s", "GB/s", "of limit", "limit");
}

bool CardBench::wantsAny(const std::vector<std::string>& names) const {
  return std::any_of(names.begin(), names.end(), [&](const auto& name) { return wants(name); });
}

int CardBench::copies(double bytes) const {
  if (quick) return 2;
  return static_cast<int>(std::clamp(std::ceil(4 * l2Bytes / bytes), 1.0, 64.0));
}

void CardBench::step(const std::function<void()>& record) {
  backend.begin();
  record();
  backend.end();
}

double CardBench::deviceSeconds() const {
  const Timing t = backend.timing();
  const int64_t all = t.embed + t.norm + t.linear + t.rope + t.attend + t.moe + t.head + t.commit;
  return static_cast<double>(all) * 1e-9;
}

void CardBench::measure(const std::string& name, const Work& work, int calls,
                        const std::function<void()>& record,
                        std::initializer_list<const Buffer*> outputs) {
  if (!wants(name)) return;
  try {
    for (const Buffer* output : outputs)
      backend.write(output->memory->data, poison(output->memory->count));
    step(record);
    for (const Buffer* output : outputs) {
      if (!allNumbers(*output))
        throw Error(Code::internal, "its output is not written, or holds no numbers");
    }
    step(record);  // from now on a graph
    std::vector<double> times;
    double total = 0;
    while (times.size() < (quick ? 1u : static_cast<size_t>(kMinimalRuns)) ||
           (!quick && total < kSeconds && times.size() < kMostRuns)) {
      const auto start = std::chrono::steady_clock::now();
      step(record);
      total += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      times.push_back(deviceSeconds() / calls);
    }
    std::nth_element(times.begin(), times.begin() + static_cast<int64_t>(times.size() / 2),
                     times.end());
    report(name, work, std::max(times[times.size() / 2], 1e-9));
  } catch (const Error& error) {
    failed++;
    std::fprintf(json ? stderr : stdout, "FAIL %s: %s\n", name.c_str(), error.what());
  }
}

void CardBench::report(const std::string& name, const Work& work, double seconds) {
  const double rates[] = {ceilings.int8, ceilings.f16, ceilings.f32};
  const char* const units[] = {"int8", "f16", "f32"};
  const size_t unit = static_cast<size_t>(work.unit);
  const double arithmetic = work.operations / rates[unit];
  const double memory = work.bytes / ceilings.copy;
  const double share = std::max(arithmetic, memory) / seconds;
  const char* limit = arithmetic < memory ? "memory" : units[unit];
  if (json) {
    std::printf(
        "%s{\"op\":\"%s\",\"us\":%.4g,\"ops\":%.4g,\"bytes\":%.4g,\"share\":%.4g,"
        "\"limit\":\"%s\"}",
        measured ? "," : "", name.c_str(), seconds * 1e6, work.operations / seconds,
        work.bytes / seconds, share, limit);
  } else {
    std::printf("%-44s %10.2f %9.2f %9.0f %8.1f%%  %s\n", name.c_str(), seconds * 1e6,
                work.operations / seconds / 1e12, work.bytes / seconds / 1e9, share * 100, limit);
  }
  std::fflush(stdout);
  measured++;
}

int CardBench::finish() {
  std::printf(json ? "],\"measured\":%d,\"failed\":%d}\n" : "bench: %d measured, %d failed\n",
              measured, failed);
  return failed || !measured ? 1 : 0;
}

int benchCard(const std::string& device, const CardBenchOptions& options) {
  const auto driver = openDriver(device);
  const cuda::Ceilings ceilings = cuda::measureCeilings(*driver, options.quick);
  cuda::CudaBackend backend(driver);
  CardBench bench(backend, driver->facts(), ceilings, options);
  // The two regimes of the matrices come last: they take the longest.
  for (const auto part : {benchHead, benchAttend, benchRows, benchExperts, benchLinear})
    part(bench);
  return bench.finish();
}

}  // namespace lacuna::ops
