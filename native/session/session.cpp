#include "session.h"

namespace lacuna {
namespace {

size_t rowFloats(const ModelSpec& spec) {
  return static_cast<size_t>(spec.kvHeads) * static_cast<size_t>(spec.headDim);
}

}  // namespace

Session::Session(std::shared_ptr<Model> owner, int length)
    : model(std::move(owner)), canvas(static_cast<size_t>(length), model->spec.mask) {
  const ModelSpec& spec = model->spec;
  kv = model->backend->alloc(static_cast<size_t>(spec.layers) * layerFloats());
}

std::unique_ptr<Session> Session::fork() const {
  auto copy = std::make_unique<Session>(model, length());
  copy->canvas = canvas;
  copy->kv = model->backend->alloc(kv->count, kv.get());
  if (hidden) copy->hidden = model->backend->alloc(hidden->count, hidden.get());
  copy->hasHidden = hasHidden;
  return copy;
}

size_t Session::layerFloats() const { return 2 * rowFloats(model->spec) * canvas.size(); }

float* Session::keys(int layer) const {
  return kv->data + layerFloats() * static_cast<size_t>(layer);
}

float* Session::values(int layer) const { return keys(layer) + layerFloats() / 2; }

}  // namespace lacuna
