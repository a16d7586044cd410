#pragma once
#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "half.h"
#include "shared.h"

// The device side of device.cuh for the host compiler: what CUDA has built in.
namespace lacuna::emulate {

struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) double2 {
  double x, y;
};

inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }

// ---- Kernels -----------------------------------------------------------------------------------

// Every kernel of the program, by name.
struct Registration {
  KernelInfo info;
  const Registration* next;
  explicit Registration(const KernelInfo& info);
};
const KernelInfo* findKernel(const char* name);

// ---- Exchange between threads
// --------------------------------------------------------------------

template <class T>
struct ShuffleLane {
  T value, result;
  int source;  // lane, -1: its own
};

template <class T>
void shuffleAll(void* const* lanes) {
  for (int i = 0; i < kWarp; i++) {
    if (!lanes[i]) continue;
    auto& lane = *static_cast<ShuffleLane<T>*>(lanes[i]);
    const int from = lane.source < 0 ? i : lane.source;
    if (!lanes[from])
      theBlock->fail("a shuffle reads lane " + std::to_string(from) + ", which is not in its mask");
    lane.result = static_cast<ShuffleLane<T>*>(lanes[from])->value;
  }
}

template <class T>
T shuffle(unsigned mask, T value, int source) {
  ShuffleLane<T> lane{value, value, source};
  theBlock->warp(mask, shuffleAll<T>, &lane);
  return lane.result;
}

inline int laneIndex() { return static_cast<int>(theFiber->index.x % kWarp); }

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = kWarp) {
  const int lane = laneIndex();
  return shuffle(mask, value, lane / width * width + (source & (width - 1)));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = kWarp) {
  const int lane = laneIndex(), source = lane ^ bits;
  return shuffle(mask, value, source / width > lane / width ? -1 : source);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = kWarp) {
  const int lane = laneIndex(), source = lane + static_cast<int>(delta);
  return shuffle(mask, value, source / width == lane / width ? source : -1);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = kWarp) {
  const int lane = laneIndex(), source = lane - static_cast<int>(delta);
  return shuffle(mask, value, source >= lane / width * width ? source : -1);
}

struct VoteLane {
  bool value;
  unsigned result;
};
void voteAll(void* const* lanes);
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  VoteLane lane{predicate != 0, 0};
  theBlock->warp(mask, voteAll, &lane);
  return lane.result;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) == mask;
}
void syncAll(void* const* lanes);
inline void __syncwarp(unsigned mask = 0xFFFFFFFFu) {
  char lane = 0;
  theBlock->warp(mask, syncAll, &lane);
}
inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void __threadfence_block() { __threadfence(); }

template <class T>
T atomicAdd(T* at, T value) {
  return std::atomic_ref<T>(*at).fetch_add(value);
}
template <class T>
T atomicExch(T* at, T value) {
  return std::atomic_ref<T>(*at).exchange(value);
}
template <class T>
T atomicCAS(T* at, T expected, T value) {
  std::atomic_ref<T>(*at).compare_exchange_strong(expected, value);
  return expected;
}
template <class T>
T atomicMax(T* at, T value) {
  std::atomic_ref<T> cell(*at);
  T old = cell.load();
  while (old < value && !cell.compare_exchange_weak(old, value)) {
  }
  return old;
}
template <class T>
T atomicMin(T* at, T value) {
  std::atomic_ref<T> cell(*at);
  T old = cell.load();
  while (value < old && !cell.compare_exchange_weak(old, value)) {
  }
  return old;
}

// Fibers of a block take turns, so nothing comes in between.
template <class T>
T atomicAdd(Shared<T> at, T value) {
  return at.update([&](T old) { return static_cast<T>(old + value); });
}
template <class T>
T atomicMax(Shared<T> at, T value) {
  return at.update([&](T old) { return std::max(old, value); });
}
template <class T>
T atomicMin(Shared<T> at, T value) {
  return at.update([&](T old) { return std::min(old, value); });
}
template <class T>
T atomicOr(Shared<T> at, T value) {
  return at.update([&](T old) { return static_cast<T>(old | value); });
}

// ---- Memory
// --------------------------------------------------------------------------------------

template <class T>
T __ldg(const T* at) {
  return *at;
}
template <class T>
T loadOnce(const T* at) {
  if (reinterpret_cast<uintptr_t>(at) % sizeof(T) != 0) theBlock->fail("misaligned read");
  return *at;
}

void copyAsync(const Area* area, std::byte* to, const void* from, int bytes, int valid);
template <int Bytes, class T>
void copyAsync(Shared<T> to, const void* from, int valid = Bytes) {
  to.check("cp.async write", Bytes);
  if (reinterpret_cast<uintptr_t>(from) % Bytes != 0) theBlock->fail("cp.async reads misaligned");
  copyAsync(to.area, to.data, from, Bytes, valid);
}
inline void cpAsyncCommit() { theFiber->group++; }
void cpAsyncWaitFor(int pending);  // until at most `pending` groups are under way
template <int Pending>
void cpAsyncWait() {
  cpAsyncWaitFor(Pending);
}

// ---- Arithmetic
// ----------------------------------------------------------------------------------

using std::max;
using std::min;
inline float fmaxf(float a, float b) { return std::fmax(a, b); }
inline float fminf(float a, float b) { return std::fmin(a, b); }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline int __float2int_rn(float x) { return static_cast<int>(std::nearbyint(x)); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return x ? std::countr_zero(static_cast<unsigned>(x)) + 1 : 0; }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(uint64_t{a} * b >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned bits) {
  return static_cast<unsigned>((uint64_t{high} << 32 | low) >> (bits & 31));
}
unsigned __byte_perm(unsigned a, unsigned b, unsigned selector);
int __dp4a(int a, int b, int sum);
unsigned __vadd4(unsigned a, unsigned b);
unsigned __vsub4(unsigned a, unsigned b);

}  // namespace lacuna::emulate

namespace lacuna::cuda {
using namespace emulate;  // NOLINT(google-build-using-namespace): device code is written for CUDA
}

#define DEVICE inline
#define UNROLL
#define UNROLL_BY(n)
#define KERNEL(name, threads, Arguments) KERNEL_BLOCKS(name, threads, 1, Arguments)
#define KERNEL_BLOCKS(name, threads, blocks, Arguments)                                  \
  static void name(const Arguments& a);                                                  \
  static const ::lacuna::emulate::Registration name##Registration(                       \
      {#name, threads, sizeof(Arguments),                                                \
       [](const void* arguments) { name(*static_cast<const Arguments*>(arguments)); }}); \
  static void name([[maybe_unused]] const Arguments& a)

#define SHARED(T, name, count)              \
  static const char name##Site = 0;         \
  const ::lacuna::emulate::Shared<T> name = \
      ::lacuna::emulate::declareShared<T>(&name##Site, #name, count)
#define SHARED_DYNAMIC(name) const auto name = ::lacuna::emulate::dynamicShared()

#define threadIdx (::lacuna::emulate::theFiber->index)
#define blockIdx (::lacuna::emulate::theBlock->block)
#define gridDim (::lacuna::emulate::theBlock->grid)
#define blockDim (::lacuna::emulate::Index{::lacuna::emulate::theBlock->threads, 1, 1})
#define __syncthreads() ::lacuna::emulate::theBlock->barrier(__FILE__, __LINE__)
#define __syncthreads_count(predicate) \
  ::lacuna::emulate::theBlock->barrierCount(__FILE__, __LINE__, (predicate) != 0)
#define __syncthreads_or(predicate) (__syncthreads_count(predicate) != 0)
