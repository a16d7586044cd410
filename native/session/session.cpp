#include "session.h"

#include "../model/fit.h"

namespace lacuna {

Session::Session(std::shared_ptr<Model> owner, int length)
    : model(std::move(owner)), canvas(length, model->spec.mask) {
  static_assert(sizeof(float) == sizeof(int32_t));
  const size_t floats = static_cast<size_t>(model->spec.layers) * layerFloats();
  kv = allocSession(*model, floats + static_cast<size_t>(planeRows(length)), length);
  placeCopy();
}

void Session::placeCopy() {
  canvas.copy = reinterpret_cast<int32_t*>(keys(model->spec.layers));  // after the last layer
}

std::unique_ptr<Session> Session::fork() const {
  return std::unique_ptr<Session>(new Session(*this));
}

// A count of 1 cannot grow meanwhile: only this session could be forked, and it is in a step.
void Session::ownMemory() {
  for (std::shared_ptr<Memory>* memory : {&kv, &hidden})
    if (memory->use_count() > 1) *memory = model->backend->alloc((*memory)->count, memory->get());
  placeCopy();
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
