#pragma once
#include <cstdint>

// Arguments of head.cu and head_filter.cu. The head's matrix product runs over tiles of kHeadTile
// tokens; what a row's logits over one tile come down to is a HeadPart and the tile's best tokens.
namespace lacuna::cuda {

constexpr int kHeadTile = 128;
constexpr int kHeadThreads = 256;    // of headLines and headMerge
constexpr int kFilterThreads = 512;  // of headFilter

// As lacuna::Credit.
struct HeadCredit {
  int32_t position, token;
  float value;
};

// A HeadOptions. Sets are ascending lists; headLines turns those that are there into bitmaps of
// the vocabulary, so that a tile asks about 32 tokens in one load.
struct HeadOptionWork {
  const int32_t *suppress, *allow, *unchosenSet, *unscoredSet, *probe;
  int32_t suppressCount, allowCount, unchosenCount, unscoredCount, probeCount;
  int32_t list;  // as asked for
  // (words) bit t: token t; nullptr where the set is empty
  uint32_t* banned;  // suppressed, or not allowed
  uint32_t* unchosen;
  uint32_t* unscored;
  uint64_t seed;
  uint32_t step;
  float temperature;
  float rate;        // of the statistics: 1 / temperature where they are tempered, else 1
  float filterRate;  // of the distribution that is filtered
  float topP;
  int32_t topK;
  int32_t tempered;  // boolean
};

// A row over one tile: 32 bytes, since with 512 rows there are half a million of them. Sums are
// relative to the tile's own largest logit. The terms that are exactly 1 are counted apart from the
// small ones: together they would lose the bits that tell one probability close to 1 from another,
// and commits are ranked by those.
struct HeadPart {
  uint64_t choice;  // the best token that may be chosen, by its score; 0: none
  float choiceLogit;
  float highest;  // logit, before unscored tokens are taken out
  // The described distribution, d = (z − largest) · rate: how often d = 0, Σ e^d of the others,
  // Σ d·e^d.
  float largest, tops, rest, weighted;
};

// KL over the raw logits, now and before: Σ e^(z − largest), Σ e^(b − beforeLargest) and
// Σ e^(z − largest) · (z − b).
struct HeadKlPart {
  float largest, beforeLargest, sum, beforeSum, cross;
};

// The best token of those that a filter keeps.
struct HeadKept {
  uint64_t choice;
  float logit;
  int32_t unused;
};

// A HeadRow, in the order of the products.
struct HeadRowWork {
  const float *hidden, *unconditional;  // (dim); the latter nullptr without guidance
  float* previous;                      // (dim) or nullptr
  const HeadCredit* credits;            // of this position, by token
  HeadPart* parts;                      // (tiles)
  HeadKlPart* klParts;  // (tiles) where there is a previous hidden row, else nullptr
  HeadKept* kept;       // (tiles) of a filtered row, else nullptr
  uint64_t* lists;      // (tiles, width) best tokens of each tile by tokenKey, best first
  float* probes;        // (probes) logits of the probed tokens
  float* logits;        // (vocabulary) out, or nullptr
  float* whole;         // (tiles · kHeadTile) adjusted logits of a filtered row, else nullptr
  float guidance;
  int32_t hasPrevious;  // then the next line is the previous hidden row
  int32_t index;        // of the row in the result; −1: there is no such row
  int32_t line, blank;  // of all lines; how many after the row's own to fill with zeros
  int32_t options, position;
  int32_t credited;        // entries of `credits`
  int32_t list, width;     // entries kept: of the row, two at least, and of a tile
  int32_t topAt, probeAt;  // first entry in the result
};

struct HeadLinesArguments {
  const HeadRowWork* rows;  // (count)
  const HeadOptionWork* options;
  float* lines;  // (lines, dim)
  int32_t count, dim, words;
  int32_t unused;
};

// One matrix product: some of the rows and their lines.
struct HeadArguments {
  const HeadRowWork* rows;
  const HeadOptionWork* options;
  const int32_t* owner;  // (lines) the row whose logits a line gives, or −1
  int32_t vocabulary, tiles;
};

struct HeadFilterArguments {
  HeadArguments head;
  const int32_t* filtered;  // (blocks) rows, −1: none
};

// The arrays of a HeadResult.
struct HeadOutput {
  int32_t* token;  // −1: none may be chosen
  double *probability, *margin, *entropy;
  float* kl;  // or nullptr
  int32_t* topToken;
  float *topProbability, *probe;
  float* logits;  // see HeadRowWork
};

struct HeadMergeArguments {
  HeadArguments head;
  HeadOutput out;
};

}  // namespace lacuna::cuda
