#pragma once
#include "device.cuh"

// Products of a whole warp on the tensor cores, and the loads that feed them. Registers as PTX lays
// them out; with group g = lane / 4 and t = lane % 4:
//
//   C  (16 x 8) f32 | s32   c[0], c[1]: row g, columns 2t and 2t + 1; c[2], c[3]: row g + 8
//   halves, 16 x 16 by 16 x 8 (A row-major, B column-major: k runs along both)
//      a[0]: row g, k 2t..2t+1     a[1]: row g + 8     a[2], a[3]: the same rows, k + 8
//      b[0]: k 2t..2t+1, column g  b[1]: k + 8
//   bytes, 16 x 32 by 32 x 8
//      a[0]: row g, k 4t..4t+3     a[1]: row g + 8     a[2], a[3]: the same rows, k + 16
//      b[0]: k 4t..4t+3, column g  b[1]: k + 16
//   bytes, 16 x 16 by 16 x 8: a[0], a[1] and b[0] of these
//
// So an 8 x 8 matrix of halves (8 rows of 16 bytes in shared memory) is one register of ldmatrix,
// for A and B alike, and 8 rows of 16 bytes of s8 are one, too.
namespace lacuna::cuda {

#ifdef LACUNA_EMULATE

template <class C, int A, int B>
struct MmaLane {
  C* c;
  const uint32_t* a;
  const uint32_t* b;
};

// c += a · b over the warp; K elements of Bits bits along k.
void mmaHalvesAll(void* const* lanes);
void mmaBytes16All(void* const* lanes);
void mmaBytes32All(void* const* lanes);

inline void mmaHalves(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  MmaLane<float, 4, 2> lane{c, a, b};
  theBlock->warp(kAllLanes, mmaHalvesAll, &lane);
}
inline void mmaBytes16(int (&c)[4], const uint32_t (&a)[2], uint32_t b) {
  MmaLane<int, 2, 1> lane{c, a, &b};
  theBlock->warp(kAllLanes, mmaBytes16All, &lane);
}
inline void mmaBytes32(int (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  MmaLane<int, 4, 2> lane{c, a, b};
  theBlock->warp(kAllLanes, mmaBytes32All, &lane);
}

// One 8 x 8 matrix per register; lane i gives the address of row i % 8 of matrix i / 8.
struct LoadLane {
  Shared<const uint4> row;
  uint32_t* registers;
  int matrices;
  bool transposed;
};
void loadMatricesAll(void* const* lanes);
template <int N, bool Transposed, class T>
void loadMatrices(uint32_t* registers, Shared<T> row) {
  LoadLane lane{as<const uint4>(row), registers, N, Transposed};
  theBlock->warp(kAllLanes, loadMatricesAll, &lane);
}

#else

DEVICE void mmaHalves8(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t b0) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a0), "r"(a1), "r"(b0));
}

DEVICE void mmaHalves(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  mmaHalves8(c, a[0], a[1], b[0]);
  mmaHalves8(c, a[2], a[3], b[1]);
#endif
}

// Turing: 8 x 16 by 16 x 8.
DEVICE void mmaBytes8(int& c0, int& c1, uint32_t a, uint32_t b) {
  asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
               : "+r"(c0), "+r"(c1)
               : "r"(a), "r"(b));
}

DEVICE void mmaBytes16(int (&c)[4], const uint32_t (&a)[2], uint32_t b) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, "
      "{%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(b));
#else
  mmaBytes8(c[0], c[1], a[0], b);
  mmaBytes8(c[2], c[3], a[1], b);
#endif
}

DEVICE void mmaBytes32(int (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  const uint32_t low[2] = {a[0], a[1]}, high[2] = {a[2], a[3]};
  mmaBytes16(c, low, b[0]);
  mmaBytes16(c, high, b[1]);
#endif
}

template <int N, bool Transposed>
DEVICE void loadMatrices(uint32_t* r, const void* row) {
  const unsigned address = sharedAddress(row);
  if constexpr (N == 4 && Transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  } else if constexpr (N == 4) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  } else if constexpr (Transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(address)
                 : "memory");
  }
}

#endif

// Register i of lane l is row l / 4, bytes 4 (l % 4) .. of matrix i; transposed: halves 2 (l % 4)
// and 2 (l % 4) + 1 down column l / 4. Lane i gives the address of row i % 8 of matrix i / 8 (of
// two matrices lanes 16..31 give any valid one), 16 bytes, aligned.
template <class T>
DEVICE void loadMatrix4(uint32_t (&registers)[4], Shared<T> row) {
  loadMatrices<4, false>(registers, row);
}
template <class T>
DEVICE void loadMatrix4Transposed(uint32_t (&registers)[4], Shared<T> row) {
  loadMatrices<4, true>(registers, row);
}
template <class T>
DEVICE void loadMatrix2(uint32_t (&registers)[2], Shared<T> row) {
  loadMatrices<2, false>(registers, row);
}
template <class T>
DEVICE void loadMatrix2Transposed(uint32_t (&registers)[2], Shared<T> row) {
  loadMatrices<2, true>(registers, row);
}

}  // namespace lacuna::cuda
