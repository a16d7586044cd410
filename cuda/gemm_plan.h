#pragma once
#include <cstddef>

#include "../native/types.h"
#include "driver.h"
#include "gemm.h"

// How a product is cut for a card.
namespace lacuna::cuda {

struct GemmPlan {
  int width = 0;  // rows of x per block: one of kWidths
  int splits = 1, stages = 2;
  int threads = 0;
  size_t sharedBytes = 0;
  Grid grid;  // (tiles of x, tiles of w, splits)
};

// The width for `rows` rows of x that meet one matrix.
int gemmWidth(const Driver::Facts& facts, const Matrix& w, int terms, int rows);

// `rowTiles`: tiles of x of that width. split: the sums of k may be split over blocks, which the
// kernel must know how to combine (gemm() of gemm.cuh does).
GemmPlan planGemm(const Driver::Facts& facts, const Matrix& w, int terms, int width, int rowTiles,
                  bool split);

// Formats have numbers, F32 and F16 (and BF16) first, then those of LACUNA_CODED_FORMATS.
int formatOf(Type type);

// "gemmQ4_Kx32"
const char* gemmKernel(int format, int width);

}  // namespace lacuna::cuda
