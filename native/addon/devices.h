#pragma once
#include <napi.h>

namespace lacuna::addon {

// Task of NativeDevices: what there is besides the CPU.
Napi::Value devices(const Napi::CallbackInfo& info);

}  // namespace lacuna::addon
