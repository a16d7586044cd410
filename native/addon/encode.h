#pragma once
#include <napi.h>

namespace lacuna::addon {

// What it takes to write a GGUF file anew.

// Task of NativeEncoded: tensor data of one type as another.
Napi::Value encode(const Napi::CallbackInfo& info);

// Task of NativeLayout: where everything lies in a file.
Napi::Value layout(const Napi::CallbackInfo& info);

}  // namespace lacuna::addon
