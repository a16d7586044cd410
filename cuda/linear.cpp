// linear, and what other verbs need of matrices.
#include <algorithm>

#include "backend.h"
#include "gemm_plan.h"
#include "prepare.h"

namespace lacuna::cuda {
namespace {

unsigned count(int n) { return static_cast<unsigned>(n); }

}  // namespace

Prepared CudaBackend::prepare(Verb verb, const float* x, int rows, const CudaWeight& w,
                              const int32_t* source) {
  const Matrix& m = w.matrix;
  const PreparedOf wanted{source ? nullptr : x, rows, m.cols, w.terms(), m.element};
  const PreparedOf& had = preparedOf;
  if (wanted.x && wanted.x == had.x && wanted.rows <= had.rows && wanted.cols == had.cols &&
      wanted.terms == had.terms && wanted.element == had.element) {
    Prepared first = prepared;
    first.rows = rows;
    first.slices = (rows + kSliceRows - 1) / kSliceRows;
    return first;
  }
  PrepareArguments a{};
  a.x = x;
  a.source = source;
  a.cols = m.cols;
  a.wide = m.cols % 4 == 0 && reinterpret_cast<uintptr_t>(x) % 16 == 0;
  Prepared& out = a.out;
  out.rows = rows;
  out.slices = (rows + kSliceRows - 1) / kSliceRows;
  out.depths = m.depths;
  out.sliceBytes = sliceBytes(m.element);
  out.terms = wanted.terms;
  out.element = m.element;
  const size_t bricks = static_cast<size_t>(out.slices) * static_cast<size_t>(out.depths);
  out.bricks = reuse<unsigned char>(linearMemory.bricks,
                                    bricks * static_cast<size_t>(out.terms * out.sliceBytes));
  const Grid grid{count(out.depths), count(out.slices)};
  if (m.element == Element::f32) {
    launch(verb, "prepareFloats", grid, 64, 0, a);
  } else if (m.element == Element::coded) {
    launch(verb, "prepareCoded", grid, 128, 0, a);
  } else {
    const int padded = out.slices * kSliceRows;
    out.rowScale = reuse<float>(linearMemory.rowScale, static_cast<size_t>(padded));
    launch(verb, "prepareHalves", {count(padded)}, kPrepareThreads, 0, a);
  }
  preparedOf = wanted;
  return prepared = out;
}

void CudaBackend::multiply(Verb verb, const CudaWeight& w, const GemmPlan& plan, GemmArguments a) {
  a.w = w.matrix;
  a.splits = plan.splits;
  a.stages = plan.stages;
  if (plan.splits > 1) {
    a.tickets = tickets.as<int32_t>();
    const size_t blocks = size_t{plan.grid.x} * plan.grid.y * plan.grid.z;
    a.partial =
        reuse<float>(linearMemory.partial, blocks * kTileColumns * static_cast<size_t>(plan.width));
  }
  launch(verb, gemmKernel(w.format, plan.width), plan.grid, plan.threads, plan.sharedBytes, a);
}

void CudaBackend::linear(Tensor y, Tensor x, const Weight& w, const Weight* bias,
                         Epilogue epilogue) {
  if (y.rows == 0) return;  // the last layer of a step that reports nothing
  const CudaWeight& weight = cudaWeight(w);
  GemmArguments a{};
  a.x = prepare(Verb::linear, x.data, y.rows, weight);
  a.y = y.data;
  a.yStride = y.cols;
  a.bias = bias ? cudaWeight(*bias).vector() : nullptr;
  a.epilogue = epilogue == Epilogue::store ? GemmEpilogue::store
               : epilogue == Epilogue::add ? GemmEpilogue::add
                                           : GemmEpilogue::glu;
  const int width = gemmWidth(facts(), weight.matrix, weight.terms(), y.rows);
  const int tiles = (y.rows + width - 1) / width;
  multiply(Verb::linear, weight,
           planGemm(facts(), weight.matrix, weight.terms(), width, tiles, true), a);
  // The prepared rows stay good for the next product of x, unless that is what was written.
  if (y.data == x.data || preparedOf.x == y.data) preparedOf = {};
}

}  // namespace lacuna::cuda
