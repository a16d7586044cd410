#include "../../cuda/devices.h"

#include "devices.h"
#include "errors.h"
#include "handles.h"
#include "task.h"

namespace lacuna::addon {
namespace {

Napi::Object toJs(Napi::Env env, const cuda::Card& card) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("index", card.index);
  object.Set("name", card.facts.name);
  object.Set("computeCapability",
             std::to_string(card.facts.major) + "." + std::to_string(card.facts.minor));
  object.Set("totalBytes", static_cast<double>(card.facts.totalBytes));
  object.Set("freeBytes", static_cast<double>(card.freeBytes));
  if (!card.problem.empty()) object.Set("problem", card.problem);
  return object;
}

}  // namespace

Napi::Value devices(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto found = std::make_shared<cuda::Cards>();
    const auto task = std::make_shared<Task>(info.Env());
    task->work = [found](Task&) { *found = cuda::findCards(); };  // waking a card takes a while
    task->result = [found](Napi::Env env) -> Napi::Value {
      Napi::Object object = Napi::Object::New(env);
      if (!found->driver.empty()) object.Set("driver", found->driver);
      if (!found->problem.empty()) object.Set("problem", found->problem);
      Napi::Array cards = Napi::Array::New(env, found->list.size());
      for (size_t i = 0; i < found->list.size(); i++)
        cards.Set(static_cast<uint32_t>(i), toJs(env, found->list[i]));
      object.Set("cards", cards);
      return object;
    };
    return Addon::of(info.Env()).environment->start(task);
  });
}

}  // namespace lacuna::addon
