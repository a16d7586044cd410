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
  int stored = 0;  // rows that only store K/V, in a segment of their own over the same session
};

// One session: some rows of the canvas, its older K/V, what is seen.
struct Session {
  std::unique_ptr<Buffer> keys, values;
  std::vector<int32_t> positions, visible, limit, hidden, stored;
};

Session makeSession(Backend& backend, Random& random, const AttentionCase& c) {
  Session s;
  const int kvDim = c.kvHeads * c.headDim;
  const size_t floats = static_cast<size_t>(c.length) * static_cast<size_t>(kvDim);
  s.keys = std::make_unique<Buffer>(backend, random.normals(floats), c.length, kvDim);
  s.values = std::make_unique<Buffer>(backend, random.normals(floats), c.length, kvDim);
  s.positions = random.subset(c.length, c.rows + c.stored);
  for (int i = 0; i < c.stored; i++) {  // rows of both kinds lie among each other
    const auto at = s.positions.begin() + random.below(static_cast<int>(s.positions.size()));
    s.stored.push_back(*at);
    s.positions.erase(at);
  }
  s.visible = random.subset(c.length, c.visible);
  if (c.visible < c.length) {  // a row always sees itself
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

Output runAttention(Backend& backend, const AttentionCase& c) {
  Random random(static_cast<uint64_t>(c.length * 131 + c.rows));
  const int perSegment = c.rows + c.shadows, n = perSegment * c.segments;
  const int stored = n + c.stored * c.segments;
  const int dim = c.heads * c.headDim, kvDim = c.kvHeads * c.headDim;
  const auto buffer = [&](int rows, int cols) {
    return Buffer(backend, random.normals(static_cast<size_t>(rows) * static_cast<size_t>(cols)),
                  rows, cols);
  };
  const Buffer q = buffer(n, dim), k = buffer(stored, kvDim), v = buffer(stored, kvDim),
               o = buffer(n, dim);
  std::vector<Session> sessions;
  std::vector<Segment> segments;
  for (int i = 0; i < c.segments; i++) sessions.push_back(makeSession(backend, random, c));
  for (int i = 0; i < c.segments; i++) {
    Session& s = sessions[static_cast<size_t>(i)];
    Segment segment;
    segment.keys = s.keys->tensor.data;
    segment.values = s.values->tensor.data;
    segment.length = c.length;
    segment.firstRow = i * perSegment;
    segment.rows = perSegment;
    segment.shadows = c.shadows;
    segment.positions = s.positions.data();
    segment.visible = s.visible.data();
    segment.visibleCount = static_cast<int>(s.visible.size());
    segment.limit = s.limit.data();
    segment.hidden = s.hidden.data();
    segments.push_back(segment);
  }
  for (int i = 0; i < c.segments && c.stored; i++) {
    const Session& s = sessions[static_cast<size_t>(i)];
    Segment segment;
    segment.keys = s.keys->tensor.data;
    segment.values = s.values->tensor.data;
    segment.length = c.length;
    segment.firstRow = n + i * c.stored;
    segment.rows = c.stored;
    segment.storeOnly = true;
    segment.positions = s.stored.data();
    segments.push_back(segment);
  }
  const AttentionShape shape{c.heads, c.kvHeads, c.headDim,
                             1 / std::sqrt(static_cast<float>(c.headDim))};
  backend.begin();
  backend.attend(o.tensor, q.tensor, k.tensor, v.tensor, segments, shape);
  backend.end();
  Output output = ops::output(o);
  for (const Session& s : sessions) {  // what attend wrote
    const std::vector<float> keys = s.keys->read(), values = s.values->read();
    output.values.insert(output.values.end(), keys.begin(), keys.end());
    output.values.insert(output.values.end(), values.begin(), values.end());
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
      {"causal", 2, 2, 32, 150, 150, 0, 150, 1},
      {"block-causal, block only", 2, 2, 32, 160, 32, 0, 160, 32},
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
  }
}

}  // namespace lacuna::ops
