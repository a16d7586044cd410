#pragma once
#include <napi.h>

#include <exception>
#include <utility>

namespace lacuna::addon {

// A JavaScript Error with `code` and `message`; lib/native.ts makes a LacunaError of it.
Napi::Error toJs(Napi::Env env, const std::exception_ptr& failure);

// Every function that JavaScript calls runs in here, so that no C++ exception reaches Node.
template <class Body>
auto guarded(Napi::Env env, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw toJs(env, std::current_exception());
  }
}

}  // namespace lacuna::addon
