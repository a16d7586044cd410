#pragma once
#include <atomic>
#include <span>
#include <vector>

#include "../model/forward.h"
#include "session.h"

namespace lacuna {

// Runs the steps of one model and keeps the memory that they need: a step of a shape that was seen
// before allocates nothing. One thread at a time.
class Stepper {
 public:
  explicit Stepper(Model& model) : model(model) {}

  // One forward over all requests, whose sessions belong to the model; one result for each. Rows
  // are overwritten in K/V even when `cancelled` (polled between layers) ends it with ABORTED;
  // canvases change only on success. `results` may be those of an earlier step, whose memory is
  // used again.
  void step(std::span<StepRequest> requests, std::vector<StepResult>& results,
            const std::atomic<bool>& cancelled);

 private:
  // One request laid out in the batch.
  struct Placed {
    // Rows that predict a reported position, ascending, then the source rows of the shadows; then
    // all other rows. `limit`: how many visible keys each may see.
    std::vector<int32_t> positions, limit;
    int sources = 0;           // rows that predict a position of `query`
    int live = 0;              // these and the shadows: rows that the head may need
    int firstRow = 0;          // of the live rows in the batch
    int unconditionalRow = 0;  // the same of the guidance's other session
    int rest() const { return static_cast<int>(positions.size()) - live; }
  };

  void queryMasked(StepRequest& request) const;
  bool idle() const;  // nothing is reported where only masked positions were asked for
  void place(Placed& placed, const StepRequest& request);
  void addSegments(bool live);
  int addSegment(const StepRequest& request, const Placed& placed, Session& session, bool live);
  void addSoft(const StepRequest& request, const Placed& placed, int firstRow, bool live);
  void addOptions(StepRequest& request);
  void addReports(StepRequest& request, const Placed& placed);
  int gather(int row);
  void prepareKl(StepRequest& request);
  void reportPositions(std::vector<StepResult>& results);
  void prepareCommits(std::vector<StepResult>& results);
  void split(std::vector<StepResult>& results);
  void takeCommits(std::vector<StepResult>& results);

  Model& model;
  std::span<StepRequest> requests;  // of the running step
  std::vector<Placed> placed;       // grows, never shrinks: segments point into it
  Batch batch;
  std::vector<HeadRow> reports;
  std::vector<HeadOptions> options;  // of each request its own, then one for each of its limits
  std::vector<int32_t> hidden;       // rows of x, gathered by the final norm
  HeadResult head;
  CommitBatch commits;
  std::vector<size_t> committing;     // requests that have a rule
  std::vector<size_t> committedRows;  // (committing) where their statistics begin in `head`
};

}  // namespace lacuna
