#include "head_state.h"

#include <algorithm>
#include <bit>

#include "backend.h"

namespace lacuna::cuda {
namespace {

// A product has the reduced tiles of this many lines in memory at a time, and the whole logits of
// this many filtered rows: there is never a buffer of all rows times the vocabulary.
constexpr int kProductLines = 512;
constexpr int kProductFiltered = 64;

bool isFiltered(const HeadOptions& o) {
  return (o.topK > 0 || o.topP < 1) && (o.temperature > 0 || o.tempered);
}

bool isPair(const HeadRow& row) { return row.previous && row.hasPrevious; }

int listOf(const HeadOptions& o) { return std::max(2, o.list); }  // two at least, for the margin
int widthOf(const HeadOptions& o) { return std::min(listOf(o), kHeadTile); }

size_t sizeOf(int64_t n) { return static_cast<size_t>(n); }

// Arrays of rows and of their entries have room for some more: see Product.
size_t entryRoom(size_t count) { return (count + 63) / 64 * 64; }

// Lists of changing length are staged in room of a few sizes, so that programs repeat.
template <class T>
void padToPower(std::vector<T>& list) {
  if (!list.empty()) list.resize(std::bit_ceil(std::max<size_t>(list.size(), 64)));
}

HeadOptionWork workOf(const HeadOptions& o) {
  HeadOptionWork w{};
  w.suppressCount = static_cast<int32_t>(o.suppress.size());
  w.allowCount = static_cast<int32_t>(o.allow.size());
  w.unchosenCount = static_cast<int32_t>(o.unchosen.size());
  w.unscoredCount = static_cast<int32_t>(o.unscored.size());
  w.probeCount = static_cast<int32_t>(o.probe.size());
  w.list = o.list;
  w.seed = o.seed;
  w.step = o.step;
  w.temperature = o.temperature;
  w.filterRate = o.temperature > 0 ? 1.0f / o.temperature : 1.0f;
  w.rate = o.tempered ? w.filterRate : 1.0f;
  w.topP = o.topP;
  w.topK = o.topK;
  w.tempered = o.tempered;
  return w;
}

}  // namespace

// In each product the rows with a previous hidden row come first, so that such a pair starts at an
// even line and no tile parts it.
void HeadState::layOut(std::span<const HeadRow> given, std::span<const HeadOptions> asked) {
  products.clear();
  product.resize(given.size());
  const auto at = [&](size_t index) -> Product& {
    if (index == products.size()) products.emplace_back();
    return products[index];
  };
  size_t plain = 0, filtering = 0;  // the first product that may have room
  for (size_t i = 0; i < given.size(); i++) {
    const HeadOptions& o = asked[static_cast<size_t>(given[i].options)];
    const bool narrow = isFiltered(o), pair = isPair(given[i]);
    size_t& to = narrow ? filtering : plain;
    while (at(to).lines + 1 + pair > kProductLines ||
           (narrow && at(to).filtered == kProductFiltered))
      to++;
    Product& p = products[to];
    p.rows++;
    p.pairs += pair;
    p.lines += 1 + pair;
    p.filtered += narrow;
    p.listed += widthOf(o);
    p.probed += static_cast<int64_t>(o.probe.size());
    product[i] = static_cast<int>(to);
  }
  for (size_t p = 1; p < products.size(); p++) {
    const Product& before = products[p - 1];
    products[p].firstRow = before.firstRow + before.rowRoom();
    products[p].firstLine = before.firstLine + before.lineRoom();
    products[p].firstFiltered = before.firstFiltered + before.filteredRoom();
  }
}

// The options with their token sets and credits.
void HeadState::addOptions(CudaBackend& backend, std::span<const HeadOptions> asked) {
  options.clear();
  tokens.clear();
  credits.clear();
  creditsAt.clear();
  for (const HeadOptions& o : asked) {
    options.push_back(workOf(o));
    for (const auto set : {o.suppress, o.allow, o.unchosen, o.unscored, o.probe})
      tokens.insert(tokens.end(), set.begin(), set.end());
    for (const Credit& c : o.credits) credits.push_back({c.position, c.token, c.value});
  }
  padToPower(tokens);
  padToPower(credits);
  const HeadCredit* credit = backend.stage(std::span<const HeadCredit>(credits));
  for (const HeadOptions& o : asked) {
    creditsAt.push_back(credit);
    credit += o.credits.size();
  }
  const int32_t* set = backend.stage(std::span<const int32_t>(tokens));
  const size_t words = sizeOf(tiles) * kHeadTile / 32;
  const auto bitmap = [&](int count) {
    return count > 0 ? backend.scratch<uint32_t>(words) : nullptr;
  };
  for (HeadOptionWork& w : options) {
    w.suppress = set;
    w.allow = w.suppress + w.suppressCount;
    w.unchosenSet = w.allow + w.allowCount;
    w.unscoredSet = w.unchosenSet + w.unchosenCount;
    w.probe = w.unscoredSet + w.unscoredCount;
    set = w.probe + w.probeCount;
    w.banned = bitmap(w.suppressCount + w.allowCount);
    w.unchosen = bitmap(w.unchosenCount);
    w.unscored = bitmap(w.unscoredCount);
  }
}

// Working memory that serves one product after the other.
HeadState::Memory HeadState::makeMemory(CudaBackend& backend) const {
  Product most;
  for (const Product& p : products) {
    most.rows = std::max(most.rows, p.rowRoom());
    most.pairs = std::max(most.pairs, Product::roomFor(p.pairs));
    most.filtered = std::max(most.filtered, p.filteredRoom());
    most.listed = std::max(most.listed, p.listed);
    most.probed = std::max(most.probed, p.probed);
  }
  const size_t each = sizeOf(tiles);
  Memory memory;
  memory.parts = backend.scratch<HeadPart>(sizeOf(most.rows) * each);
  memory.klParts = backend.scratch<HeadKlPart>(sizeOf(most.pairs) * each);
  memory.kept = backend.scratch<HeadKept>(sizeOf(most.filtered) * each);
  memory.lists = backend.scratch<uint64_t>(entryRoom(sizeOf(most.listed)) * each);
  memory.probes = backend.scratch<float>(entryRoom(sizeOf(most.probed)));
  memory.whole = backend.scratch<float>(sizeOf(most.filtered) * each * kHeadTile);
  return memory;
}

// What of a row does not depend on the other rows.
HeadRowWork HeadState::rowWork(const HeadRow& row, const HeadOptions& o, Tensor x) const {
  HeadRowWork w{};
  w.hidden = x.slice(row.hidden, 1).data;
  if (row.unconditional >= 0) w.unconditional = x.slice(row.unconditional, 1).data;
  w.guidance = row.guidance;
  w.previous = row.previous;
  w.hasPrevious = isPair(row);
  w.options = row.options;
  w.position = row.position;
  w.list = listOf(o);
  w.width = widthOf(o);
  const auto begin = o.credits.begin();
  const auto first = std::partition_point(
      begin, o.credits.end(), [&](const Credit& c) { return c.position < row.position; });
  const auto end = std::partition_point(
      first, o.credits.end(), [&](const Credit& c) { return c.position == row.position; });
  w.credits = creditsAt[sizeOf(row.options)] + (first - begin);
  w.credited = static_cast<int32_t>(end - first);
  return w;
}

void HeadState::addRows(CudaBackend& backend, Tensor x, std::span<const HeadRow> given,
                        std::span<const HeadOptions> asked) {
  const Memory memory = makeMemory(backend);
  const size_t each = sizeOf(tiles);
  const Product& last = products.back();
  HeadRowWork absent{};
  absent.index = -1;
  rows.assign(sizeOf(last.firstRow + last.rowRoom()), absent);
  owners.assign(sizeOf(last.firstLine + last.lineRoom()), -1);
  filtered.assign(sizeOf(last.firstFiltered + last.filteredRoom()), -1);
  placed.assign(products.size(), {});
  int topAt = 0, probeAt = 0;
  float* logits = out.logits;
  for (size_t i = 0; i < given.size(); i++) {
    const HeadOptions& o = asked[sizeOf(given[i].options)];
    const Product& p = products[sizeOf(product[i])];
    Product& before = placed[sizeOf(product[i])];  // what of the product is there already
    const bool pair = isPair(given[i]);
    const int single = before.rows - before.pairs;
    const int at = pair ? before.pairs : p.pairs + single;

    HeadRowWork& w = rows[sizeOf(p.firstRow + at)];
    w = rowWork(given[i], o, x);
    w.index = static_cast<int32_t>(i);
    w.line = p.firstLine + (pair ? 2 * before.pairs : 2 * p.pairs + single);
    w.blank = at == p.rows - 1 ? p.lineRoom() - p.lines : 0;
    w.topAt = topAt;
    w.probeAt = probeAt;
    w.parts = memory.parts + sizeOf(at) * each;
    w.lists = memory.lists + sizeOf(before.listed) * each;
    w.probes = memory.probes + before.probed;
    if (pair) w.klParts = memory.klParts + sizeOf(before.pairs) * each;
    if (isFiltered(o)) {
      w.kept = memory.kept + sizeOf(before.filtered) * each;
      w.whole = memory.whole + sizeOf(before.filtered) * each * kHeadTile;
      filtered[sizeOf(p.firstFiltered + before.filtered++)] = at;
    }
    if (o.logits) {
      w.logits = logits;
      logits += vocabulary;
    }
    owners[sizeOf(w.line)] = at;

    before.rows++;
    before.pairs += pair;
    before.listed += w.width;
    before.probed += static_cast<int64_t>(o.probe.size());
    topAt += o.list;
    probeAt += static_cast<int>(o.probe.size());
  }
}

// Makes room in the result, and for it on the card.
void HeadState::addResult(CudaBackend& backend, HeadResult& to, std::span<const HeadRow> given,
                          std::span<const HeadOptions> asked) {
  size_t logitRows = 0;
  listed = probed = 0;
  bool kl = false;
  for (const HeadOptions& o : asked) kl |= o.kl;
  positions.clear();
  for (const HeadRow& row : given) {
    const HeadOptions& o = asked[sizeOf(row.options)];
    listed += sizeOf(o.list);
    probed += o.probe.size();
    logitRows += o.logits;
    positions.push_back(row.position);
  }
  const size_t n = given.size();
  const auto room = [&](auto& list, size_t count) {
    list.resize(entryRoom(count));
    return backend.fetch(std::span(list));
  };
  out = {};
  out.token = room(to.token, n);
  out.probability = room(to.probability, n);
  out.margin = room(to.margin, n);
  out.entropy = room(to.entropy, n);
  out.kl = room(to.kl, kl ? n : 0);
  out.topToken = room(to.topToken, listed);
  out.topProbability = room(to.topProbability, listed);
  out.probe = room(to.probe, probed);
  to.logits.resize(logitRows * sizeOf(vocabulary));
  out.logits = backend.fetch(std::span(to.logits));
}

// What end() does to the result, which has arrived: see entryRoom.
void HeadState::finish(HeadResult& result) const {
  const size_t n = positions.size();
  result.token.resize(n);
  result.probability.resize(n);
  result.margin.resize(n);
  result.entropy.resize(n);
  result.kl.resize(result.kl.empty() ? 0 : n);
  result.topToken.resize(listed);
  result.topProbability.resize(listed);
  result.probe.resize(probed);
  const auto none = std::find(result.token.begin(), result.token.end(), -1);
  if (none != result.token.end()) throw noToken(positions[sizeOf(none - result.token.begin())]);
}

}  // namespace lacuna::cuda
