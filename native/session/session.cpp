#include "session.h"

namespace lacuna {

Session::Session(std::shared_ptr<Model> owner, int length)
    : model(std::move(owner)), canvas(static_cast<size_t>(length), model->spec.mask) {
  kv = model->backend->alloc(static_cast<size_t>(model->spec.layers) * layerFloats());
}

std::unique_ptr<Session> Session::fork() const {
  auto copy = std::make_unique<Session>(model, length());
  copy->canvas = canvas;
  copy->kv = model->backend->alloc(kv->count, kv.get());
  if (hidden) copy->hidden = model->backend->alloc(hidden->count, hidden.get());
  copy->hasHidden = hasHidden;
  return copy;
}

size_t Session::layerFloats() const {
  const size_t row = static_cast<size_t>(model->spec.kvHeads) * model->spec.headDim;
  return 2 * row * static_cast<size_t>(planeRows(length()));
}

float* Session::keys(int layer) const {
  return kv->data + layerFloats() * static_cast<size_t>(layer);
}

float* Session::values(int layer) const { return keys(layer) + layerFloats() / 2; }

}  // namespace lacuna
