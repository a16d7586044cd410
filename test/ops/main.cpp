// lacuna-ops: the op table. --check [FILTER…] [--native | --backend NAME] [--part=K/N] |
// --bench [FILTER] [--threads=N | --backend NAME [--quick]] | --peak, each with [--json] |
// --steps --backend NAME [--quick] [--library=TFLOPS]. FILTER is a
// part of a case's name; --native leaves out the emulated ISAs; NAME is cuda, cuda:N or emulator
// (the CUDA kernels on the host); of N parts, --part=K/N checks the K-th, counted from 1.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <tuple>

#include "card_steps.h"
#include "cpu/backend.h"
#include "cpu/dispatch.h"
#include "cpu/peak.h"
#include "error.h"
#include "model/model.h"
#include "ops.h"

// Other people's plain C for intrinsics; Debian: libsimde-dev. See *_emulated.cpp.
#if __has_include(<simde/x86/avx512.h>)
#define LACUNA_HAS_SIMDE
#endif

namespace lacuna::cpu {
#ifdef LACUNA_EMULATE_AVXVNNI
const Kernels& kernels_avxvnni_emulated();
#endif
#ifdef LACUNA_HAS_SIMDE
const Kernels& kernels_avx512_emulated();
#if !defined(__aarch64__) && !defined(_M_ARM64)
const Kernels& kernels_neon_emulated();
#endif
#endif
}  // namespace lacuna::cpu

namespace lacuna::ops {

std::vector<Target> targets(bool emulated) {
  std::vector<Target> list;
  for (const cpu::Kernels* kernels : cpu::usableKernels()) {
    list.push_back({kernels->name, kernels});
#ifdef LACUNA_EMULATE_AVXVNNI
    if (emulated && std::strcmp(kernels->name, "avx2") == 0) {
      list.push_back({"avxvnni (emulated)", &cpu::kernels_avxvnni_emulated()});
    }
#endif
  }
  if (!emulated) return list;
#ifdef LACUNA_HAS_SIMDE
  list.push_back({"avx512 (emulated)", &cpu::kernels_avx512_emulated()});
#if !defined(__aarch64__) && !defined(_M_ARM64)
  list.push_back({"neon (emulated)", &cpu::kernels_neon_emulated()});
#endif
#endif
  return list;
}

namespace {

struct Tally {
  int passed = 0, failed = 0;
  std::FILE* log = nullptr;
};

struct Arguments {
  std::string mode, backend;
  std::vector<std::string> filters;  // any of them; none: everything
  bool json = false, native = false, quick = false;
  int threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  size_t part = 0, parts = 1;
  double vendorRate = 0;

