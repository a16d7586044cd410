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

// The token of a row of x: what stands at `place`, or without one `token`; −1 of a soft row.
struct TokenRow {
  const int32_t* place;  // in a canvas, or null
  int32_t token, unused;
};

// Blocks [0, count): x row i = w row of the i-th token. Blocks from there on: soft row i.
struct EmbedArguments {
  Matrix w;
  float* x;               // (count, w.cols)
  const TokenRow* rows;   // (count)
  const SoftEntry* soft;  // (soft rows)
  const int32_t* mixed;   // tokens of all soft rows
  const float* weights;   // their weights
  int32_t count, unused;
};

// What the host has written to a canvas since the last step. No place: nothing.
struct CanvasEdit {
  int32_t* place;
  int32_t token, unused;
};

struct EditArguments {
  const CanvasEdit* edits;  // (count)
  int32_t count, unused;
};

}  // namespace lacuna::cuda
