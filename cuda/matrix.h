#pragma once
#include <cstdint>

// Functions of headers that host and kernels share.
#ifdef __CUDACC__
#define HOST_DEVICE __host__ __device__
#else
#define HOST_DEVICE
#endif

// How a matrix lies in device memory, and the activations that meet it. Host and device share this.
//
// Both are cut into bricks that a kernel copies whole and whose registers a warp reads in the order
// of the tensor cores' fragments (mma.cuh): no ldmatrix, no bank conflict, 16-byte copies from
// contiguous memory. A brick of a weight is a strip of 16 rows by `depth` columns, one of the
// activations a slice of 8 rows by the same columns; what does not exist is zero. Lane l of a warp
// is (g, t) = (l / 4, l % 4); "pair" are the rows g and g + 8 of a strip.
//
//   element f32, depth 32      weight [k / 4][16 rows][4] f32       x [k / 4][8 rows][4] f32
//   element f16, depth 64      weight [k / 16][lane][a0..a3]        x [k / 16][lane][b0, b1]
//   coded, depth 128           weight planes, then scales           x [k / 32][lane][b0, b1] s8,
//                                                                     then see kScalesAt below
// Coded weights are scale · (code − zero) + offset, or scale · level + offset, as small as in the
// file. Per 32 columns a lane owns the 16 codes of a0..a3 (4 bytes each). They are split into
//   8 bits:    [k / 32][lane] 16 bytes: a0..a3
//   4, 5, 6:   [k / 32][lane]  8 bytes: a0 | a2 << 4, a1 | a3 << 4
//   2, 3, 6:   [k / 32][lane]  4 bytes: a0 | a1 << 2 | a2 << 4 | a3 << 6 (of 6 bits the upper two)
//   3, 5:      [k / 64][lane]  4 bytes: a0 | a1 << 1 | a2 << 2 | a3 << 3, the next 32 columns << 4
//                              (the top bits)
// in this order, and then
//   blocks of 32:   d [g][k / 32][pair] f16, and m the same where there are offsets
//   blocks of 256:  d [g][pair] f16, m the same; int8 [g][k / group][pair], minima the same
// A scale is d, or d times the group's integer; an offset is m, or m times the group's minimum.
namespace lacuna::cuda {

enum class Element : int32_t { f32, f16, coded };

constexpr int kStripRows = 16;  // rows of a weight's brick
constexpr int kSliceRows = 8;   // rows of a brick of activations

HOST_DEVICE constexpr int depthOf(Element element) {
  return element == Element::f32 ? 32 : element == Element::f16 ? 64 : 128;
}

// The bytes of a brick's parts; 0 where there is none.
struct BrickShape {
  int bits;    // of a code: 2, 3, 4, 5, 6 or 8
  int group;   // 16 or 32 columns that share a scale
  bool super;  // blocks of 256
  bool offsets;

  HOST_DEVICE constexpr int fourBytes() const { return bits == 8 || bits < 4 ? 0 : 1024; }
  HOST_DEVICE constexpr int eightBytes() const { return bits == 8 ? 2048 : 0; }
  HOST_DEVICE constexpr int twoBytes() const { return bits != 8 && (bits & 2) ? 512 : 0; }
  HOST_DEVICE constexpr int oneBytes() const { return bits & 1 ? 256 : 0; }
  HOST_DEVICE constexpr int halfBytes() const { return super ? 32 : 128; }  // d, or m
  HOST_DEVICE constexpr int integerBytes() const { return super ? 2048 / group : 0; }

  HOST_DEVICE constexpr int twoAt() const { return fourBytes(); }
  HOST_DEVICE constexpr int oneAt() const { return twoAt() + twoBytes(); }
  HOST_DEVICE constexpr int dAt() const { return oneAt() + oneBytes() + eightBytes(); }
  HOST_DEVICE constexpr int mAt() const { return dAt() + halfBytes(); }
  HOST_DEVICE constexpr int scaleAt() const { return mAt() + (offsets ? halfBytes() : 0); }
  HOST_DEVICE constexpr int minimumAt() const { return scaleAt() + integerBytes(); }
  HOST_DEVICE constexpr int bytes() const { return minimumAt() + (offsets ? integerBytes() : 0); }
};

// The rows of x are x ≈ scale · q per 32 columns. After the codes of a brick come
//   scales   [k / 32][8 rows] f32 of at most 22 bits: see brick.cuh
//   sums     [lane][2] of what 16 columns stand for (scale · Σ q), as B of a product of halves with
//            the offsets: the lane's two sums, times the row's factor, rounded to halves, and what
//            that leaves over
//   factors  [8 rows] f32: 1 / the power of two that the sums are multiplied by
// Weights without offsets do not read the last two. Activations of two terms (Use::precise) have
// two such bricks after each other: x is the sum of what both stand for.
constexpr int kSliceBytes = 1024;
constexpr int kScalesAt = kSliceBytes, kSumsAt = kScalesAt + 4 * kSliceRows * 4;
constexpr int kFactorsAt = kSumsAt + 32 * 8;
HOST_DEVICE constexpr int sliceBytes(Element element) {
  return element == Element::coded ? kFactorsAt + kSliceRows * 4 : kSliceBytes;
}
// Of these, what a product reads.
HOST_DEVICE constexpr int sliceBytesRead(Element element, bool offsets) {
  return element == Element::coded && !offsets ? kSumsAt : sliceBytes(element);
}

// A matrix in device memory, or several of one shape back to back (experts).
struct Matrix {
  const unsigned char* bricks;  // [matrix][strip][brick]
  const float* rowScale;        // [matrix][strips · 16] factors of the rows, or null: 1
  int64_t matrixBytes;          // from one matrix to the next
  int32_t rows, cols;
  int32_t strips, depths;  // bricks down and across
  int32_t brickBytes;
  Element element;
  int32_t bits, group, super, offsets;  // coded: BrickShape
  int32_t zero, nonlinear;              // coded: the code of 0; codes are indices of levels
};

// Activations ready to meet a Matrix.
struct Prepared {
  unsigned char* bricks;  // [slice][depths][terms]
  float* rowScale;        // [slices · 8] element f16: factors of the rows; else null
  int32_t rows, slices, depths;
  int32_t sliceBytes, terms;
  Element element;
};

}  // namespace lacuna::cuda
