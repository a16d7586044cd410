// head: the vocabulary in blocks of a few hundred tokens, whose logits live in cache and are
// reduced on the spot. Spans of blocks go to threads and their results are merged in the order of
// the vocabulary: neither depends on the number of threads.
#include "head.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "backend.h"

namespace lacuna::cpu {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr int kLines = 32;          // rows of a product over one block
constexpr int kFilteredLines = 16;  // whole rows of logits in memory at a time

int wholeBlocks(int tokens) { return (tokens + kBlock - 1) / kBlock * kBlock; }

class HeadPass {
 public:
  HeadPass(const Kernels& kernels, Threads& pool, HeadScratch& scratch, HeadResult& result,
           const CpuWeight& w, std::span<const HeadRow> rows, std::span<const HeadOptions> options)
      : kernels(kernels),
        pool(pool),
        scratch(scratch),
        result(result),
        w(w),
        rows(rows),
        options(options),
        vocabulary(static_cast<int>(w.rows)) {}

  void layOut();
  // Normalised hidden rows with guidance, each with the position's previous one for KL.
  const float* writeLines(Tensor x);
  int lines() const { return lineCount; }
  Gemm wholeProduct(const GemmInput& in, const HeadScratch::Group& g) const;
  void reduceInBlocks(const GemmInput& in);
  void reduceWhole(const HeadScratch::Group& g);
  void finish();

 private:
  const HeadOptions& optionsOf(size_t row) const {
    return options[static_cast<size_t>(rows[row].options)];
  }
  RowReducer reducer(int span, size_t row, int thread = 0) const {
    const HeadScratch::Row& layout = scratch.rows[row];
    const size_t at = static_cast<size_t>(span);
    return {kernels,
            rows[row],
            optionsOf(row),
            layout,
            partials[at * rows.size() + row],
            reached[static_cast<size_t>(thread) * rows.size() + row],
            lists + at * listEntries + layout.listAt,
            probes + layout.probeAt};
  }
  void keepLogits(const HeadScratch::Row& layout, const float* z, int t0, int n) const {
    if (layout.logitsAt < 0) return;
    std::copy_n(z, n, result.logits.data() + layout.logitsAt * vocabulary + t0);
  }
  void reduceSpan(int span, int thread, float* logits, const GemmInput& in);
  void reduceRow(size_t row, const HeadScratch::Group& g, int thread);
  void keepLargest(const RowReducer& r, const float* z, float* kept, int32_t* order) const;

