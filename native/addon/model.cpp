#include <chrono>
#include <limits>
#include <set>
#include <utility>

#include "arguments.h"
#include "errors.h"
#include "handles.h"
#include "results.h"

namespace lacuna::addon {

namespace {

constexpr int64_t largestLength = 1 << 24;  // positions; far beyond any model's context

// A step on its way through the worker.
struct StepJob {
  std::vector<StepRequest> requests;
  std::vector<StepResult> results;
  std::vector<std::shared_ptr<SessionHandle>> sessions;  // all that the step uses
  bool queued = false;                                   // may wait for steps of its sessions
  double milliseconds = 0;
};

Session& usable(const StepJob& job, const SessionHandle& session) {
  return job.queued ? session.live() : session.idle();
}

void use(StepJob& job, const ModelHandle& model, const std::shared_ptr<SessionHandle>& session) {
  usable(job, *session);
  if (session->model.get() != &model) invalid("step: a session belongs to another model");
  for (const auto& other : job.sessions) {
    if (other == session) invalid("step: a session appears twice");
  }
  job.sessions.push_back(session);
}

void addItem(StepJob& job, const ModelHandle& model, const Reader& item) {
  const auto session = SessionObject::from(item.value("session"), "step.session");
  StepRequest request = stepRequest(item, session->length, model.live().spec.vocabulary);
  std::shared_ptr<SessionHandle> twin;
  if (item.present("unconditional")) {
    twin = SessionObject::from(item.value("unconditional"), "step.unconditional");
    if (twin->length != session->length) invalid("step.unconditional must have the same length");
  }
  // Nothing runs JavaScript from here on, so the states that are checked now stay as they are.
  use(job, model, session);
  request.session = &usable(job, *session);
  if (twin) {
    use(job, model, twin);
    request.unconditional = &usable(job, *twin);
  }
  job.requests.push_back(std::move(request));
}

}  // namespace

ModelObject::ModelObject(const Napi::CallbackInfo& info)
    : ObjectWrap(info), handle(std::move(Addon::of(info.Env()).newModel)) {
  guarded(info.Env(), [&] {
    if (!handle) invalid("Models are made by load only");
  });
}

Napi::Function ModelObject::define(Napi::Env env) {
  return DefineClass(env, "NativeModel",
                     {
                         InstanceAccessor<&ModelObject::spec>("spec"),
                         InstanceAccessor<&ModelObject::backend>("backend"),
                         InstanceAccessor<&ModelObject::weightBytes>("weightBytes"),
                         InstanceAccessor<&ModelObject::fileBytes>("fileBytes"),
                         InstanceMethod<&ModelObject::file>("file"),
                         InstanceMethod<&ModelObject::createSession>("createSession"),
                         InstanceMethod<&ModelObject::sessionBytes>("sessionBytes"),
                         InstanceMethod<&ModelObject::step>("step"),
                         InstanceMethod<&ModelObject::dispose>("dispose"),
                     });
}

Napi::Value ModelObject::spec(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const Model& model = handle->live();
    return toJs(info.Env(), model.spec, *model.file);
  });
}

Napi::Value ModelObject::backend(const Napi::CallbackInfo& info) {
  return guarded(info.Env(),
                 [&] { return Napi::String::New(info.Env(), handle->live().backend->name()); });
}

Napi::Value ModelObject::weightBytes(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    return Napi::Number::New(info.Env(), static_cast<double>(handle->live().weights->bytes));
  });
}

Napi::Value ModelObject::fileBytes(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    return Napi::Number::New(info.Env(), static_cast<double>(handle->live().file->fileBytes()));
  });
}

Napi::Value ModelObject::file(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return toJs(info.Env(), *handle->live().file); });
}

Napi::Value ModelObject::createSession(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const int64_t length = integerArgument(info, 0, "length", 1, largestLength);
    if (handle->live().spec.mask < 0) {
      invalid("The model has no mask token: set the load option maskToken");
    }
    auto session = std::make_unique<Session>(handle->model, static_cast<int>(length));
    auto made = std::make_shared<SessionHandle>(info.Env(), handle, std::move(session));
    return Addon::of(info.Env()).wrap(std::move(made));
  });
}

Napi::Value ModelObject::sessionBytes(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const int64_t length = integerArgument(info, 0, "length", 1, largestLength);
    const auto [cache, activations] =
        lacuna::sessionBytes(handle->live().spec, static_cast<int>(length));
    return Napi::Number::New(info.Env(), static_cast<double>(cache + activations));
  });
}

Napi::Value ModelObject::step(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Env env = info.Env();
    handle->live();
    if (!info[0].IsArray()) invalid("step takes an array");
    const Napi::Array items = info[0].As<Napi::Array>();
    if (!info[1].IsBoolean()) invalid("step: queue must be true or false");
    const auto job = std::make_shared<StepJob>();
    job->queued = info[1].As<Napi::Boolean>();
    for (uint32_t i = 0; i < items.Length(); i++) {
      addItem(*job, *handle, Reader(items.Get(i), "step"));
    }
    for (const auto& session : job->sessions)
      usable(*job, *session);  // a getter may have changed it
    handle->live();

    const auto task = std::make_shared<Task>(env);
    task->work = [job, stepper = handle->stepper.get()](Task& self) {
      const auto start = std::chrono::steady_clock::now();
      stepper->step(job->requests, job->results, self.cancelled);
      const std::chrono::duration<double, std::milli> spent =
          std::chrono::steady_clock::now() - start;
      job->milliseconds = spent.count();
    };
    task->ended = [job, self = task.get()] {
      for (const auto& session : job->sessions) std::erase(session->steps, self);
    };
    task->result = [job](Napi::Env live) -> Napi::Value {
      Napi::Array results = Napi::Array::New(live, job->results.size());
      for (uint32_t i = 0; i < results.Length(); i++) {
        results.Set(i, toJs(live, job->results[i], job->milliseconds));
      }
      return results;
    };
    for (const auto& session : job->sessions) {
      if (session->steps.empty()) session->before = session->session->canvas.tokens();
    }
    const Napi::Object started = handle->environment->start(task, &handle->worker);
    for (const auto& session : job->sessions) session->steps.push_back(task.get());
    return started;
  });
}

// Running and queued steps are cancelled; the worker then frees everything after them, off the
// JavaScript thread.
Napi::Value ModelObject::dispose(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto garbage = std::make_shared<std::vector<std::shared_ptr<void>>>();
    for (SessionHandle* session : handle->sessions) {
      for (Task* step : session->steps) {
        step->cancel(Error(Code::disposed, "The model was disposed of during the step"));
      }
      if (session->session) garbage->push_back(std::move(session->session));
      session->dispose();
    }
    garbage->push_back(std::move(handle->stepper));
    garbage->push_back(std::move(handle->model));
    handle->memory.set(0);

    const auto task = std::make_shared<Task>(info.Env());
    task->work = [garbage](Task&) { garbage->clear(); };
    task->ended = [model = handle] { model->worker.stop(); };
    task->result = [](Napi::Env env) { return env.Undefined(); };
    return handle->environment->start(task, &handle->worker).Get("promise");
  });
}

}  // namespace lacuna::addon
