#pragma once

// The words of a commit rule (see commit.h), apart so that device code can have them.
namespace lacuna {

enum class Score {
  probability,  // of the proposed token
  margin,       // largest minus second largest probability
  negEntropy,   // −entropy
  random,       // Philox uniform by (seed, step, position)
  position,     // −position: left to right
};

enum class Select {
  topK,          // the k best
  threshold,     // score ≥ tau (strict: > tau), and the `min` best in any case
  factor,        // Fast-dLLM: longest prefix with (n + 1)(1 − score_n) ≤ factor; rank 1 always
  entropyBound,  // EB-Sampler: longest prefix with Σ H − max H ≤ gamma
  all,
};

}  // namespace lacuna
