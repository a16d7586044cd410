#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "../backend.h"
#include "canvas.h"
#include "rule.h"

// Declarative commit rules. TypeScript's interpreter (lib/decoding/rule.ts) says the same in other
// words, and a test holds the two together.
namespace lacuna {

struct CommitRule {
  Score score = Score::probability;
  Select select = Select::all;
  int k = 1;             // topK
  double tau = 0;        // threshold
  bool strict = false;   // threshold
  int min = 1;           // threshold
  double factor = 1;     // factor
  bool literal = false;  // factor: Fast-dLLM's own code also takes the last rank when only it fails
  double gamma = 0;      // entropyBound, nats
  int begin = 0, end = 0;       // positions that may be committed: [begin, end)
  std::span<const float> bias;  // added to the score, per canvas position; empty: none
  uint64_t seed = 0;            // random
  uint32_t step = 0;            // random
};

// One session's part of the commit of a step. Candidates are the reported positions that hold MASK
// in the canvas and lie in [begin, end). They are ranked by score, ties to the lower position. A
// selected candidate is written to the canvas, unless the proposed token is MASK itself (possible
// only when MASK may be chosen): that uses up the quota and changes nothing, as in the originals.
struct CommitItem {
  CommitRule rule;
  Canvas* canvas = nullptr;
  int32_t mask = -1;
  std::span<const int32_t> positions;  // reported, in the order of the statistics
  const HeadResult* head = nullptr;    // its token, probability, margin and entropy count
  size_t first = 0;                    // row of `head` that is positions[0]
  std::vector<int32_t> committed;      // out: positions written, ascending
};

// A reported position that may be committed: its index in the statistics and its score.
struct Candidate {
  size_t index = 0;
  double score = 0;
};

struct CommitBatch {
  std::vector<CommitItem> items;
  std::vector<Candidate> ranked;  // working memory
};

// One item on the host, whose statistics are there: what the default Backend::commit does for each.
void applyRule(CommitItem& item, std::vector<Candidate>& ranked);

}  // namespace lacuna
