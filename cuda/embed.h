#pragma once
#include "matrix.h"

// Arguments of embed.cu.
namespace lacuna::cuda {

constexpr int kEmbedThreads = 256;

// As SoftRow; its entries are [first, first + count) of the lists.
struct SoftEntry {
  int32_t row;
  float alpha;
  int32_t mask, first, count, unused;
};

// Blocks [0, count): x row i = w row tokens[i]. Blocks from there on: soft row i. Rows that are
// soft have token −1.
struct EmbedArguments {
  Matrix w;
  float* x;               // (count, w.cols)
  const int32_t* tokens;  // (count)
  const SoftEntry* soft;  // (soft rows)
  const int32_t* mixed;   // tokens of all soft rows
  const float* weights;   // their weights
  int32_t count, unused;
};

}  // namespace lacuna::cuda
