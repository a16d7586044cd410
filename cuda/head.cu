// What comes before and after the head's matrix products: hidden rows and token sets, and the
// second stage of the reduction.
#include "head.cuh"

namespace lacuna::cuda {

// ---- Before ------------------------------------------------------------------------------------

// A normalised hidden row with guidance, and the position's previous one for KL.
DEVICE void writeLine(const HeadLinesArguments& a, const HeadRowWork& row) {
  float* now = a.lines + static_cast<int64_t>(row.line) * a.dim;
  for (int c = static_cast<int>(threadIdx.x); c < a.dim; c += kHeadThreads) {
    float x = row.hidden[c];
    if (row.unconditional) {
      const double u = row.unconditional[c];
      x = static_cast<float>(u + row.guidance * (x - u));
    }
    now[c] = x;
    float* after = now + (row.hasPrevious ? 2 : 1) * a.dim + c;
    for (int n = 0; n < row.blank; n++) after[static_cast<int64_t>(n) * a.dim] = 0;
    if (!row.previous) continue;
    if (row.hasPrevious) now[a.dim + c] = row.previous[c];
    row.previous[c] = x;
  }
}

DEVICE uint32_t wordOfSet(const int32_t* set, int count, int word) {
  uint32_t bits = 0;
  for (int i = firstFrom(set, count, 32 * word); i < count && set[i] < 32 * word + 32; i++) {
    bits |= 1u << (set[i] - 32 * word);
  }
  return bits;
}

DEVICE void writeSets(const HeadLinesArguments& a, const HeadOptionWork& o) {
  for (int word = static_cast<int>(threadIdx.x); word < a.words; word += kHeadThreads) {
    if (o.banned) {
      uint32_t bits = wordOfSet(o.suppress, o.suppressCount, word);
      if (o.allowCount > 0) bits |= ~wordOfSet(o.allow, o.allowCount, word);
      o.banned[word] = bits;
    }
    if (o.unchosen) o.unchosen[word] = wordOfSet(o.unchosenSet, o.unchosenCount, word);
    if (o.unscored) o.unscored[word] = wordOfSet(o.unscoredSet, o.unscoredCount, word);
  }
}

// A block per row, then one per list of options.
KERNEL(headLines, kHeadThreads, HeadLinesArguments) {
  const int block = static_cast<int>(blockIdx.x);
  if (block < a.count) {
    if (a.rows[block].index >= 0) writeLine(a, a.rows[block]);
  } else {
    writeSets(a, a.options[block - a.count]);
  }
}

// ---- After -------------------------------------------------------------------------------------

struct Merge {
  const HeadMergeArguments& a;
  const HeadRowWork& row;
  const HeadOptionWork& options;
  // Of the whole row.
  float largest = 0;
  double sum = 0, weighted = 0;

