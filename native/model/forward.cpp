#include "forward.h"

#include <cmath>

#include "../error.h"

namespace lacuna {

void forward(Model& model, Batch& batch, const std::atomic<bool>& cancelled) {
  const ModelSpec& spec = model.spec;
  Backend& b = *model.backend;
  const int rows = static_cast<int>(batch.tokens.size());
  const auto view = [rows](Tensor t) { return t.slice(0, rows); };
  const Activations& a = model.activations;
  const Tensor x = view(a.x), h = view(a.h), q = view(a.q), o = view(a.o), k = view(a.k),
               v = view(a.v), f = view(a.f);
  const Tensor qHeads = q.reshape(rows * spec.heads, spec.headDim);
  const Tensor kHeads = k.reshape(rows * spec.kvHeads, spec.headDim);
  const AttentionShape shape{spec.heads, spec.kvHeads, spec.headDim,
                             1.0f / std::sqrt(static_cast<float>(spec.headDim))};

  b.embed(x, *model.weights->embedding, batch.tokens, batch.soft);
  for (const LayerWeights& layer : model.weights->layers) {
    if (cancelled) throw Error(Code::aborted, "the step was aborted");

    b.norm(h, x, *layer.attentionNorm, spec.normEps);
    b.linear(q, h, *layer.q, layer.qBias.get(), Epilogue::store);
    b.linear(k, h, *layer.k, layer.kBias.get(), Epilogue::store);
    b.linear(v, h, *layer.v, layer.vBias.get(), Epilogue::store);
    if (spec.qkNorm) {
      b.norm(qHeads, qHeads, *layer.qNorm, spec.normEps);
      b.norm(kHeads, kHeads, *layer.kNorm, spec.normEps);
    }
    b.rope(q, spec.headDim, batch.positions, spec.rope);
    b.rope(k, spec.headDim, batch.positions, spec.rope);
    b.attend(o, q, k, v, batch.segments, shape);
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
