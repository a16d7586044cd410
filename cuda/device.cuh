#pragma once
#include <cstdint>

// The portable face of device code, and the only place that knows who compiles it: nvcc, or the
// host compiler for the emulator (LACUNA_EMULATE). Kernels are written as CUDA, with these rules:
//
//   KERNEL(rowNorm, 256, NormArguments) { … a.x … }
//                       a kernel of at most 256 threads (a block is one-dimensional) whose argument
//                       is the plain struct `a`, declared in a header that the host shares.
//                       KERNEL_BLOCKS(name, threads, blocks, Arguments) asks for registers few
//                       enough for that many blocks on a multiprocessor.
//   SHARED(float, sums, 32);            shared memory, aligned to 16; `sums` is a Shared<float>
//   SHARED_DYNAMIC(bytes);              what the launch asked for: a Shared<unsigned char>
//   Shared<T>           a pointer to shared memory: T* under nvcc; checked in the emulator. So
//                       s + i instead of &s[i], as<uint4>(s) instead of reinterpret_cast, no auto
//                       for the value of s[i], no members of s[i] (read the whole struct first).
//   as<U>(pointer)      the same pointer, shared or global, to another type
//   copyAsync<16>(to, from, valid = 16), cpAsyncCommit(), cpAsyncWait<pending>()
//                       cp.async of 4, 8 or 16 bytes; bytes past `valid` become zeros and are not
//                       read. Turing copies at once.
//   UNROLL, UNROLL_BY(n)                before a loop: wholly, or n rounds at a time
//   loadOnce(pointer)   a global read of 4, 8 or 16 bytes that will not be needed again (weights)
//   packHalves, lowHalf, highHalf, halfToFloat, floatToHalf; fmaHalves, addHalves, subHalves,
//   mulHalves           half precision, as bits in uint16_t and pairs in uint32_t
//
// Everything else has CUDA's own name; emulator/device.h says what there is.
#ifdef LACUNA_EMULATE
#include "emulator/device.h"
#else
#include <cuda_fp16.h>

#define DEVICE __device__ __forceinline__
#define UNROLL _Pragma("unroll")
#define UNROLL_BY(n) UNROLL_TEXT(unroll n)
#define UNROLL_TEXT(text) _Pragma(#text)

// When a launch begins, by the card's clock: its first thread says. Verbs are timed by the distance
// to the next launch, which costs no events between the launches.
#define KERNEL(name, threads, Arguments) KERNEL_BLOCKS(name, threads, 1, Arguments)
#define KERNEL_BLOCKS(name, threads, blocks, Arguments)                       \
  static __device__ __forceinline__ void name##Body(const Arguments& a);      \
  extern "C" __global__ void __launch_bounds__(threads, blocks)               \
      name(const __grid_constant__ Arguments a, unsigned long long* clock) {  \
    if (clock && (threadIdx.x | blockIdx.x | blockIdx.y | blockIdx.z) == 0) { \
      unsigned long long now;                                                 \
      asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));                 \
      *clock = now;                                                           \
    }                                                                         \
    name##Body(a);                                                            \
  }                                                                           \
  static __device__ __forceinline__ void name##Body(const Arguments& a)

#define SHARED(T, name, count) __shared__ __align__(16) T name[count]
#define SHARED_DYNAMIC(name) extern __shared__ __align__(128) unsigned char name[]

namespace lacuna::cuda {

template <class T>
using Shared = T*;

template <class U, class T>
DEVICE U* as(T* pointer) {
  return reinterpret_cast<U*>(pointer);
}

DEVICE unsigned sharedAddress(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

template <int Bytes>
DEVICE void copyAsync(void* to, const void* from, int valid = Bytes) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
#if __CUDA_ARCH__ >= 800
  if constexpr (Bytes == 16) {  // past L1: a tile is read once by each block
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(sharedAddress(to)),
                 "l"(from), "r"(valid)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %3, %2;" ::"r"(sharedAddress(to)),
                 "l"(from), "r"(valid), "n"(Bytes)
                 : "memory");
  }
#else
  if (valid == Bytes) {
    if constexpr (Bytes == 16) *as<uint4>(to) = *as<const uint4>(from);
    if constexpr (Bytes == 8) *as<uint2>(to) = *as<const uint2>(from);
    if constexpr (Bytes == 4) *as<unsigned>(to) = *as<const unsigned>(from);
  } else {
    for (int i = 0; i < Bytes; i++)
      as<unsigned char>(to)[i] = i < valid ? as<const unsigned char>(from)[i] : 0;
  }
#endif
}