  const Kernels& kernels;
  Threads& pool;
  HeadScratch& scratch;
  HeadResult& result;
  const CpuWeight& w;
  std::span<const HeadRow> rows;
  std::span<const HeadOptions> options;
  const int vocabulary;
  int spanTokens = 0, spans = 0, lineCount = 0;
  size_t listEntries = 0;
  PartialHead* partials = nullptr;  // (spans, rows)
  ListEntry* lists = nullptr;       // (spans, listEntries)
  float* probes = nullptr;
  float* reached = nullptr;  // (threads, rows)
};

void HeadPass::layOut() {
  const size_t n = rows.size();
  spanTokens = std::clamp(wholeBlocks(vocabulary / 64), kBlock, 16 * kBlock);
  spans = (vocabulary + spanTokens - 1) / spanTokens;
  size_t top = 0, probe = 0;
  int64_t logitRows = 0;
  scratch.rows.assign(n, {});
  for (size_t i = 0; i < n; i++) {
    const HeadOptions& o = optionsOf(i);
    HeadScratch::Row& r = scratch.rows[i];
    r.filtered = (o.topK > 0 || o.topP < 1) && (o.temperature > 0 || o.tempered);
    r.rate = o.tempered && o.temperature > 0 ? 1.0f / o.temperature : 1.0f;
    r.list = std::max(2, o.list);
    r.listAt = listEntries;
    r.topAt = top;
    r.probeAt = probe;
    if (o.logits) r.logitsAt = logitRows++;
    const auto below = [](const Credit& a, int32_t position) { return a.position < position; };
    const auto above = [](int32_t position, const Credit& a) { return position < a.position; };
    const Credit *start = o.credits.data(), *end = start + o.credits.size();
    r.credits = std::lower_bound(start, end, rows[i].position, below);
    r.creditsEnd = std::upper_bound(r.credits, end, rows[i].position, above);
    listEntries += static_cast<size_t>(r.list);
    top += static_cast<size_t>(o.list);
    probe += o.probe.size();
  }
  const bool anyKl =
      std::any_of(options.begin(), options.end(), [](const HeadOptions& o) { return o.kl; });
  result.token.resize(n);
  result.probability.resize(n);
  result.margin.resize(n);
  result.entropy.resize(n);
  result.kl.resize(anyKl ? n : 0);
  result.topToken.resize(top);
  result.topProbability.resize(top);
  result.probe.resize(probe);
  result.logits.resize(static_cast<size_t>(logitRows) * static_cast<size_t>(vocabulary));

  const size_t all = static_cast<size_t>(spans);
  partials = scratch.partials.get<PartialHead>(all * n);
  std::fill_n(partials, all * n, PartialHead{});
  lists = scratch.lists.get<ListEntry>(all * listEntries);
  std::fill_n(lists, all * listEntries, ListEntry{});
  probes = scratch.probes.get<float>(probe);
  const size_t threads = static_cast<size_t>(pool.count());
  reached = scratch.reached.get<float>(threads * n);
  std::fill_n(reached, threads * n, kNever);
}

const float* HeadPass::writeLines(Tensor x) {
  const size_t dim = static_cast<size_t>(x.cols);
  float* lines = scratch.hidden.get<float>(dim * 2 * rows.size());
  scratch.order.clear();
  scratch.groups.clear();
  for (const bool filtered : {false, true}) {
    const int most = filtered ? kFilteredLines : kLines;
    for (size_t i = 0; i < rows.size(); i++) {
      HeadScratch::Row& layout = scratch.rows[i];
      if (layout.filtered != filtered) continue;
      const HeadRow& row = rows[i];
      const bool twice = row.previous && row.hasPrevious;
      const bool fits = !scratch.groups.empty() && scratch.groups.back().filtered == filtered &&
                        scratch.groups.back().lines + 1 + twice <= most;
      if (!fits) {
        scratch.groups.push_back({filtered, scratch.order.size(), 0, lineCount, 0});
      }
      HeadScratch::Group& group = scratch.groups.back();
      scratch.order.push_back(i);
      group.last = scratch.order.size();

      layout.line = lineCount++;
      float* now = lines + static_cast<size_t>(layout.line) * dim;
      std::copy_n(x.slice(row.hidden, 1).data, dim, now);
      if (row.unconditional >= 0) {
        const float* u = x.slice(row.unconditional, 1).data;
        for (size_t c = 0; c < dim; c++) {
          const double from = u[c];
          now[c] = static_cast<float>(from + row.guidance * (now[c] - from));
        }
      }
      if (twice) {
        layout.before = lineCount++;
        std::copy_n(row.previous, dim, now + dim);
      }
      if (row.previous) std::copy_n(now, dim, row.previous);
      group.lines = lineCount - group.firstLine;
    }
  }
  return lines;
}

void HeadPass::reduceInBlocks(const GemmInput& in) {
  if (scratch.groups.empty() || scratch.groups.front().filtered) return;
  const size_t each = static_cast<size_t>(kLines) * kBlock;
  float* logits = scratch.logits.get<float>(each * static_cast<size_t>(pool.count()));
  pool.parallelFor(spans, [&](int span, int thread) {
    reduceSpan(span, thread, logits + each * static_cast<size_t>(thread), in);
  });
  pool.parallelFor(static_cast<int>(rows.size()), [&](int i, int) {
    const size_t row = static_cast<size_t>(i);
    const RowReducer whole = reducer(0, row);
    for (int span = 1; span < spans; span++) {
      const RowReducer next = reducer(span, row);
      whole.merge(next.partial, next.list);
    }
  });
}

void HeadPass::reduceSpan(int span, int thread, float* logits, const GemmInput& in) {
  const int end = std::min(vocabulary, (span + 1) * spanTokens);
  for (int t0 = span * spanTokens; t0 < end; t0 += kBlock) {
    const int n = std::min(kBlock, end - t0);
    for (const HeadScratch::Group& group : scratch.groups) {
      if (group.filtered) break;
      Gemm g;
      g.w = &w.panels;
      g.firstTile = t0 / kernels.nr;
      g.lastTile = (t0 + n + kernels.nr - 1) / kernels.nr;
      g.columns = n;
      g.rows = group.lines;
      g.input = slice(in, w.panels, group.firstLine);
      g.y = logits;
      g.yStride = kBlock;
      kernels.gemm(g);
      for (int line = 0; line < group.lines; line++) {
        std::fill(logits + line * kBlock + n, logits + (line + 1) * kBlock, kNever);
      }
      for (size_t i = group.first; i < group.last; i++) {
        const size_t row = scratch.order[i];
        const HeadScratch::Row& layout = scratch.rows[row];
        const RowReducer r = reducer(span, row, thread);
        float* z = logits + (layout.line - group.firstLine) * kBlock;
        keepLogits(layout, z, t0, n);
        if (layout.before >= 0) r.diverge(z, z + kBlock, kBlock);
        r.adjust(z, t0, n);
        const float most = kernels.maximum(z, kBlock);
        r.choose(z, t0, kBlock, most);
        r.describe(z, t0, kBlock, most);
      }
    }
  }
}

// All logits of a group's lines, into scratch.whole (lines, whole blocks of the vocabulary).
Gemm HeadPass::wholeProduct(const GemmInput& in, const HeadScratch::Group& group) const {
  const int width = wholeBlocks(vocabulary);
  Gemm g;
  g.w = &w.panels;
  g.lastTile = w.tiles;
  g.columns = vocabulary;
  g.rows = group.lines;
  g.input = slice(in, w.panels, group.firstLine);
  g.y = scratch.whole.get<float>(static_cast<size_t>(kFilteredLines) * static_cast<size_t>(width));
  g.yStride = width;
  return g;
}

void HeadPass::reduceWhole(const HeadScratch::Group& group) {
  // Per thread: the logits that a filter keeps, and tokens to sort.
  const size_t width = static_cast<size_t>(wholeBlocks(vocabulary));
  scratch.kept.get<float>(2 * width * static_cast<size_t>(pool.count()));
  pool.parallelFor(static_cast<int>(group.last - group.first), [&](int i, int thread) {
    reduceRow(scratch.order[group.first + static_cast<size_t>(i)], group, thread);
  });
}

void HeadPass::reduceRow(size_t row, const HeadScratch::Group& group, int thread) {
  const int width = wholeBlocks(vocabulary);
  const HeadScratch::Row& layout = scratch.rows[row];
  const RowReducer r = reducer(0, row, thread);
  float* z = scratch.whole.get<float>(0) + int64_t{layout.line - group.firstLine} * width;
  float* kept = scratch.kept.get<float>(0) + int64_t{2} * width * thread;
  std::fill(z + vocabulary, z + width, kNever);
  if (layout.before >= 0) std::fill(z + width + vocabulary, z + 2 * width, kNever);
  const auto forBlocks = [&](const auto& body) {
    for (int t0 = 0; t0 < vocabulary; t0 += kBlock) body(t0);
  };
  keepLogits(layout, z, 0, vocabulary);
  forBlocks([&](int t0) {
    if (layout.before >= 0) r.diverge(z + t0, z + width + t0, kBlock);
    r.adjust(z + t0, t0, std::min(kBlock, vocabulary - t0));
  });
  keepLargest(r, z, kept, reinterpret_cast<int32_t*>(kept + width));
  const auto most = [&](const float* part) { return kernels.maximum(part, kBlock); };
  forBlocks([&](int t0) { r.choose(kept + t0, t0, kBlock, most(kept + t0)); });
  if (r.partial.token < 0) {  // only tokens that are never chosen were kept
    forBlocks([&](int t0) { r.choose(z + t0, t0, kBlock, most(z + t0)); });
    if (r.options.tempered) r.partial.z = kNever;
  }
  float* described = r.options.tempered ? kept : z;
  forBlocks([&](int t0) { r.describe(described + t0, t0, kBlock, most(described + t0)); });
}

// Dream's filter (sample_tokens): of softmax(z / T) the most probable tokens until their sum
// exceeds topP, the one that crosses included; of these the topK largest. The rest becomes −∞.
// Tokens go into bins by their logit, so that only those of the bin where it ends are sorted.
void HeadPass::keepLargest(const RowReducer& r, const float* z, float* kept, int32_t* order) const {
  constexpr int kBins = 1024;
  constexpr float kBinsPerNat = 32;
  const HeadOptions& o = r.options;
  const float rate = o.temperature > 0 ? 1.0f / o.temperature : 1.0f;
  const int width = wholeBlocks(vocabulary);
  const float largest = kernels.maximum(z, width);
  // A whole number and a fraction; NaN belongs to the last bin.
  const auto binOf = [=](float logit) {
    const float at = (largest - logit) * rate * kBinsPerNat;
    return at < kBins - 1 ? at : kBins - 1;
  };
  std::array<int, kBins> counts{};
  std::array<double, kBins> masses{};
  kernels.exponentials(kept, z, width, largest, rate);
  double sum = 0;
  for (int t = 0; t < vocabulary; t++) {
    const size_t bin = static_cast<size_t>(binOf(z[t]));
    counts[bin]++;
    masses[bin] += static_cast<double>(kept[t]);
  }
  for (double mass : masses) sum += mass;

  const auto full = [&](int taken, double mass) {
    if (o.topK > 0 && taken >= o.topK) return true;
    return o.topP < 1 && taken > 0 && mass > static_cast<double>(o.topP) * sum;
  };
  int last = 0, taken = 0, count = 0;
  double mass = 0;
  for (; last < kBins - 1; last++) {
    const size_t bin = static_cast<size_t>(last);
    if (full(taken + counts[bin], mass + masses[bin])) break;
    taken += counts[bin];
    mass += masses[bin];
  }
  const float start = static_cast<float>(last);
  for (int t = 0; t < width; t++) kept[t] = binOf(z[t]) < start ? z[t] : kNever;
  for (int t = 0; t < vocabulary; t++) {
    const float bin = binOf(z[t]);
    order[count] = t;  // without a branch that nobody can predict
    count += static_cast<int>(bin >= start) & static_cast<int>(bin < start + 1) &
             static_cast<int>(z[t] > kNever);
  }
  const auto before = [z](int32_t a, int32_t b) { return z[a] != z[b] ? z[a] > z[b] : a < b; };
  std::sort(order, order + count, before);
  for (int i = 0; i < count && !full(taken, mass); i++) {
    const int32_t token = order[i];
    kept[token] = z[token];
    taken++;
    mass += std::exp((static_cast<double>(z[token]) - largest) * rate);
  }
}

void HeadPass::finish() {
  for (size_t i = 0; i < rows.size(); i++) {
    if (reducer(0, i).finish(result, i)) continue;
    throw noToken(rows[i].position);
  }
}

}  // namespace

void CpuBackend::head(HeadResult& result, Tensor x, const Weight& w, std::span<const HeadRow> rows,
                      std::span<const HeadOptions> options) {
  const Stopwatch watch(times.head);
  const CpuWeight& weight = cpuWeight(w);
  HeadPass pass(kernels, pool, headScratch, result, weight, rows, options);
  pass.layOut();
  wrote();
  const float* lines = pass.writeLines(x);
  const GemmInput in = input(lines, pass.lines(), weight.panels);
  pass.reduceInBlocks(in);
  for (const HeadScratch::Group& group : headScratch.groups) {
    if (!group.filtered) continue;
    multiply(pass.wholeProduct(in, group));
    pass.reduceWhole(group);
  }
  pass.finish();
  wrote();
}

}  // namespace lacuna::cpu
