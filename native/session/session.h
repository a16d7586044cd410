#pragma once
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "../backend.h"
#include "../model/model.h"
#include "canvas.h"
#include "commit.h"

namespace lacuna {

// One canvas of tokens and one K/V row per position and layer. Not thread-safe: whoever owns it
// runs one operation at a time (the addon's BUSY flag).
class Session {
 public:
  Session(std::shared_ptr<Model> model, int length);  // all masks; OUT_OF_MEMORY

  const std::shared_ptr<Model> model;
  int length() const { return canvas.length(); }
  // The same canvas, K/V and hidden rows. The latter two are shared until one of the two is written
  // to: copying gigabytes is for the thread that steps, and a fork that never steps costs nothing.
  std::unique_ptr<Session> fork() const;
  void ownMemory();  // before writing to K/V or hidden rows; OUT_OF_MEMORY

  Canvas canvas;
  // (layers, 2) planes, see Segment; then room for a copy of the canvas
  std::shared_ptr<Memory> kv;
  // (length, dim) last reported hidden rows, made when KL is first asked
  std::shared_ptr<Memory> hidden;
  std::vector<uint8_t> hasHidden;  // (length)

  float* keys(int layer) const;
  float* values(int layer) const;
  size_t layerFloats() const;  // from one layer's keys to the next one's

 private:
  Session(const Session&) = default;
  void placeCopy();
};

struct SoftEntry {
  int32_t position = 0;
  float alpha = 0;
  std::vector<int32_t> tokens;
  std::vector<float> weights;
};

// Token sets of some positions, in place of the request's own.
struct Limit {
  std::vector<int32_t> positions;        // ascending, unique, in no other limit
  std::vector<int32_t> suppress, allow;  // as in HeadOptions
};

// StepRequest of lib/types.ts, validated (TypeScript) and resolved to plain lists.
struct StepRequest {
  Session* session = nullptr;
  std::vector<int32_t> rows;     // ascending, unique, in the canvas
  std::vector<int32_t> visible;  // ascending, unique
  std::vector<int32_t> query;    // reported positions, ascending, unique
  // In its place: the positions in here that hold MASK when the step begins, as far as the rows
  // that predict them are computed. A step that has nothing else to report then does nothing.
  std::optional<Span> masked;
  std::vector<int32_t> shadow;       // ascending, unique: reported after `query`, in this order
  Session* unconditional = nullptr;  // guidance: computed with the same rows, visible and query
  float guidance = 0;                // z = u + guidance · (c − u)
  std::vector<SoftEntry> soft;       // rows that hold MASK
  HeadOptions head;                  // spans point into the vectors below
  std::vector<int32_t> suppress, allow, unchosen, unscored, probe;
  std::vector<Limit> limits;
  std::vector<Credit> credits;
  std::optional<CommitRule> commit;
  std::vector<float> bias;
};

struct StepResult {
  std::vector<int32_t> position, token;  // query positions, then shadow positions
  std::vector<double> probability, margin, entropy;
  int list = 0, probes = 0;
  std::vector<int32_t> topToken;      // (n, list)
  std::vector<float> topProbability;  // (n, list)
  std::vector<float> probe;           // (n, probes)
  std::vector<float> kl;              // (n) or empty
  std::vector<float> logits;          // (n, vocabulary) or empty
  std::vector<int32_t> committed;     // positions, ascending
  Timing timing;                      // of the whole forward, the same for all its sessions
  int64_t rows = 0;                   // computed for this session
};

}  // namespace lacuna
