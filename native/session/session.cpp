#include "session.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "../error.h"
#include "../model/forward.h"

namespace lacuna {
namespace {

// Floats of the keys, or values, of one layer.
size_t planeFloats(const ModelSpec& spec, int length) {
  return static_cast<size_t>(spec.kvHeads) * static_cast<size_t>(spec.headDim) *
         static_cast<size_t>(planeRows(length));
}

[[noreturn]] void invalid(const std::string& message) {
  throw Error(Code::invalidArgument, message);
}

// The row whose hidden state predicts `position`.
int32_t sourceOf(const ModelSpec& spec, int32_t position) {
  return std::max(position - spec.logitShift, 0);
}

// One request laid out in the batch: where its rows begin, for itself and for its unconditional
// twin.
struct Placed {
  int firstRow = 0;
  int unconditionalRow = -1;
  std::vector<int32_t> positions;  // rows, then the source rows of the shadows
  std::vector<int32_t> limit;      // (positions) how many visible keys each may see
};

int rowIndex(const StepRequest& request, int32_t source, int32_t position) {
  const auto at = std::lower_bound(request.rows.begin(), request.rows.end(), source);
  if (at == request.rows.end() || *at != source)
    invalid("query holds position " + std::to_string(position) + ", which is predicted from row " +
            std::to_string(source) + "; add that row to rows");
  return static_cast<int>(at - request.rows.begin());
}

Placed place(const ModelSpec& spec, const StepRequest& request) {
  Placed placed;
  placed.positions = request.rows;
  for (int32_t position : request.shadow) placed.positions.push_back(sourceOf(spec, position));
  const int block = spec.attention.block;
  for (size_t r = 0; r < placed.positions.size(); r++) {
    const int64_t end = block == 0 ? INT64_MAX : (placed.positions[r] / block + int64_t{1}) * block;
    const auto last = std::lower_bound(request.visible.begin(), request.visible.end(), end);
    placed.limit.push_back(static_cast<int32_t>(last - request.visible.begin()));
    if (placed.limit.back() == 0 && r < request.rows.size())
      invalid("visible leaves row " + std::to_string(placed.positions[r]) + " without any key");
  }
  return placed;
}

// Adds the rows of one canvas to the batch; returns the index of the first.
int addSegment(Batch& batch, const ModelSpec& spec, const StepRequest& request,
               const Placed& placed, const Session& session) {
  const int first = static_cast<int>(batch.tokens.size());
  for (size_t r = 0; r < placed.positions.size(); r++) {
    const int32_t position = placed.positions[r];
    const bool isShadow = r >= request.rows.size();
    const bool masked = isShadow && request.shadow[r - request.rows.size()] == position;
    const int32_t token = masked ? spec.mask : session.canvas[static_cast<size_t>(position)];
    if (token < 0)  // an unset position of a model without a mask token
      invalid("position " + std::to_string(position) +
              " holds no token and the model has no mask token; set its token first, or load the "
              "model with the option maskToken");
    batch.tokens.push_back(token);
    batch.positions.push_back(position);
  }
  Segment segment;
  segment.keys = session.keys(0);
  segment.values = session.values(0);
  segment.length = session.length();
  segment.firstRow = first;
  segment.rows = static_cast<int>(placed.positions.size());
  segment.shadows = static_cast<int>(request.shadow.size());
  segment.positions = placed.positions.data();
  segment.visible = request.visible.data();
  segment.visibleCount = static_cast<int>(request.visible.size());
  segment.limit = placed.limit.data();
  segment.hidden = request.shadow.data();
  batch.segments.push_back(segment);
  batch.layerStride.push_back(2 * planeFloats(spec, session.length()));
  return first;
}

// Soft entries of rows that are computed and still masked.
void addSoft(Batch& batch, const ModelSpec& spec, const StepRequest& request, int firstRow) {
  for (const SoftEntry& entry : request.soft) {
    const auto at = std::lower_bound(request.rows.begin(), request.rows.end(), entry.position);
    if (at == request.rows.end() || *at != entry.position) continue;
    const int row = firstRow + static_cast<int>(at - request.rows.begin());
    if (batch.tokens[static_cast<size_t>(row)] != spec.mask) continue;
    batch.soft.push_back({row, entry.alpha, spec.mask, static_cast<int>(entry.tokens.size()),
                          entry.tokens.data(), entry.weights.data()});
  }
}

// The head's work list, and which hidden rows it needs.
struct Reports {
  std::vector<HeadRow> rows;
  std::vector<HeadOptions> options;
  std::vector<int32_t> hidden;  // rows of x, gathered by the final norm
};

int gather(Reports& reports, int row) {
  reports.hidden.push_back(row);
  return static_cast<int>(reports.hidden.size()) - 1;
}

void addReports(Reports& reports, const ModelSpec& spec, StepRequest& request,
                const Placed& placed) {
  HeadOptions& options = request.head;
  options.suppress = request.suppress;
  options.allow = request.allow;
  options.unchosen = request.unchosen;
  options.unscored = request.unscored;
  options.probe = request.probe;
  options.credits = request.credits;
  reports.options.push_back(options);

  const auto add = [&](int32_t position, int row, bool remember) {
    HeadRow report;
    report.options = static_cast<int>(reports.options.size()) - 1;
    report.position = position;
    report.hidden = gather(reports, placed.firstRow + row);
    if (request.unconditional) {
      report.unconditional = gather(reports, placed.unconditionalRow + row);
      report.guidance = request.guidance;
    }
    if (options.kl && remember) {
      Session& session = *request.session;
      report.previous = session.hidden->data + static_cast<size_t>(position) * spec.dim;
      report.hasPrevious = session.hasHidden[static_cast<size_t>(position)];
    }
    reports.rows.push_back(report);
  };
  for (int32_t position : request.query)
    add(position, rowIndex(request, sourceOf(spec, position), position), true);
  for (size_t s = 0; s < request.shadow.size(); s++)
    add(request.shadow[s], static_cast<int>(request.rows.size() + s), false);
}

void prepareKl(Model& model, StepRequest& request) {
  Session& session = *request.session;
  if (!request.head.kl || session.hidden) return;
  const size_t floats = static_cast<size_t>(session.length()) * static_cast<size_t>(model.spec.dim);
  session.hidden = model.backend->alloc(floats);
  session.hasHidden.assign(session.canvas.size(), 0);
}

template <typename T>
std::vector<T> take(const std::vector<T>& from, size_t& offset, size_t count) {
  const auto first = from.begin() + static_cast<std::ptrdiff_t>(offset);
  offset += count;
  return {first, first + static_cast<std::ptrdiff_t>(count)};
}

// Cuts the head's arrays, which run over all sessions, into one result per request.
std::vector<StepResult> split(const HeadResult& head, const ModelSpec& spec,
                              std::span<StepRequest> requests) {
  std::vector<StepResult> results;
  size_t row = 0, top = 0, topP = 0, probe = 0, logits = 0;
  for (const StepRequest& request : requests) {
    StepResult result;
    result.position = request.query;
    result.position.insert(result.position.end(), request.shadow.begin(), request.shadow.end());
    const size_t n = result.position.size();
    const auto cut = [&](const auto& from) {
      size_t offset = row;
      return take(from, offset, n);
    };
    result.token = cut(head.token);
    result.probability = cut(head.probability);
    result.margin = cut(head.margin);
    result.entropy = cut(head.entropy);
    if (request.head.kl) result.kl = cut(head.kl);
    row += n;
    result.list = request.head.list;
    result.probes = static_cast<int>(request.probe.size());
    result.topToken = take(head.topToken, top, n * static_cast<size_t>(result.list));
    result.topProbability = take(head.topProbability, topP, n * static_cast<size_t>(result.list));
    result.probe = take(head.probe, probe, n * request.probe.size());
    if (request.head.logits)
      result.logits = take(head.logits, logits, n * static_cast<size_t>(spec.vocabulary));
    result.rows = static_cast<int64_t>(request.rows.size() + request.shadow.size());
    results.push_back(std::move(result));
  }
  return results;
}

void commitAll(Model& model, std::span<StepRequest> requests, std::vector<StepResult>& results) {
  CommitBatch batch;
  std::vector<size_t> owner;
  for (size_t i = 0; i < requests.size(); i++) {
    const StepRequest& request = requests[i];
    if (!request.commit) continue;
    const size_t n = request.query.size();  // shadow rows are never committed
    CommitItem item;
    item.rule = *request.commit;
    item.rule.bias = request.bias;
    item.canvas = request.session->canvas;
    item.mask = model.spec.mask;
    item.positions = std::span(results[i].position).first(n);
    item.token = std::span(results[i].token).first(n);
    item.probability = std::span(results[i].probability).first(n);
    item.margin = std::span(results[i].margin).first(n);
    item.entropy = std::span(results[i].entropy).first(n);
    batch.items.push_back(std::move(item));
    owner.push_back(i);
  }
  if (batch.items.empty()) return;
  model.backend->commit(batch);
  for (size_t k = 0; k < owner.size(); k++) {
    StepRequest& request = requests[owner[k]];
    results[owner[k]].committed = std::move(batch.items[k].committed);
    if (!request.unconditional) continue;
    for (int32_t position : results[owner[k]].committed)
      request.unconditional->canvas[static_cast<size_t>(position)] =
          request.session->canvas[static_cast<size_t>(position)];
  }
}

// Ends the backend's step on every way out.
struct StepBracket {
  explicit StepBracket(Backend& backend) : backend(backend) { backend.begin(); }
  ~StepBracket() { backend.end(); }
  StepBracket(const StepBracket&) = delete;
  StepBracket& operator=(const StepBracket&) = delete;
  Backend& backend;
};

}  // namespace

Session::Session(std::shared_ptr<Model> owner, int length)
    : model(std::move(owner)), canvas(static_cast<size_t>(length), model->spec.mask) {
  const ModelSpec& spec = model->spec;
  kv = model->backend->alloc(2 * static_cast<size_t>(spec.layers) * planeFloats(spec, length));
}

std::unique_ptr<Session> Session::fork() const {
  auto copy = std::make_unique<Session>(model, length());
  copy->canvas = canvas;
  copy->kv = model->backend->alloc(kv->count, kv.get());
  if (hidden) copy->hidden = model->backend->alloc(hidden->count, hidden.get());
  copy->hasHidden = hasHidden;
  return copy;
}

float* Session::keys(int layer) const {
  return kv->data + 2 * planeFloats(model->spec, length()) * static_cast<size_t>(layer);
}

float* Session::values(int layer) const { return keys(layer) + planeFloats(model->spec, length()); }

std::vector<StepResult> step(Model& model, std::span<StepRequest> requests,
                             const std::atomic<bool>& cancelled) {
  const ModelSpec& spec = model.spec;
  std::vector<Placed> placed;
  placed.reserve(requests.size());  // segments point into it
  Batch batch;
  Reports reports;
  for (StepRequest& request : requests) {
    prepareKl(model, request);
    Placed& at = placed.emplace_back(place(spec, request));
    at.firstRow = addSegment(batch, spec, request, at, *request.session);
    addSoft(batch, spec, request, at.firstRow);
    if (request.unconditional) {
      at.unconditionalRow = addSegment(batch, spec, request, at, *request.unconditional);
      addSoft(batch, spec, request, at.unconditionalRow);
    }
    addReports(reports, spec, request, at);
  }
  model.reserve(static_cast<int>(std::max(batch.tokens.size(), reports.hidden.size())));

  HeadResult head;
  std::vector<StepResult> results;
  {
    StepBracket bracket(*model.backend);
    if (!batch.tokens.empty()) forward(model, batch, cancelled);
    if (!reports.rows.empty()) {
      const Tensor reported =
          model.activations.reported.slice(0, static_cast<int>(reports.hidden.size()));
      model.backend->norm(reported, model.activations.x, *model.weights.finalNorm, spec.normEps,
                          reports.hidden);
      model.backend->head(head, reported, *model.weights.head, reports.rows, reports.options);
    }
    if (cancelled) throw Error(Code::aborted, "the step was aborted");
    results = split(head, spec, requests);
    commitAll(model, requests, results);
  }
  for (size_t i = 0; i < requests.size(); i++) {
    results[i].timing = model.backend->timing();
    if (!requests[i].head.kl) continue;
    for (int32_t position : requests[i].query)
      requests[i].session->hasHidden[static_cast<size_t>(position)] = 1;
  }
  return results;
}

}  // namespace lacuna
