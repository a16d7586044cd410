#include "stepper.h"

#include <algorithm>

#include "../error.h"

namespace lacuna {
namespace {

[[noreturn]] void invalid(const std::string& message) {
  throw Error(Code::invalidArgument, message);
}

// The row whose hidden state predicts `position`.
int32_t sourceOf(const ModelSpec& spec, int32_t position) {
  return std::max(position - spec.logitShift, 0);
}

}  // namespace

void Stepper::queryMasked(StepRequest& request) const {
  const Canvas& canvas = request.session->canvas;
  request.query.clear();
  for (int position = request.masked->begin; position < request.masked->end; position++) {
    const int32_t source = sourceOf(model.spec, position);
    if (canvas[position] == model.spec.mask &&
        std::binary_search(request.rows.begin(), request.rows.end(), source))
      request.query.push_back(position);
  }
}

bool Stepper::idle() const {
  return std::all_of(requests.begin(), requests.end(), [](const StepRequest& request) {
    return request.masked && request.query.empty() && request.shadow.empty();
  });
}

void Stepper::place(Placed& at, const StepRequest& request) {
  const ModelSpec& spec = model.spec;
  at.positions.clear();
  at.limit.clear();
  for (int32_t position : request.query) {
    const int32_t source = sourceOf(spec, position);
    if (!std::binary_search(request.rows.begin(), request.rows.end(), source))
      invalid("query holds position " + std::to_string(position) +
              ", which is predicted from row " + std::to_string(source) + "; add that row to rows");
    // With a logit shift, row 0 predicts both position 0 and position 1.
    if (at.positions.empty() || at.positions.back() != source) at.positions.push_back(source);
  }
  at.sources = static_cast<int>(at.positions.size());
  for (int32_t position : request.shadow) at.positions.push_back(sourceOf(spec, position));
  at.live = static_cast<int>(at.positions.size());
  for (int32_t row : request.rows) {
    const auto sources = at.positions.begin();
    if (!std::binary_search(sources, sources + at.sources, row)) at.positions.push_back(row);
  }

  const int block = spec.attention.block;
  const auto limitOf = [&](int32_t position) {
    const int64_t end = block == 0 ? INT64_MAX : (position / block + int64_t{1}) * block;
    const auto last = std::lower_bound(request.visible.begin(), request.visible.end(), end);
    return static_cast<int32_t>(last - request.visible.begin());
  };
  // A shadow row has its own key; of the others, the first sees the fewest.
  if (!request.rows.empty() && limitOf(request.rows.front()) == 0)
    invalid("visible leaves row " + std::to_string(request.rows.front()) + " without any key");
  for (int32_t position : at.positions) at.limit.push_back(limitOf(position));
}

// Adds the live or the other rows of one canvas to the batch; returns the index of the first.
int Stepper::addSegment(const StepRequest& request, const Placed& at, Session& session, bool live) {
  const ModelSpec& spec = model.spec;
  const int begin = live ? 0 : at.live, count = live ? at.live : at.rest();
  const int first = static_cast<int>(batch.tokens.size());
  if (count == 0) return first;
  for (int r = begin; r < begin + count; r++) {
    const int32_t position = at.positions[static_cast<size_t>(r)];
    const bool shadow = live && r >= at.sources;
    const bool masked = shadow && request.shadow[static_cast<size_t>(r - at.sources)] == position;
    const int32_t token = masked ? spec.mask : session.canvas[position];
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
  segment.canvas = &session.canvas;
  segment.length = session.length();
  segment.firstRow = first;
  segment.rows = count;
  segment.shadows = live ? at.live - at.sources : 0;
  segment.positions = at.positions.data() + begin;
  segment.visible = request.visible.data();
  segment.visibleCount = static_cast<int>(request.visible.size());
  segment.limit = at.limit.data() + begin;
  segment.hidden = request.shadow.data();
  batch.segments.push_back(segment);
  batch.layerStride.push_back(session.layerFloats());
  return first;
}

// The live rows of every session come first, so that the last layer can leave out the others.
void Stepper::addSegments(bool live) {
  for (size_t i = 0; i < requests.size(); i++) {
    StepRequest& request = requests[i];
    Placed& at = placed[i];
    const int first = addSegment(request, at, *request.session, live);
    addSoft(request, at, first, live);
    int twin = first;
    if (request.unconditional) {
      twin = addSegment(request, at, *request.unconditional, live);
      addSoft(request, at, twin, live);
    }
    if (!live) continue;
    at.firstRow = first;
    at.unconditionalRow = twin;
  }
}

// Soft entries of rows that are computed and still masked.
void Stepper::addSoft(const StepRequest& request, const Placed& at, int firstRow, bool live) {
  const auto begin = at.positions.begin() + (live ? 0 : at.live);
  const auto end = live ? begin + at.sources : at.positions.end();
  for (const SoftEntry& entry : request.soft) {
    const auto found = std::lower_bound(begin, end, entry.position);
    if (found == end || *found != entry.position) continue;
    const int row = firstRow + static_cast<int>(found - begin);
    if (batch.tokens[static_cast<size_t>(row)] != model.spec.mask) continue;
    batch.soft.push_back({row, entry.alpha, model.spec.mask, static_cast<int>(entry.tokens.size()),
                          entry.tokens.data(), entry.weights.data()});
  }
}

int Stepper::gather(int row) {
  hidden.push_back(row);
  return static_cast<int>(hidden.size()) - 1;
}

void Stepper::addOptions(StepRequest& request) {
  HeadOptions& wanted = request.head;
  wanted.suppress = request.suppress;
  wanted.allow = request.allow;
  wanted.unchosen = request.unchosen;
  wanted.unscored = request.unscored;
  wanted.probe = request.probe;
  wanted.credits = request.credits;
  options.push_back(wanted);
  // Also those of positions that are not reported: the step keeps its shape as a canvas fills.
  for (const Limit& limit : request.limits) {
    options.push_back(wanted);
    options.back().suppress = limit.suppress;
    options.back().allow = limit.allow;
  }
}

void Stepper::addReports(StepRequest& request, const Placed& at) {
  const int first = static_cast<int>(options.size());
  addOptions(request);
  const HeadOptions& wanted = request.head;
  const auto optionsOf = [&](int32_t position) {
    int index = first;
    for (const Limit& limit : request.limits) {
      index++;
      if (std::binary_search(limit.positions.begin(), limit.positions.end(), position))
        return index;
    }
    return first;
  };
  const auto add = [&](int32_t position, int row, bool remember) {
    HeadRow report;
    report.options = optionsOf(position);
    report.position = position;
    report.hidden = gather(at.firstRow + row);
    if (request.unconditional) {
      report.unconditional = gather(at.unconditionalRow + row);
      report.guidance = request.guidance;
    }
    if (wanted.kl && remember) {
      Session& session = *request.session;
      const size_t dim = static_cast<size_t>(model.spec.dim);
      report.previous = session.hidden->data + static_cast<size_t>(position) * dim;
      report.hasPrevious = session.hasHidden[static_cast<size_t>(position)];
    }
    reports.push_back(report);
  };
  const auto sources = at.positions.begin();
  for (int32_t position : request.query) {
    const int32_t source = sourceOf(model.spec, position);
    const auto row = std::lower_bound(sources, sources + at.sources, source);
    add(position, static_cast<int>(row - sources), true);
  }
  for (size_t s = 0; s < request.shadow.size(); s++)
    add(request.shadow[s], at.sources + static_cast<int>(s), false);
}

void Stepper::prepareKl(StepRequest& request) {
  Session& session = *request.session;
  if (!request.head.kl || session.hidden) return;
  const size_t floats = static_cast<size_t>(session.length()) * static_cast<size_t>(model.spec.dim);
  session.hidden = model.backend->alloc(floats);
  session.hasHidden.assign(static_cast<size_t>(session.length()), 0);
}

void Stepper::reportPositions(std::vector<StepResult>& results) {
  for (size_t i = 0; i < requests.size(); i++) {
    const StepRequest& request = requests[i];
    std::vector<int32_t>& position = results[i].position;
    position.assign(request.query.begin(), request.query.end());
    position.insert(position.end(), request.shadow.begin(), request.shadow.end());
  }
}

// Cuts the head's arrays, which run over all sessions, into one result per request.
void Stepper::split(std::vector<StepResult>& results) {
  size_t row = 0, top = 0, probe = 0, logits = 0;
  const auto cut = [](auto& to, const auto& from, size_t first, size_t count) {
    const auto begin = from.begin() + static_cast<std::ptrdiff_t>(first);
    to.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
  };
  for (size_t i = 0; i < requests.size(); i++) {
    const StepRequest& request = requests[i];
    StepResult& result = results[i];
    const size_t n = result.position.size();
    cut(result.token, head.token, row, n);
    cut(result.probability, head.probability, row, n);
    cut(result.margin, head.margin, row, n);
    cut(result.entropy, head.entropy, row, n);
    cut(result.kl, head.kl, row, request.head.kl ? n : 0);
    row += n;
    result.list = request.head.list;
    result.probes = static_cast<int>(request.probe.size());
    const size_t listed = n * static_cast<size_t>(result.list), probed = n * request.probe.size();
    const size_t kept =
        request.head.logits ? n * static_cast<size_t>(model.spec.vocabulary) : size_t{0};
    cut(result.topToken, head.topToken, top, listed);
    cut(result.topProbability, head.topProbability, top, listed);
    cut(result.probe, head.probe, probe, probed);
    cut(result.logits, head.logits, logits, kept);
    top += listed;
    probe += probed;
    logits += kept;
    result.rows = static_cast<int64_t>(request.rows.size() + request.shadow.size());
  }
}

void Stepper::prepareCommits(std::vector<StepResult>& results) {
  committing.clear();
  committedRows.clear();
  size_t row = 0;
  for (size_t i = 0; i < requests.size(); i++) {
    results[i].committed.clear();
    if (requests[i].commit) {
      committing.push_back(i);
      committedRows.push_back(row);
    }
    row += results[i].position.size();
  }
  commits.items.resize(committing.size());
  for (size_t k = 0; k < committing.size(); k++) {
    const StepRequest& request = requests[committing[k]];
    StepResult& result = results[committing[k]];
    const size_t n = request.query.size();  // shadow rows are never committed
    CommitItem& item = commits.items[k];
    item.rule = *request.commit;
    item.rule.bias = request.bias;
    item.canvas = &request.session->canvas;
    item.mask = model.spec.mask;
    item.positions = std::span(result.position).first(n);
    item.head = &head;
    item.first = committedRows[k];
    item.committed.swap(result.committed);
  }
}

void Stepper::takeCommits(std::vector<StepResult>& results) {
  for (size_t k = 0; k < committing.size(); k++) {
    StepRequest& request = requests[committing[k]];
    StepResult& result = results[committing[k]];
    result.committed.swap(commits.items[k].committed);
    if (!request.unconditional) continue;
    for (int32_t position : result.committed)
      request.unconditional->canvas.write(position, request.session->canvas[position]);
  }
}

void Stepper::step(std::span<StepRequest> asked, std::vector<StepResult>& results,
                   const std::atomic<bool>& cancelled) {
  requests = asked;
  if (placed.size() < requests.size()) placed.resize(requests.size());
  results.resize(requests.size());
  batch.clear();
  reports.clear();
  options.clear();
  hidden.clear();
  for (StepRequest& request : requests) {
    if (request.masked) queryMasked(request);
  }
  if (idle()) {
    for (StepResult& result : results) result = {};
    return;
  }
  for (size_t i = 0; i < requests.size(); i++) {
    requests[i].session->ownMemory();
    if (requests[i].unconditional) requests[i].unconditional->ownMemory();
    prepareKl(requests[i]);
    place(placed[i], requests[i]);
  }
  addSegments(true);
  batch.live = static_cast<int>(batch.tokens.size());
  addSegments(false);
  for (size_t i = 0; i < requests.size(); i++) addReports(requests[i], placed[i]);
  while (hidden.size() % static_cast<size_t>(model.backend->rowGroup())) gather(hidden.front());
  model.reserve(static_cast<int>(std::max(batch.tokens.size(), hidden.size())));

  reportPositions(results);
  prepareCommits(results);

  Backend& backend = *model.backend;
  backend.begin();
  if (!batch.tokens.empty()) forward(model, batch, cancelled);
  if (!reports.empty()) {
    const Tensor reported = model.activations.reported.slice(0, static_cast<int>(hidden.size()));
    backend.norm(reported, model.activations.x, *model.weights->finalNorm, model.spec.normEps,
                 hidden);
    backend.head(head, reported, *model.weights->head, reports, options);
  }
  if (cancelled) throw Error(Code::aborted, "the step was aborted");
  if (!commits.items.empty()) backend.commit(commits);
  backend.end();
  split(results);
  takeCommits(results);
  for (size_t i = 0; i < requests.size(); i++) {
    results[i].timing = model.backend->timing();
    if (!requests[i].head.kl) continue;
    for (int32_t position : requests[i].query)
      requests[i].session->hasHidden[static_cast<size_t>(position)] = 1;
  }
}

}  // namespace lacuna
