#include "errors.h"

#include <new>
#include <string>

#include "../error.h"

namespace lacuna::addon {

namespace {

Napi::Error make(Napi::Env env, Code code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, codeName(code)));
  return error;
}

}  // namespace

Napi::Error toJs(Napi::Env env, const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Napi::Error& error) {
    return error;
  } catch (const Error& error) {
    return make(env, error.code, error.what());
  } catch (const std::bad_alloc&) {
    return make(env, Code::outOfMemory, "The host's memory is used up");
  } catch (const std::exception& error) {
    return make(env, Code::internal, std::string("Defect in native code: ") + error.what());
  } catch (...) {
    return make(env, Code::internal, "Defect in native code: an unknown exception");
  }
}

}  // namespace lacuna::addon
