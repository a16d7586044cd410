#include <algorithm>
#include <limits>
#include <utility>

#include "arguments.h"
#include "errors.h"
#include "handles.h"
#include "results.h"

namespace lacuna::addon {

namespace {

// Tells our sessions from every other object; any constant will do.
constexpr napi_type_tag sessionTag{0x6c6163756e61, 0x73657373696f6e};

}  // namespace

SessionObject::SessionObject(const Napi::CallbackInfo& info)
    : ObjectWrap(info), handle(std::move(Addon::of(info.Env()).newSession)) {
  guarded(info.Env(), [&] {
    if (!handle) invalid("Sessions are made by model.createSession and session.fork only");
    info.This().As<Napi::Object>().TypeTag(&sessionTag);
  });
}

Napi::Function SessionObject::define(Napi::Env env) {
  return DefineClass(env, "NativeSession",
                     {
                         InstanceAccessor<&SessionObject::length>("length"),
                         InstanceMethod<&SessionObject::tokens>("tokens"),
                         InstanceMethod<&SessionObject::set>("set"),
                         InstanceMethod<&SessionObject::fork>("fork"),
                         InstanceMethod<&SessionObject::dispose>("dispose"),
                     });
}

const std::shared_ptr<SessionHandle>& SessionObject::from(Napi::Value value, const char* what) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&sessionTag)) {
    invalid(std::string(what) + " must be a session");
  }
  return Unwrap(value.As<Napi::Object>())->handle;
}

Napi::Value SessionObject::length(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), handle->length);
}

Napi::Value SessionObject::tokens(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const Session& session = handle->live();
    return toJs(info.Env(), !handle->steps.empty() ? handle->before : session.canvas.tokens());
  });
}

Napi::Value SessionObject::set(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const std::vector<int32_t> tokens = copyOf(int32Argument(info, 1, "tokens"));
    const int64_t room = handle->length - static_cast<int64_t>(tokens.size());
    if (room < 0) invalid("tokens must be no longer than the canvas");
    const int64_t position = integerArgument(info, 0, "position", 0, room);
    Session& session = handle->idle();
    const int vocabulary = session.model->spec.vocabulary;
    const auto known = [=](int32_t token) { return token >= 0 && token < vocabulary; };
    if (!std::all_of(tokens.begin(), tokens.end(), known)) {
      invalid("tokens must be integers from 0 to " + std::to_string(vocabulary - 1));
    }
    session.canvas.write(static_cast<int>(position), tokens);
    return info.Env().Undefined();
  });
}

Napi::Value SessionObject::fork(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    auto copy = std::make_shared<SessionHandle>(info.Env(), handle->model, handle->idle().fork());
    return Addon::of(info.Env()).wrap(std::move(copy));
  });
}

Napi::Value SessionObject::dispose(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    handle->dispose();
    return info.Env().Undefined();
  });
}

}  // namespace lacuna::addon
