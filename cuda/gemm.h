#pragma once
#include <cstddef>
#include <cstdint>

#include "matrix.h"

// Arguments of the matrix products, and the sizes that host and kernels agree on.
namespace lacuna::cuda {

// The formats that have kernels of their own: X(name, bits, group, super, offsets, nonlinear). f32
// and f16 (which serves BF16, too) are not coded.
#define LACUNA_CODED_FORMATS(X)        \
  X(Q8_0, 8, 32, false, false, false)  \
  X(Q4_0, 4, 32, false, false, false)  \
  X(Q4_1, 4, 32, false, true, false)   \
  X(Q5_0, 5, 32, false, false, false)  \
  X(Q5_1, 5, 32, false, true, false)   \
  X(Q2_K, 2, 16, true, true, false)    \
  X(Q3_K, 3, 16, true, false, false)   \
  X(Q4_K, 4, 32, true, true, false)    \
  X(Q5_K, 5, 32, true, true, false)    \
  X(Q6_K, 6, 16, true, false, false)   \
  X(IQ4_NL, 4, 32, false, false, true) \
  X(IQ4_XS, 4, 32, true, false, true)

// A block multiplies `width` rows of x with kTileColumns rows of the weight. Few rows are bound by
// reading the weight: 8 and 32. Many rows are bound by arithmetic: 128.
constexpr int kTileColumns = 128;
constexpr int kWidths[] = {8, 32, 128};
constexpr int kSlabRows = 32;                  // rows of y that are finished together
constexpr int kSlabStride = kTileColumns + 4;  // floats: keeps fragments on different banks

HOST_DEVICE constexpr int gemmThreads(Element element, int width) {
  return width == 128 && element != Element::f16 ? 256 : 128;
}
HOST_DEVICE constexpr size_t stageBytes(int brickBytes, int sliceBytes, int terms, int width) {
  return static_cast<size_t>(kTileColumns / kStripRows * brickBytes +
                             width / kSliceRows * terms * sliceBytes);
}
HOST_DEVICE constexpr size_t slabBytes(int width) {
  const size_t rows = width < kSlabRows ? width : kSlabRows;
  return rows * kSlabStride * sizeof(float);
}

// A tile of a grouped product: rows [firstRow, firstRow + rows) of x and y meet matrix `matrix`.
// firstRow is a multiple of kSliceRows and rows at most the width of the kernel.
struct GemmWork {
  int32_t matrix, firstRow, rows, unused;
};

// What finished tiles are for.
enum class GemmEpilogue : int32_t { store, add, glu };  // as Epilogue

// y (rows of x, rows of w) = x · wᵀ. Grid: (tiles of x, tiles of w, splits of k).
struct GemmArguments {
  Matrix w;
  Prepared x;
  float* y;           // null for the head
  const float* bias;  // (rows of w) or null
  int64_t yStride;    // floats
  // Grouped: tile blockIdx.x is work[blockIdx.x], if that is below *workCount. Else null.
  const GemmWork* work;
  const int32_t* workCount;
  // splits > 1: every block leaves its sums in `partial` (splits, tiles of y, 128 · width), and the
  // last one of a tile adds them in order. `tickets` (tiles of y) are 0 before and after.
  float* partial;
  int32_t* tickets;
  int32_t splits, stages;
  GemmEpilogue epilogue;
  int32_t unused;
  const struct HeadArguments* head;  // device: tiles are reduced (head.cuh), not stored. Else null
};

}  // namespace lacuna::cuda
