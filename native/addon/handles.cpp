#include "handles.h"

#include <utility>

namespace lacuna::addon {

void ExternalMemory::set(uint64_t wanted) {
  if (wanted == bytes) return;
  const int64_t change = static_cast<int64_t>(wanted) - static_cast<int64_t>(bytes);
  Napi::MemoryManagement::AdjustExternalMemory(env, change);
  bytes = wanted;
}

// ---- ModelHandle -----------------------------------------------------------------------------

ModelHandle::ModelHandle(Napi::Env env, const std::shared_ptr<Environment>& environment,
                         std::shared_ptr<Model> model)
    : environment(environment),
      model(std::move(model)),
      stepper(std::make_shared<Stepper>(*this->model)),
      memory(env),
      worker(environment) {
  // In full even where models share weights: whichever is collected last frees them.
  memory.set(this->model->weights->bytes);
}

Model& ModelHandle::live() const {
  if (!model) throw Error(Code::disposed, "The model was disposed of");
  return *model;
}

// ---- SessionHandle ---------------------------------------------------------------------------

SessionHandle::SessionHandle(Napi::Env env, std::shared_ptr<ModelHandle> model,
                             std::unique_ptr<Session> session)
    : model(std::move(model)), length(session->length()), session(std::move(session)), memory(env) {
  this->model->sessions.insert(this);
  memory.set(this->session->kv->count * sizeof(float));
}

SessionHandle::~SessionHandle() { model->sessions.erase(this); }

Session& SessionHandle::live() const {
  if (!session) throw Error(Code::disposed, "The session, or its model, was disposed of");
  return *session;
}

Session& SessionHandle::idle() const {
  Session& alive = live();
  if (!steps.empty()) {
    throw Error(Code::busy, "The session is in a step; wait for its promise, or use a fork");
  }
  return alive;
}

void SessionHandle::dispose() {
  for (Task* step : steps) {
    if (!session) break;
    step->cancel(Error(Code::disposed, "A session of the step was disposed of during the step"));
    step->garbage.push_back(session);
  }
  session.reset();
  memory.set(0);
}

// ---- Addon -----------------------------------------------------------------------------------

Addon::Addon(Napi::Env env)
    : environment(std::make_shared<Environment>(env)),
      modelClass(Napi::Persistent(ModelObject::define(env))),
      sessionClass(Napi::Persistent(SessionObject::define(env))) {}

Addon& Addon::of(Napi::Env env) { return *env.GetInstanceData<Addon>(); }

Napi::Object Addon::wrap(std::shared_ptr<ModelHandle> model) {
  newModel = std::move(model);
  return modelClass.New({});
}

Napi::Object Addon::wrap(std::shared_ptr<SessionHandle> session) {
  newSession = std::move(session);
  return sessionClass.New({});
}

}  // namespace lacuna::addon
