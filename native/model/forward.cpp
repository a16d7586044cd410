#include "forward.h"

#include <algorithm>
#include <cmath>

#include "../error.h"

namespace lacuna {

void forward(Model& model, Batch& batch, const std::atomic<bool>& cancelled) {
  const ModelSpec& spec = model.spec;
  Backend& b = *model.backend;
  const int rows = static_cast<int>(batch.tokens.size());
  const Activations& a = model.activations;
  const AttentionShape shape{spec.heads, spec.kvHeads, spec.headDim,
                             1.0f / std::sqrt(static_cast<float>(spec.headDim))};
  const std::span<const int32_t> positions = batch.positions;
  const int group = b.rowGroup();

  b.embed(a.x.slice(0, rows), *model.weights->embedding, batch.tokens, batch.soft, batch.segments);
  for (const LayerWeights& layer : model.weights->layers) {
    if (cancelled) throw Error(Code::aborted, "the step was aborted");

    // Every row gives K and V; of the last layer only the live rows are wanted for more. What comes
    // of rows between them and n, which do not attend, is never read.
    const bool last = &layer == &model.weights->layers.back();
    const int n = last ? std::min(rows, (batch.live + group - 1) / group * group) : rows;
    const Tensor k = a.k.slice(0, rows), v = a.v.slice(0, rows), all = a.h.slice(0, rows);
    const Tensor x = a.x.slice(0, n), h = a.h.slice(0, n), q = a.q.slice(0, n), o = a.o.slice(0, n),
                 f = a.f.slice(0, n);
    const Tensor qHeads = q.reshape(n * spec.heads, spec.headDim);
    const Tensor kHeads = k.reshape(rows * spec.kvHeads, spec.headDim);
    if (last) {
      for (Segment& segment : batch.segments) segment.storeOnly = segment.firstRow >= batch.live;
    }

    b.norm(all, a.x.slice(0, rows), *layer.attentionNorm, spec.normEps);
    b.linear(k, all, *layer.k, layer.kBias.get(), Epilogue::store);
    b.linear(v, all, *layer.v, layer.vBias.get(), Epilogue::store);
    b.linear(q, h, *layer.q, layer.qBias.get(), Epilogue::store);
    if (spec.qkNorm) {
      b.norm(qHeads, qHeads, *layer.qNorm, spec.normEps);
      b.norm(kHeads, kHeads, *layer.kNorm, spec.normEps);
    }
    b.rope(k, spec.headDim, positions, spec.rope);
    b.rope(q, spec.headDim, positions.first(static_cast<size_t>(n)), spec.rope);
    b.attend(o, q, k, v, batch.segments, shape);
    if (n == 0) return;
    b.linear(x, o, *layer.o, nullptr, Epilogue::add);

    b.norm(h, x, *layer.ffnNorm, spec.normEps);
    if (spec.experts == 0) {
      b.linear(f, h, *layer.gate, nullptr, Epilogue::store);
      b.linear(f, h, *layer.up, nullptr, Epilogue::glu);
      b.linear(x, f, *layer.down, nullptr, Epilogue::add);
    } else {
      b.moe(x, h,
            {layer.router.get(), layer.gateExperts.get(), layer.upExperts.get(),
             layer.downExperts.get(), spec.expertsUsed, spec.renormaliseExperts});
    }

    for (size_t s = 0; s < batch.segments.size(); s++) {  // on to the next layer's K/V
      batch.segments[s].keys += batch.layerStride[s];
      batch.segments[s].values += batch.layerStride[s];
    }
  }
}

}  // namespace lacuna
