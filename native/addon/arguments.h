#pragma once
#include <napi.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "../error.h"
#include "../model/model.h"
#include "../session/session.h"

// From JavaScript values to the core's structs. TypeScript validates what callers pass; what is
// checked here again is whatever could make native code crash.
namespace lacuna::addon {

using IntArray = Napi::TypedArrayOf<int32_t>;
using FloatArray = Napi::TypedArrayOf<float>;

[[noreturn]] void invalid(const std::string& message);

// Reads the properties of an options object. Errors are INVALID_ARGUMENT naming the property.
class Reader {
 public:
  Reader(Napi::Value value, std::string name);

  Napi::Value value(const char* key) const;
  bool present(const char* key) const;  // neither undefined nor null
  Reader child(const char* key) const { return {value(key), name + "." + key}; }
  std::vector<Reader> children(const char* key) const;  // of an array
  int64_t integer(const char* key, int64_t least, int64_t most) const;
  int32_t index(const char* key, int64_t least, int64_t most) const {
    return static_cast<int32_t>(integer(key, least, most));
  }
  double real(const char* key) const;   // finite
  float narrow(const char* key) const;  // finite as a 32-bit float
  bool boolean(const char* key) const;
  std::string text(const char* key) const;
  std::vector<float> floats(const char* key) const;
  std::vector<double> doubles(const char* key) const;
  std::vector<int32_t> ints(const char* key, int limit) const;       // each in [0, limit)
  std::vector<int32_t> ascending(const char* key, int limit) const;  // the same, without repeats
  // One of `names`; its number in that list.
  int choice(const char* key, std::initializer_list<const char*> names) const;

 private:
  [[noreturn]] void wrong(const char* key, const std::string& right) const;
  template <class Item, napi_typedarray_type type>
  std::vector<Item> array(const char* key, const char* right) const;

  Napi::Object object;
  std::string name;
};

std::string textArgument(const Napi::CallbackInfo& info, size_t index, const char* name);
int64_t integerArgument(const Napi::CallbackInfo& info, size_t index, const char* name,
                        int64_t least, int64_t most);
IntArray int32Argument(const Napi::CallbackInfo& info, size_t index, const char* name);
std::vector<int32_t> copyOf(const IntArray& array);

LoadOptions loadOptions(Napi::Value value);
CommitRule commitRule(const Reader& from, int length);        // all but its bias
std::vector<float> biasOf(const Reader& commit, int length);  // (length) or empty
// All of a NativeStep but its sessions.
StepRequest stepRequest(const Reader& from, int length, int vocabulary);

}  // namespace lacuna::addon