  bool wants(const std::string& name) const {
    const auto holds = [&](const std::string& f) { return name.find(f) != std::string::npos; };
    return filters.empty() || std::any_of(filters.begin(), filters.end(), holds);
  }
};

double difference(const Output& ours, const Output& theirs, bool absolute) {
  if (ours.values.size() != theirs.values.size() || ours.exact != theirs.exact) return INFINITY;
  double error = 0, norm = 0, largest = 0;
  for (size_t i = 0; i < ours.values.size(); i++) {
    const double a = ours.values[i], b = theirs.values[i];
    error += (a - b) * (a - b);
    norm += b * b;
    if (!(std::fabs(a - b) <= largest)) largest = std::fabs(a - b);  // NaN counts as larger
  }
  return absolute ? largest : std::sqrt(error / std::max(norm, 1e-30));
}

bool identical(const Output& a, const Output& b) {
  return a.exact == b.exact && a.values.size() == b.values.size() &&
         std::memcmp(a.values.data(), b.values.data(), a.values.size() * sizeof(double)) == 0;
}

std::vector<Case> allCases() {
  std::vector<Case> cases;
  addRowCases(cases);
  addAttentionCases(cases);
  addExpertCases(cases);
  addHeadCases(cases);
  addCommitCases(cases);
  return cases;
}

// Checks one case against the oracle and the variants against each other.
void checkCase(const Case& c, const std::string& target, const std::vector<Variant>& variants,
               const Output& expected, Tally& tally) {
  Output first;
  for (const Variant& variant : variants) {
    Output output;
    try {
      const auto backend = variant.make();
      output = c.run(*backend);
    } catch (const Error& error) {
      tally.failed++;
      std::fprintf(tally.log, "FAIL %s, %s, %s: %s\n", c.name.c_str(), target.c_str(),
                   variant.name.c_str(), error.what());
      continue;
    }
    const double error = difference(output, expected, c.absolute);
    const double tolerance = variant.card && c.cardTolerance > 0 ? c.cardTolerance : c.tolerance;
    const bool close = error <= tolerance;
    const bool same = &variant == &variants.front() || identical(output, first);
    if (&variant == &variants.front()) first = output;
    (close && same ? tally.passed : tally.failed)++;
    if (!close) {
      std::fprintf(tally.log, "FAIL %s, %s, %s: error %.3g, tolerance %.3g\n", c.name.c_str(),
                   target.c_str(), variant.name.c_str(), error, tolerance);
    } else if (!same) {
      std::fprintf(tally.log, "FAIL %s, %s, %s: not what %s computes\n", c.name.c_str(),
                   target.c_str(), variant.name.c_str(), variants.front().name.c_str());
    }
  }
}

std::vector<Variant> variantsOf(const cpu::Kernels& kernels) {
  std::vector<Variant> variants;
  for (int threads : {1, 2, 4}) {
    variants.push_back(
        {std::to_string(threads) + " threads",
         [&kernels, threads] { return std::make_unique<cpu::CpuBackend>(threads, kernels); },
         false});
  }
  return variants;
}

int check(const Arguments& arguments) {
  Tally tally;
  tally.log = arguments.json ? stderr : stdout;
  std::vector<std::pair<std::string, std::vector<Variant>>> list;
  if (arguments.backend.empty()) {
    for (const Target& target : targets(!arguments.native))
      list.emplace_back(target.name, variantsOf(*target.kernels));
  } else {
    list.emplace_back(arguments.backend, cardVariants(arguments.backend));
  }
#ifdef LACUNA_EMULATE
  if (arguments.backend == "emulator" && arguments.part == 0 &&
      arguments.wants("the emulator itself"))
    std::tie(tally.passed, tally.failed) = checkEmulator();
#endif
  const auto reference = makeReferenceBackend();
  size_t number = 0;
  for (const Case& c : allCases()) {
    if (!arguments.wants(c.name) || number++ % arguments.parts != arguments.part) continue;
    const Output expected = c.run(*reference);
    for (const auto& [name, variants] : list) checkCase(c, name, variants, expected, tally);
  }
  const char* quote = arguments.json ? "\"" : "";
  std::string names;
  for (const auto& [name, variants] : list) {
    if (!names.empty()) names += ", ";
    names += quote + name + quote;
  }
  if (arguments.json) {
    std::printf("{\"passed\":%d,\"failed\":%d,\"isas\":[%s]}\n", tally.passed, tally.failed,
                names.c_str());
  } else {
    std::printf("isas: %s\nops: %d passed, %d failed\n", names.c_str(), tally.passed, tally.failed);
  }
  return tally.failed || !tally.passed ? 1 : 0;
}

int peak(const Arguments& arguments) {
  if (!arguments.json) std::printf("%-10s %8s %12s %12s\n", "isa", "threads", "int8 GOP/s", "f32");
  const char* separator = "[";
  for (int threads = 1; threads <= arguments.threads; threads *= 2) {
    for (const Peak& p : measurePeaks(threads)) {
      if (arguments.json) {
        std::printf("%s{\"isa\":\"%s\",\"threads\":%d,\"int8\":%.4g,\"f32\":%.4g}", separator,
                    p.isa.c_str(), p.threads, p.int8, p.f32);
        separator = ",";
      } else {
        std::printf("%-10s %8d %12.1f %12.1f\n", p.isa.c_str(), p.threads, p.int8 / 1e9,
                    p.f32 / 1e9);
      }
    }
  }
  if (arguments.json) std::printf("]\n");
  return 0;
}

// Seconds of the fastest of several rounds.
double fastest(const std::function<void()>& round) {
  using Clock = std::chrono::steady_clock;
  double best = INFINITY, total = 0;
  for (int n = 0; n < 5 || (total < 0.3 && n < 1000); n++) {
    const auto start = Clock::now();
    round();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::min(best, seconds);
    total += seconds;
  }
  return best;
}

int bench(const Arguments& arguments) {
  if (!arguments.backend.empty()) {
    const std::string filter = arguments.filters.empty() ? "" : arguments.filters[0];
    return benchCard(arguments.backend, {filter, arguments.quick, arguments.json});
  }
  const int threads = arguments.threads;
  const cpu::Kernels& kernels = cpu::kernelsFor("");
  const Peak peak = cpu::measurePeak(kernels, threads);
  if (!arguments.json) {
    std::printf("%s, threads: %d; peak %.1f GOP/s int8, %.1f GFLOP/s f32\n", kernels.title, threads,
                peak.int8 / 1e9, peak.f32 / 1e9);
    std::printf("%-36s %10s %10s %10s %8s\n", "op", "ms", "Gop/s", "GB/s", "of peak");
  }
  const char* separator = "[";
  for (const BenchCase& c : benchCases(threads)) {
    if (!arguments.wants(c.name)) continue;
    const double seconds = fastest(c.prepare(std::make_unique<cpu::CpuBackend>(threads, kernels)));
    const double share = c.flops / seconds / (c.int8 ? peak.int8 : peak.f32);
    if (arguments.json) {
      std::printf("%s{\"op\":\"%s\",\"ms\":%.4g,\"ops\":%.4g,\"bytes\":%.4g,\"share\":%.4g}",
                  separator, c.name.c_str(), seconds * 1e3, c.flops / seconds, c.bytes / seconds,
                  share);
      separator = ",";
    } else {
      std::printf("%-36s %10.3f %10.1f %10.2f %7.1f%%\n", c.name.c_str(), seconds * 1e3,
                  c.flops / seconds / 1e9, c.bytes / seconds / 1e9, share * 100);
    }
  }
  if (arguments.json) std::printf("]\n");
  return 0;
}

int run(int count, char** values) {
  Arguments arguments;
  for (int i = 1; i < count; i++) {
    const std::string value = values[i];
    if (value == "--json") {
      arguments.json = true;
    } else if (value == "--native") {
      arguments.native = true;
    } else if (value == "--quick") {
      arguments.quick = true;
    } else if (value.rfind("--library=", 0) == 0) {
      arguments.vendorRate = std::atof(value.c_str() + 10) * 1e12;
    } else if (value.rfind("--part=", 0) == 0) {
      const size_t slash = value.find('/');
      const int part = std::atoi(value.c_str() + 7),
                parts = slash == std::string::npos ? 0 : std::atoi(value.c_str() + slash + 1);
      if (part < 1 || part > parts)
        throw Error(Code::invalidArgument, value + " must be like --part=1/4");
      arguments.part = static_cast<size_t>(part - 1);
      arguments.parts = static_cast<size_t>(parts);
    } else if (value.rfind("--backend=", 0) == 0) {
      arguments.backend = value.substr(10);
    } else if (value == "--backend" && i + 1 < count) {
      arguments.backend = values[++i];
    } else if (value.rfind("--threads=", 0) == 0) {
      arguments.threads = std::max(1, std::atoi(value.c_str() + 10));
    } else if (value.rfind("--", 0) == 0) {
      arguments.mode = value;
    } else {
      arguments.filters.push_back(value);
    }
  }
  if (arguments.mode == "--check") return check(arguments);
  if (arguments.mode == "--bench") return bench(arguments);
  if (arguments.mode == "--steps" && !arguments.backend.empty())
    return benchCardSteps(arguments.backend, {arguments.quick, arguments.vendorRate});
  if (arguments.mode == "--peak") return peak(arguments);
  std::fprintf(stderr,
               "usage: lacuna-ops --check [FILTER...] [--native | --backend NAME] [--part=K/N] | "
               "--bench [FILTER] [--backend NAME [--quick]] | --peak [--threads=N] [--json] |\n"
               "  --steps --backend NAME [--quick] [--library=TFLOPS]\n"
               "  NAME: cuda, cuda:N or emulator\n");
  return 2;
}

}  // namespace
}  // namespace lacuna::ops

int main(int count, char** values) {
  try {
    return lacuna::ops::run(count, values);
  } catch (const lacuna::Error& error) {
    std::fprintf(stderr, "%s: %s\n", lacuna::codeName(error.code), error.what());
    return 2;
  }
}
