// Cases of attend.
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "ops.h"

namespace lacuna::ops {
namespace {

struct AttentionCase {
  std::string name;
  int heads, kvHeads, headDim;
  int length, rows, shadows;
  int visible;  // how many of the keys, chosen at random but with the rows' own positions
  int block;    // 0: every row sees all; else limits as in block-causal attention
  int segments = 1;
  int stored = 0;       // rows that only store K/V, in a segment of their own over the same session
  bool prefix = false;  // the first `visible` keys instead
};

AttentionShape shapeOf(const AttentionCase& c) {
  return {c.heads, c.kvHeads, c.headDim, 1 / std::sqrt(static_cast<float>(c.headDim))};
}

// One session: its K/V, some rows of the canvas, what they see.
struct Session {
  MemoryPtr keys, values;
  std::vector<int32_t> positions, visible, limit, hidden, stored;

  Segment segment(int length) const {
    Segment segment;
    segment.keys = keys->data;
    segment.values = values->data;
    segment.length = length;
    segment.positions = positions.data();
    segment.rows = static_cast<int>(positions.size());
    segment.shadows = static_cast<int>(hidden.size());
    segment.visible = visible.data();
    segment.visibleCount = static_cast<int>(visible.size());
    segment.limit = limit.data();
    segment.hidden = hidden.data();
    return segment;
  }
};

std::vector<int32_t> upTo(int n) {
  std::vector<int32_t> all(static_cast<size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

Buffer normals(Backend& backend, Random& random, int rows, int cols) {
  return {backend, random.normals(static_cast<size_t>(rows) * static_cast<size_t>(cols)), rows,
          cols};
}

// The order of K/V is the backend's own, so attend itself writes what the canvas holds at first.
void fill(Backend& backend, Random& random, const AttentionCase& c, const Session& s) {
  const Buffer k = normals(backend, random, c.length, c.kvHeads * c.headDim),
               v = normals(backend, random, c.length, c.kvHeads * c.headDim);
  const std::vector<int32_t> all = upTo(c.length);
  Segment segment = s.segment(c.length);
  segment.positions = all.data();
  segment.rows = c.length;
  segment.shadows = 0;
  segment.storeOnly = true;
  const Tensor none{nullptr, 0, c.heads * c.headDim};
  backend.begin();
  backend.attend(none, none, k.tensor, v.tensor, {&segment, 1}, shapeOf(c));
  backend.end();
}

Session makeSession(Backend& backend, Random& random, const AttentionCase& c) {
  Session s;
  const size_t floats = static_cast<size_t>(planeRows(c.length) * c.kvHeads * c.headDim);
  s.keys = backend.alloc(floats);
  s.values = backend.alloc(floats);
  fill(backend, random, c, s);
  s.positions = random.subset(c.length, c.rows + c.stored);
  for (int i = 0; i < c.stored; i++) {  // rows of both kinds lie among each other
    const auto at = s.positions.begin() + random.below(static_cast<int>(s.positions.size()));
    s.stored.push_back(*at);
    s.positions.erase(at);
  }
  s.visible = c.prefix ? upTo(c.visible) : random.subset(c.length, c.visible);
  if (!c.prefix && c.visible < c.length) {  // a row always sees itself
    s.visible.insert(s.visible.end(), s.positions.begin(), s.positions.end());
    std::sort(s.visible.begin(), s.visible.end());
    s.visible.erase(std::unique(s.visible.begin(), s.visible.end()), s.visible.end());
  }
  const std::vector<int32_t> shadows = random.subset(c.length, c.shadows);
  s.positions.insert(s.positions.end(), shadows.begin(), shadows.end());
  for (size_t i = 0; i < s.positions.size(); i++) {
    const int32_t end = c.block ? (s.positions[i] / c.block + 1) * c.block : c.length;
    s.limit.push_back(static_cast<int32_t>(
        std::lower_bound(s.visible.begin(), s.visible.end(), end) - s.visible.begin()));
  }
  // Half of the shadow rows leave out the next position instead of their own.
  for (size_t i = 0; i < shadows.size(); i++) {
    s.hidden.push_back(i % 2 ? std::min(shadows[i] + 1, c.length - 1) : shadows[i]);
  }
  return s;
}

// What a session's K/V make of some shadow rows, which write nothing themselves.
std::vector<double> look(Backend& backend, const AttentionCase& c, const Session& s) {
  const int rows = 8, kvDim = c.kvHeads * c.headDim;
  Random random(5);
  const Buffer q = normals(backend, random, rows, c.heads * c.headDim),
               k = normals(backend, random, rows, kvDim), v = normals(backend, random, rows, kvDim),
               o = normals(backend, random, rows, c.heads * c.headDim);
  Session seer;
  seer.visible = upTo(c.length);
  seer.limit.assign(rows, c.length);
  for (int i = 0; i < rows; i++) seer.hidden.push_back(random.below(c.length));
  seer.positions = seer.hidden;
  Segment segment = s.segment(c.length);
  segment.rows = segment.shadows = rows;
  segment.positions = seer.positions.data();
  segment.hidden = seer.hidden.data();
  segment.visible = seer.visible.data();
  segment.visibleCount = c.length;
  segment.limit = seer.limit.data();
  backend.begin();
  backend.attend(o.tensor, q.tensor, k.tensor, v.tensor, {&segment, 1}, shapeOf(c));
  backend.end();
  return ops::output(o).values;
}

Output runAttention(Backend& backend, const AttentionCase& c) {
  Random random(static_cast<uint64_t>(c.length * 131 + c.rows));
  const int perSegment = c.rows + c.shadows, n = perSegment * c.segments;
  const int stored = n + c.stored * c.segments;
  const int dim = c.heads * c.headDim, kvDim = c.kvHeads * c.headDim;
  const Buffer q = normals(backend, random, n, dim), k = normals(backend, random, stored, kvDim),
               v = normals(backend, random, stored, kvDim), o = normals(backend, random, n, dim);
  std::vector<Session> sessions;
  for (int i = 0; i < c.segments; i++) sessions.push_back(makeSession(backend, random, c));
  std::vector<Segment> segments;
  for (const Session& s : sessions) {
    segments.push_back(s.segment(c.length));
    segments.back().firstRow = static_cast<int>(segments.size() - 1) * perSegment;
  }
  for (int i = 0; i < c.segments && c.stored; i++) {
    const Session& s = sessions[static_cast<size_t>(i)];
    Segment segment = s.segment(c.length);
    segment.firstRow = n + i * c.stored;
    segment.positions = s.stored.data();
    segment.rows = c.stored;
    segment.shadows = 0;
    segment.storeOnly = true;
    segments.push_back(segment);
  }
  backend.begin();
  backend.attend(o.tensor, q.tensor, k.tensor, v.tensor, segments, shapeOf(c));
  backend.end();
  Output output = ops::output(o);
  for (const Session& s : sessions) {  // what attend wrote
    const std::vector<double> seen = look(backend, c, s);
    output.values.insert(output.values.end(), seen.begin(), seen.end());
  }
  return output;
}

}  // namespace

void addAttentionCases(std::vector<Case>& cases) {
  const AttentionCase table[] = {
      {"one row", 2, 2, 32, 1, 1, 0, 1, 0},
      {"full 40", 4, 4, 32, 40, 40, 0, 40, 0},
      {"full 300, grouped heads", 6, 2, 64, 300, 300, 0, 300, 0},
      {"head of 80", 2, 1, 80, 130, 70, 0, 130, 0},
      {"head of 128", 2, 2, 128, 128, 128, 0, 128, 0},
      {"head of 256", 3, 1, 256, 100, 20, 3, 60, 0},
      {"causal", 2, 2, 32, 150, 150, 0, 150, 1},
      {"block-causal, block only", 2, 2, 32, 160, 32, 0, 160, 32},
      {"head of 20", 2, 2, 20, 70, 9, 3, 70, 0},
      {"one row, grouped heads", 8, 1, 64, 700, 1, 0, 700, 0},
      {"the first keys", 4, 2, 32, 260, 20, 2, 131, 0, 1, 0, true},
      {"few listed keys", 3, 1, 32, 900, 4, 2, 5, 0},
      {"long", 2, 1, 64, 1500, 50, 2, 1500, 0},
      {"listed keys", 4, 2, 32, 300, 17, 0, 90, 0},
      {"listed keys, causal", 4, 2, 32, 300, 17, 0, 90, 1},
      {"shadow rows", 4, 2, 32, 140, 140, 23, 140, 0},
      {"shadow rows alone", 4, 2, 32, 140, 0, 9, 140, 0},
      {"shadow rows, causal", 2, 2, 32, 60, 60, 60, 60, 1},
      {"three sessions", 4, 2, 32, 70, 20, 3, 40, 8, 3},
      {"rows that only store", 4, 2, 32, 90, 40, 0, 90, 0, 1, 50},
      {"two sessions with rows that only store", 2, 1, 64, 150, 20, 5, 150, 0, 2, 30},
  };
  for (const AttentionCase& c : table) {
    cases.push_back(
        {"attend " + c.name, 2e-6, false, [c](Backend& b) { return runAttention(b, c); }});
    cases.back().cardTolerance = 1e-5;  // tensor cores cut sums off where others round
  }
}

}  // namespace lacuna::ops
