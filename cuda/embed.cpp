#include "embed.h"

#include <algorithm>
#include <bit>

#include "backend.h"

namespace lacuna::cuda {

namespace {

// Lists have the same room from step to step, give or take a power of two: a program of a step with
// other soft rows or edits is still the same program.
size_t roomFor(size_t count) { return std::bit_ceil(std::max<size_t>(count, 256)); }

}  // namespace

// Makes the cards' copies of canvases equal to the host's. Until end() has succeeded nobody can
// tell what is in a copy: it is sent whole after a step that was left or failed.
void CudaBackend::follow(std::span<Canvas* const> asked) {
  canvasEdits.clear();
  bool any = false;
  for (Canvas* canvas : asked) {
    if (!canvas || !canvas->copy) continue;
    if (std::find(canvases.begin(), canvases.end(), canvas) != canvases.end()) continue;
    for (int position = canvas->stale.begin; position < canvas->stale.end; position++)
      canvasEdits.push_back({canvas->copy + position, (*canvas)[position], 0});
    canvas->stale = {0, canvas->length()};
    canvases.push_back(canvas);
    any = true;
  }
  if (!any) return;
  canvasEdits.resize(roomFor(canvasEdits.size()));
  EditArguments a{};
  a.edits = stage(std::span<const CanvasEdit>(canvasEdits));
  a.count = static_cast<int32_t>(canvasEdits.size());
  launch(Verb::embed, "editCanvas", {static_cast<unsigned>(a.count / kEmbedThreads)}, kEmbedThreads,
         0, a);
}

void CudaBackend::embed(Tensor x, const Weight& table, std::span<const int32_t> tokens,
                        std::span<const SoftRow> soft, std::span<const Segment> segments) {
  tokenRows.clear();
  for (int i = 0; i < x.rows; i++)
    tokenRows.push_back({nullptr, tokens[static_cast<size_t>(i)], 0});
  segmentCanvases.clear();
  for (const Segment& segment : segments) {
    segmentCanvases.push_back(segment.canvas);
    if (!segment.canvas || !segment.canvas->copy) continue;
    for (int i = 0; i < segment.rows - segment.shadows; i++) {
      const int32_t* place = segment.canvas->copy + segment.positions[i];
      tokenRows[static_cast<size_t>(segment.firstRow) + static_cast<size_t>(i)] = {place, 0, 0};
    }
  }
  follow(segmentCanvases);

  EmbedArguments a{};
  a.w = cudaWeight(table).matrix;
  a.x = x.data;
  a.count = x.rows;
  softEntries.clear();
  softTokens.clear();
  softWeights.clear();
  for (const SoftRow& s : soft) {
    tokenRows[static_cast<size_t>(s.row)] = {nullptr, -1, 0};
    softEntries.push_back(
        {s.row, s.alpha, s.mask, static_cast<int32_t>(softTokens.size()), s.count, 0});
    softTokens.insert(softTokens.end(), s.tokens, s.tokens + s.count);
    softWeights.insert(softWeights.end(), s.weights, s.weights + s.count);
  }
  a.rows = stage(std::span<const TokenRow>(tokenRows));
  const size_t blocks = tokenRows.size() + softEntries.size();
  if (!soft.empty()) {
    const size_t room = roomFor(softTokens.size());
    softTokens.resize(room);
    softWeights.resize(room);
    a.soft = stage(std::span<const SoftEntry>(softEntries));
    a.mixed = stage(std::span<const int32_t>(softTokens));
    a.weights = stage(std::span<const float>(softWeights));
  }
  launch(Verb::embed, "embedRows", {static_cast<unsigned>(blocks)}, kEmbedThreads, 0, a);
}

}  // namespace lacuna::cuda
