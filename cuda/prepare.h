#pragma once
#include "matrix.h"

// Arguments of prepare.cu.
namespace lacuna::cuda {

constexpr int kPrepareThreads = 256;

// Rows of x as a matrix of the element wants them. Row i of the result is row source[i] of x, of
// zeros where that is negative (source null: row i); rows past out.rows are zeros, too.
struct PrepareArguments {
  const float* x;
  const int32_t* source;  // (out.rows) or null
  int32_t cols;
  int32_t wide;  // 1: cols and the address of x are multiples of 4 floats
  Prepared out;
};

}  // namespace lacuna::cuda
