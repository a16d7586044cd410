#pragma once
#include <napi.h>

#include <span>

#include "../error.h"
#include "../model/model.h"
#include "../session/session.h"

// From the core's structs to JavaScript values; see the interfaces of lib/native.ts. Every array is
// allocated by JavaScript and copied into: Electron allows no other.
namespace lacuna::addon {

Napi::Value toJs(Napi::Env env, std::span<const int32_t> values);
Napi::Value toJs(Napi::Env env, std::span<const float> values);
Napi::Value toJs(Napi::Env env, std::span<const double> values);

// `file` gives the number of parameters.
Napi::Object toJs(Napi::Env env, const ModelSpec& spec, const Gguf& file);
Napi::Object toJs(Napi::Env env, const Gguf& file);
Napi::Object toJs(Napi::Env env, const TensorView& tensor);
Napi::Object toJs(Napi::Env env, const StepResult& result, double totalMilliseconds);

}  // namespace lacuna::addon