DEVICE void cpAsyncCommit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

template <int Pending>
DEVICE void cpAsyncWait() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
#endif
}

template <class T>
DEVICE T loadOnce(const T* pointer) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16);
  unsigned r[4] = {};
  if constexpr (sizeof(T) == 16) {
    asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "l"(pointer));
  } else if constexpr (sizeof(T) == 8) {
    asm volatile("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "l"(pointer));
  } else {
    asm volatile("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(r[0]) : "l"(pointer));
  }
  T value;
  __builtin_memcpy(&value, r, sizeof(T));
  return value;
}

DEVICE float halfToFloat(uint16_t half) { return __half2float(__ushort_as_half(half)); }
DEVICE uint16_t floatToHalf(float value) { return __half_as_ushort(__float2half_rn(value)); }
DEVICE uint32_t bitsOf(__half2 pair) {
  uint32_t bits;
  __builtin_memcpy(&bits, &pair, 4);
  return bits;
}
DEVICE __half2 pairOf(uint32_t bits) {
  __half2 pair;
  __builtin_memcpy(&pair, &bits, 4);
  return pair;
}
DEVICE uint32_t packHalves(float low, float high) { return bitsOf(__floats2half2_rn(low, high)); }
DEVICE float lowHalf(uint32_t pair) { return __low2float(pairOf(pair)); }
DEVICE float highHalf(uint32_t pair) { return __high2float(pairOf(pair)); }
DEVICE uint32_t fmaHalves(uint32_t a, uint32_t b, uint32_t c) {
  return bitsOf(__hfma2(pairOf(a), pairOf(b), pairOf(c)));
}
DEVICE uint32_t addHalves(uint32_t a, uint32_t b) { return bitsOf(__hadd2(pairOf(a), pairOf(b))); }
DEVICE uint32_t subHalves(uint32_t a, uint32_t b) { return bitsOf(__hsub2(pairOf(a), pairOf(b))); }
DEVICE uint32_t mulHalves(uint32_t a, uint32_t b) { return bitsOf(__hmul2(pairOf(a), pairOf(b))); }

}  // namespace lacuna::cuda
#endif

namespace lacuna::cuda {

constexpr unsigned kAllLanes = 0xFFFFFFFFu;
DEVICE int lane() { return static_cast<int>(threadIdx.x & 31); }
DEVICE int warp() { return static_cast<int>(threadIdx.x >> 5); }
DEVICE int divideUp(int a, int b) { return (a + b - 1) / b; }

// Sums and largest values over a warp, the same in every lane and in a fixed order.
template <class T>
DEVICE T warpSum(T value) {
  for (int bits = 16; bits > 0; bits >>= 1) value += __shfl_xor_sync(kAllLanes, value, bits);
  return value;
}
template <class T>
DEVICE T warpMax(T value) {
  for (int bits = 16; bits > 0; bits >>= 1) {
    const T other = __shfl_xor_sync(kAllLanes, value, bits);
    value = value < other ? other : value;
  }
  return value;
}

// The sum over a block of at most 1024 threads, in every thread. `work` is 32 values.
template <class T>
DEVICE T blockSum(T value, Shared<T> work) {
  value = warpSum(value);
  __syncthreads();  // work may still be read from an earlier sum
  if (lane() == 0) work[warp()] = value;
  __syncthreads();
  const int warps = static_cast<int>(blockDim.x + 31) / 32;
  T total = lane() < warps ? static_cast<T>(work[lane()]) : T(0);
  return warpSum(total);
}

// The largest value, likewise.
template <class T>
DEVICE T blockMax(T value, Shared<T> work) {
  value = warpMax(value);
  __syncthreads();
  if (lane() == 0) work[warp()] = value;
  __syncthreads();
  const int warps = static_cast<int>(blockDim.x + 31) / 32;
  return warpMax(static_cast<T>(work[lane() < warps ? lane() : 0]));
}

}  // namespace lacuna::cuda
