#include "dispatch.h"

#include "../error.h"
#include "../model/model.h"

#if defined(_M_X64) || defined(__x86_64__)
#ifdef _MSC_VER
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif
#if defined(__linux__) && defined(__aarch64__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(_WIN32)
#include <windows.h>
#endif

namespace lacuna::cpu {

const Kernels& kernels_scalar();
#ifdef LACUNA_HAVE_AVX2
const Kernels& kernels_avx2();
#endif
#ifdef LACUNA_HAVE_AVXVNNI
const Kernels& kernels_avxvnni();
#endif
#ifdef LACUNA_HAVE_AVX512
const Kernels& kernels_avx512();
#endif
#ifdef LACUNA_HAVE_NEON
const Kernels& kernels_neon();
#endif

namespace {

#if defined(_M_X64) || defined(__x86_64__)

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
#ifdef _MSC_VER
  int out[4];
  __cpuid(out, 0);
  if (static_cast<unsigned>(out[0]) < leaf) return r;
  __cpuidex(out, static_cast<int>(leaf), static_cast<int>(subleaf));
  r = {static_cast<unsigned>(out[0]), static_cast<unsigned>(out[1]), static_cast<unsigned>(out[2]),
       static_cast<unsigned>(out[3])};
#else
  __get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d);
#endif
  return r;
}

// Register state the operating system saves: without it a CPU's vectors are unusable.
unsigned savedState() {
  const bool osxsave = cpuid(1, 0).c >> 27 & 1;
  if (!osxsave) return 0;
#ifdef _MSC_VER
  return static_cast<unsigned>(_xgetbv(0));
#else
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
#endif
}

[[maybe_unused]] bool hasAvx2() {
  const Registers one = cpuid(1, 0), seven = cpuid(7, 0);
  const bool ymm = (savedState() & 0x6) == 0x6;
  const bool fma = one.c >> 12 & 1, f16c = one.c >> 29 & 1, avx2 = seven.b >> 5 & 1;
  return ymm && fma && f16c && avx2;
}

[[maybe_unused]] bool hasAvxVnni() {
  // Sub-leaf 1 exists where sub-leaf 0 says so.
  return hasAvx2() && cpuid(7, 0).a >= 1 && (cpuid(7, 1).a >> 4 & 1);
}

[[maybe_unused]] bool hasAvx512() {
  const Registers seven = cpuid(7, 0);
  const bool zmm = (savedState() & 0xE6) == 0xE6;
  const bool f = seven.b >> 16 & 1, dq = seven.b >> 17 & 1, bw = seven.b >> 30 & 1;
  const bool vl = seven.b >> 31 & 1, vnni = seven.c >> 11 & 1;
  return hasAvx2() && zmm && f && dq && bw && vl && vnni;
}

#endif

#ifdef LACUNA_HAVE_NEON
bool hasDotProduct() {
#if defined(__linux__)
  return (getauxval(AT_HWCAP) & (1ul << 20)) != 0;  // HWCAP_ASIMDDP
#elif defined(__APPLE__)
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname("hw.optional.arm.FEAT_DotProd", &value, &size, nullptr, 0) == 0 && value;
#elif defined(_WIN32)
  return IsProcessorFeaturePresent(43) != 0;  // PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE
#else
  return false;
#endif
}
#endif

}  // namespace

std::vector<const Kernels*> usableKernels() {
  std::vector<const Kernels*> list;
#ifdef LACUNA_HAVE_AVX512
  if (hasAvx512()) list.push_back(&kernels_avx512());
#endif
#ifdef LACUNA_HAVE_AVXVNNI
  if (hasAvxVnni()) list.push_back(&kernels_avxvnni());
#endif
#ifdef LACUNA_HAVE_AVX2
  if (hasAvx2()) list.push_back(&kernels_avx2());
#endif
#ifdef LACUNA_HAVE_NEON
  if (hasDotProduct()) list.push_back(&kernels_neon());
#endif
  list.push_back(&kernels_scalar());
  return list;
}

const Kernels& kernelsFor(const std::string& isa) {
  std::string known;
  for (const Kernels* kernels : usableKernels()) {
    if (isa.empty() || isa == kernels->name) return *kernels;
    if (!known.empty()) known += ", ";
    known += kernels->name;
  }
  throw Error(Code::invalidArgument,
              "isa: '" + isa + "' does not run on this machine. Usable: " + known + ".");
}

}  // namespace lacuna::cpu

namespace lacuna {

std::vector<std::string> cpuIsas() {
  std::vector<std::string> names;
  for (const cpu::Kernels* kernels : cpu::usableKernels()) names.push_back(kernels->name);
  return names;
}

}  // namespace lacuna
