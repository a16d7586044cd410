#include "gemm_plan.h"

#include <algorithm>
#include <iterator>

#include "../native/quant/quant.h"

namespace lacuna::cuda {
namespace {

struct FormatKernels {
  const char* type;
  const char* kernels[std::size(kWidths)];
};

#define LACUNA_KERNELS(name, ...) \
  {#name, {"gemm" #name "x8", "gemm" #name "x32", "gemm" #name "x128"}},
constexpr FormatKernels formats[] = {LACUNA_KERNELS(F32) LACUNA_KERNELS(F16)
                                         LACUNA_CODED_FORMATS(LACUNA_KERNELS)};
#undef LACUNA_KERNELS

size_t stageOf(const Matrix& w, int terms, int width) {
  return stageBytes(w.brickBytes, sliceBytesRead(w.element, w.offsets != 0), terms, width);
}

// Shared memory for what kernels and finishes declare besides the stages.
constexpr size_t kFixedShared = 2048;

// Enough blocks to fill the card, in whole rounds: a round takes as long as a block's bricks and
// what a block costs besides them, some 1.5 bricks' worth.
int splitsFor(int tiles, int depths, int atOnce) {
  int best = 1;
  double bestTime = (tiles + atOnce - 1) / atOnce * (depths + 1.5);
  for (int rounds = 1; rounds <= 4; rounds++) {
    const int most = std::min(rounds * atOnce / tiles, depths);
    if (most < 2) continue;
    const int bricks = (depths + most - 1) / most;
    const double time = rounds * (bricks + 1.5);
    if (time < bestTime * 0.97) bestTime = time, best = (depths + bricks - 1) / bricks;
  }
  return best;
}

}  // namespace

int gemmWidth(const Driver::Facts& facts, const Matrix& w, int terms, int rows) {
  if (rows <= 8) return 8;
  if (rows <= 64 || 2 * stageOf(w, terms, 128) > facts.sharedBytes - kFixedShared) return 32;
  return 128;
}

GemmPlan planGemm(const Driver::Facts& facts, const Matrix& w, int terms, int width, int rowTiles,
                  bool split) {
  GemmPlan plan;
  plan.width = width;
  plan.threads = gemmThreads(w.element, width);
  // Two blocks on a multiprocessor hide each other's latencies; the copies under way need two
  // stages at the least, and more than four change nothing.
  const size_t stage = stageOf(w, terms, width);
  plan.stages =
      static_cast<int>(std::clamp<size_t>((facts.sharedBytes / 2 - kFixedShared) / stage, 2, 4));
  plan.sharedBytes = std::max(static_cast<size_t>(plan.stages) * stage, slabBytes(width));
  const int columns = (w.rows + kTileColumns - 1) / kTileColumns;
  if (split && rowTiles > 0) {
    plan.splits = splitsFor(columns * rowTiles, w.depths, 2 * facts.processors);
  }
  plan.grid = {static_cast<unsigned>(rowTiles), static_cast<unsigned>(columns),
               static_cast<unsigned>(plan.splits)};
  return plan;
}

int formatOf(Type type) {
  if (type == Type::bf16) type = Type::f16;
  const std::string name = typeInfo(type).name;
  const auto found = std::find_if(std::begin(formats), std::end(formats),
                                  [&](const FormatKernels& f) { return name == f.type; });
  return static_cast<int>(found - std::begin(formats));
}

const char* gemmKernel(int format, int width) {
  const auto at = std::find(std::begin(kWidths), std::end(kWidths), width) - std::begin(kWidths);
  return formats[format].kernels[at];
}

}  // namespace lacuna::cuda
