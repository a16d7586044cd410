#pragma once
#include <cstdint>

#include "session/rule.h"

// Arguments of commit.cu.
namespace lacuna::cuda {

// A reported row that is to be ranked.
struct alignas(16) CommitRank {
  uint64_t key;  // score by orderOf; 0: no candidate
  int32_t position;
  int32_t row;
};

// One CommitItem: its rule, its rows of the step's statistics, and working memory.
struct CommitWork {
  const int32_t* positions;                      // (count) canvas positions of the reported rows
  int32_t* canvas;                               // (length)
  const float* bias;                             // (length) or nullptr
  const int32_t* token;                          // (count)
  const double *probability, *margin, *entropy;  // (count)
  CommitRank* ranks;  // (count, rounded up to a power of two) by rank when sorted
  int32_t* written;   // (count) out: 1 where the row's token went to the canvas
  int32_t count, mask;
  Score score;
  Select select;
  int32_t k, min, begin, end;
  uint32_t step;
  int32_t strict, literal;  // booleans
  uint64_t seed;
  double tau, factor, gamma;
};

struct CommitArguments {
  const CommitWork* items;  // (blocks)
};

constexpr int kCommitThreads = 256;
constexpr int kCommitTile = 1024;  // ranks in shared memory

}  // namespace lacuna::cuda