  DEVICE double probability(float z) const {
    if (!(z > -INFINITY && sum > 0)) return 0;
    return exp((static_cast<double>(z) - largest) * options.rate) / sum;
  }
  template <class Body>
  DEVICE void forTiles(const Body& body) const {
    for (int t = static_cast<int>(threadIdx.x); t < a.head.tiles; t += kHeadThreads) body(t);
  }
};

// e^−distance for the sums of a part: its own error is that of floats, but for the part that holds
// the largest logit, whose factor is exactly 1.
DEVICE double partFactor(double distance) { return expf(static_cast<float>(-distance)); }

DEVICE void mergeSums(Merge& m, Shared<float> floats, Shared<double> doubles) {
  float largest = -INFINITY;
  m.forTiles([&](int t) { largest = fmaxf(largest, m.row.parts[t].largest); });
  m.largest = blockMax<float>(largest, floats);
  double sum = 0, weighted = 0;
  m.forTiles([&](int t) {
    const HeadPart part = m.row.parts[t];
    if (part.largest == -INFINITY) return;
    const double distance = (static_cast<double>(m.largest) - part.largest) * m.options.rate;
    const double factor = partFactor(distance);
    const double own = static_cast<double>(part.tops) + part.rest;
    sum += factor * own;
    weighted += factor * (part.weighted - distance * own);
  });
  m.sum = blockSum<double>(sum, doubles);
  m.weighted = blockSum<double>(weighted, doubles);
}

DEVICE float mergeKl(const Merge& m, Shared<float> floats, Shared<double> doubles) {
  if (!m.row.klParts) return INFINITY;
  float now = -INFINITY, then = -INFINITY;
  m.forTiles([&](int t) {
    now = fmaxf(now, m.row.klParts[t].largest);
    then = fmaxf(then, m.row.klParts[t].beforeLargest);
  });
  now = blockMax<float>(now, floats);
  then = blockMax<float>(then, floats);
  double sum = 0, before = 0, cross = 0;
  m.forTiles([&](int t) {
    const HeadKlPart part = m.row.klParts[t];
    const double factor = partFactor(static_cast<double>(now) - part.largest);
    sum += factor * part.sum;
    cross += factor * part.cross;
    before += partFactor(static_cast<double>(then) - part.beforeLargest) * part.beforeSum;
  });
  sum = blockSum<double>(sum, doubles);
  before = blockSum<double>(before, doubles);
  cross = blockSum<double>(cross, doubles);
  const double kl = cross / sum - (static_cast<double>(now) - then) - log(sum) + log(before);
  return static_cast<float>(kl > 0 ? kl : 0.0);
}

// The best of this thread's tiles that comes after `last`.
DEVICE uint64_t bestAfter(const Merge& m, uint64_t last) {
  uint64_t best = 0;
  m.forTiles([&](int t) {
    const uint64_t* list = m.row.lists + static_cast<int64_t>(t) * m.row.width;
    for (int i = 0; i < m.row.width && list[i] > best; i++) {
      if (list[i] < last) best = list[i];
    }
  });
  return best;
}

// The top list, one entry a round; returns the margin. Tokens of probability 0, the lowest first,
// fill a list that is longer than the distribution.
DEVICE double mergeLists(const Merge& m, Shared<uint64_t> keys) {
  int32_t* tokens = m.a.out.topToken + m.row.topAt;
  float* probabilities = m.a.out.topProbability + m.row.topAt;
  const int thread = static_cast<int>(threadIdx.x);
  uint64_t own = bestAfter(m, ~uint64_t{0});
  double margin = 0;
  int entries = 0;
  for (int n = 0; n < m.row.list; n++) {
    const uint64_t best = blockMax<uint64_t>(own, keys);
    if (!best) break;
    if (own == best) own = bestAfter(m, best);
    const double p = n < 2 || thread == 0 ? m.probability(keyValue(best)) : 0;
    if (n == 0) margin = p;
    if (n == 1) margin -= p;
    if (n >= m.options.list) continue;
    entries = n + 1;
    if (thread == 0) {
      tokens[n] = keyToken(best);
      probabilities[n] = static_cast<float>(p);
    }
  }
  if (thread != 0) return margin;
  int32_t spare = 0;
  const auto listed = [&] {
    for (int i = 0; i < entries; i++) {
      if (tokens[i] == spare) return true;
    }
    return false;
  };
  for (int n = entries; n < m.options.list; n++) {
    while (listed()) spare++;
    tokens[n] = spare++;
    probabilities[n] = 0;
  }
  return margin;
}

// The token and its probability; one thread.
DEVICE void writeToken(const Merge& m, uint64_t choice, uint64_t kept) {
  const int index = m.row.index;
  const uint64_t key = kept ? kept : choice;
  m.a.out.token[index] = key ? keyToken(key) : -1;
  m.a.out.probability[index] = 0;
  if (!key) return;
  const int token = keyToken(key);
  const int tile = token / kHeadTile;
  // The filter may have kept only tokens that are never chosen: then none of its distribution is.
  if (m.row.kept && !kept && m.options.tempered) return;
  if (m.options.unscored && m.options.unscored[token / 32] >> (token % 32) & 1) return;
  m.a.out.probability[index] =
      m.probability(kept ? m.row.kept[tile].logit : m.row.parts[tile].choiceLogit);
}

// A block per row: its parts, in an order that is always the same.
KERNEL(headMerge, kHeadThreads, HeadMergeArguments) {
  SHARED(float, floats, kHeadThreads / 32);
  SHARED(double, doubles, 32);
  SHARED(uint64_t, keys, kHeadThreads / 32);
  const HeadRowWork& row = a.head.rows[blockIdx.x];
  if (row.index < 0) return;
  Merge m{a, row, a.head.options[row.options]};
  mergeSums(m, floats, doubles);
  uint64_t choice = 0, kept = 0;
  m.forTiles([&](int t) {
    choice = m.row.parts[t].choice > choice ? m.row.parts[t].choice : choice;
    if (row.kept && row.kept[t].choice > kept) kept = row.kept[t].choice;
  });
  choice = blockMax<uint64_t>(choice, keys);
  kept = blockMax<uint64_t>(kept, keys);
  const double margin = mergeLists(m, keys);
  const float kl = a.out.kl ? mergeKl(m, floats, doubles) : 0;
  const int thread = static_cast<int>(threadIdx.x);
  for (int p = thread; p < m.options.probeCount; p += kHeadThreads) {
    a.out.probe[row.probeAt + p] = static_cast<float>(m.probability(row.probes[p]));
  }
  if (thread != 0) return;
  writeToken(m, choice, kept);
  a.out.margin[row.index] = margin;
  const double entropy = m.sum > 0 ? log(m.sum) - m.weighted / m.sum : 0;
  a.out.entropy[row.index] = entropy > 0 ? entropy : 0;
  if (a.out.kl) a.out.kl[row.index] = kl;
}

}  // namespace lacuna::cuda
