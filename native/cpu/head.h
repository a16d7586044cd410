#pragma once
#include <vector>

#include "../backend.h"
#include "kernels.h"
#include "pages.h"

// The parts of the head: what a step keeps, and what is done to one row (head_row.cpp). The pass
// over the vocabulary is in head.cpp.
namespace lacuna::cpu {

constexpr int kBlock = 256;  // tokens whose logits are in cache together; a multiple of every nr

struct ListEntry {
  float z = 0;
  int32_t token = -1;  // −1: not there yet
};

// What a row's logits over some span of the vocabulary come down to. Sums are relative to the
// largest logit seen; the results of two neighbouring spans merge into one.
struct PartialHead {
  // The distribution that statistics describe, with d = (z − largest) · rate: Σ e^d and Σ d·e^d.
  float largest = 0;
  double sum = 0, weighted = 0;
  // The candidate for the token, its score (noise and all) and its logit.
  int32_t token = -1;
  float score = 0, z = 0;
  // KL over the raw logits, now and before: Σ e^(z − rawLargest), Σ e^(b − beforeLargest) and
  // Σ e^(z − rawLargest) · (z − b).
  float rawLargest = 0, beforeLargest = 0;
  double rawSum = 0, beforeSum = 0, cross = 0;
};

struct HeadScratch {
  struct Row {
    int line = 0, before = -1;      // of the matrix product: hidden row, and previous one or −1
    bool filtered = false;          // needs all its logits at once
    float rate = 1;                 // 1 / temperature where statistics are tempered
    int list = 0;                   // entries kept: the top two at least, for the margin
    size_t listAt = 0;              // first of them in the lists of a span
    size_t topAt = 0, probeAt = 0;  // first entry in the result
    int64_t logitsAt = -1;          // row of result.logits, −1: none
    const Credit *credits = nullptr, *creditsEnd = nullptr;
  };
  // Rows whose logits are computed in one product: entries of `order`.
  struct Group {
    bool filtered = false;
    size_t first = 0, last = 0;
    int firstLine = 0, lines = 0;
  };
  std::vector<Row> rows;
  std::vector<size_t> order;  // rows, filtered ones last
  std::vector<Group> groups;
  Scratch hidden, partials, lists, logits, probes, whole, kept, reached;
};

// What is done to the logits of one row over one block: z (n), token t0 first, padded with −∞ to
// whole blocks; `most` is the largest of them. In the order of declaration.
struct RowReducer {
  const Kernels& kernels;
  const HeadRow& row;
  const HeadOptions& options;
  const HeadScratch::Row& layout;
  PartialHead& partial;
  float& reached;   // a score of some token of this row: with noise, lower ones need no looking at
  ListEntry* list;  // (layout.list)
  float* probes;    // (options.probe) logits of the probed tokens

  // Divergence from the logits `before` (n).
  void diverge(const float* z, const float* before, int n) const;
  // Credits, suppressed and allowed tokens.
  void adjust(float* z, int t0, int n) const;
  // The token: argmax, or argmax with Gumbel noise.
  void choose(const float* z, int t0, int n, float most) const;
  // Statistics. Takes unscored tokens out of z.
  void describe(float* z, int t0, int n, float most) const;

  // Adds what another reducer found in the tokens that follow.
  void merge(const PartialHead& next, const ListEntry* nextList) const;
  // Writes entry `index` of the result. False when no token may be chosen.
  bool finish(HeadResult& result, size_t index) const;

 private:
  void draw(const float* z, int t0, int n) const;
  void propose(int32_t token, float z, float score) const;
  void enter(ListEntry entry) const;
  double probability(float z) const;
};

}  // namespace lacuna::cpu
