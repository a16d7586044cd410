#pragma once
#include <napi.h>

namespace lacuna::addon {

// Task of NativeEncoded: tensor data of one type as another.
Napi::Value encode(const Napi::CallbackInfo& info);

}  // namespace lacuna::addon
