#include "results.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "../gguf/value.h"
#include "../quant/quant.h"

namespace lacuna::addon {

namespace {

constexpr int64_t largestSafe = (int64_t{1} << 53) - 1;

template <class T>
Napi::Value typed(Napi::Env env, std::span<const T> values) {
  auto array = Napi::TypedArrayOf<T>::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size_bytes());
  return array;
}

// Arrays that lie one behind the other in a buffer of exactly their size, those of larger elements
// first. One allocation for all: a buffer costs more than copying what a step reports.
class SharedBuffer {
 public:
  SharedBuffer(Napi::Env env, size_t bytes) : buffer(Napi::ArrayBuffer::New(env, bytes)) {}

  template <class T>
  Napi::Value add(std::span<const T> values) {
    auto array = Napi::TypedArrayOf<T>::New(buffer.Env(), values.size(), buffer, used);
    if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size_bytes());
    used += values.size_bytes();
    return array;
  }

 private:
  Napi::ArrayBuffer buffer;
  size_t used = 0;
};

Napi::Value number(Napi::Env env, double value) { return Napi::Number::New(env, value); }

// Like an object literal's properties: a key of a hostile file may be "__proto__".
void define(Napi::Object object, std::string_view key, napi_value value) {
  const Napi::Env env = object.Env();
  napi_property_descriptor property{};
  property.name = Napi::String::New(env, key.data(), key.size());
  property.value = value;
  property.attributes = napi_default_jsproperty;
  if (napi_define_properties(env, object, 1, &property) != napi_ok) throw Napi::Error::New(env);
}

uint64_t unsignedValue(const Value& value) {
  uint64_t wide = 0;
  std::memcpy(&wide, value.data, sizeof wide);
  return wide;
}

Napi::Value integer(Napi::Env env, const Value& value) {
  if (value.type == ValueType::u64 && unsignedValue(value) > uint64_t{largestSafe}) {
    return Napi::BigInt::New(env, unsignedValue(value));
  }
  const int64_t wide = toInteger(value, "", "");
  if (wide < -largestSafe || wide > largestSafe) return Napi::BigInt::New(env, wide);
  return number(env, static_cast<double>(wide));
}

Napi::Value scalar(Napi::Env env, const Value& value) {
  switch (value.type) {
    case ValueType::boolean: return Napi::Boolean::New(env, toBoolean(value, "", ""));
    case ValueType::f32:
    case ValueType::f64: return number(env, toNumber(value, "", ""));
    case ValueType::string:
      return Napi::String::New(env, reinterpret_cast<const char*>(value.data), value.bytes);
    default: return integer(env, value);
  }
}

// One buffer and the offsets of its pieces: a vocabulary crosses without 100,000 objects.
Napi::Value strings(Napi::Env env, const Value& value) {
  const std::vector<std::string_view> pieces = stringArray(value);
  std::vector<uint32_t> offsets{0};
  size_t total = 0;
  for (const std::string_view piece : pieces) {
    total += piece.size();
    if (total > std::numeric_limits<uint32_t>::max()) {
      throw Error(Code::badGguf, "a metadata array of strings is larger than 4 GiB");
    }
    offsets.push_back(static_cast<uint32_t>(total));
  }
  auto bytes = Napi::Uint8Array::New(env, total);
  for (size_t i = 0; i < pieces.size(); i++) {
    if (!pieces[i].empty())
      std::memcpy(bytes.Data() + offsets[i], pieces[i].data(), pieces[i].size());
  }
  Napi::Object packed = Napi::Object::New(env);
  packed.Set("strings", bytes);
  packed.Set("offsets", typed<uint32_t>(env, offsets));
  return packed;
}

double element(const Value& value) {
  switch (value.type) {
    case ValueType::boolean: return toBoolean(value, "", "") ? 1 : 0;
    case ValueType::u64: return static_cast<double>(unsignedValue(value));
    default: return toNumber(value, "", "");
  }
}

Napi::Value metadataValue(Napi::Env env, const Value& value) {
  if (value.type != ValueType::array) return scalar(env, value);
  if (value.element == ValueType::string) return strings(env, value);
  const size_t size = valueBytes(value.element);
  auto numbers = Napi::Float64Array::New(env, static_cast<size_t>(value.count));
  for (size_t i = 0; i < numbers.ElementLength(); i++) {
    Value one;
    one.type = value.element;
    one.data = value.data + i * size;
    one.bytes = size;
    numbers[i] = element(one);
  }
  return numbers;
}

}  // namespace

Napi::Object toJs(Napi::Env env, const TensorView& view) {
  std::vector<int64_t> dims{view.cols};
  if (view.rows > 1 || view.depth > 1) dims.push_back(view.rows);
  if (view.depth > 1) dims.push_back(view.depth);
  Napi::Array shape = Napi::Array::New(env, dims.size());
  for (uint32_t i = 0; i < dims.size(); i++)
    shape.Set(i, number(env, static_cast<double>(dims[i])));
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", view.name);
  object.Set("type", typeInfo(view.type).name);
  object.Set("shape", shape);
  object.Set("bytes", number(env, static_cast<double>(view.bytes)));
  return object;
}

Napi::Value toJs(Napi::Env env, std::span<const int32_t> values) { return typed(env, values); }
Napi::Value toJs(Napi::Env env, std::span<const float> values) { return typed(env, values); }
Napi::Value toJs(Napi::Env env, std::span<const double> values) { return typed(env, values); }

Napi::Object toJs(Napi::Env env, const ModelSpec& spec, const Gguf& file) {
  double parameters = 0;
  for (const TensorView& view : file.tensors()) parameters += static_cast<double>(view.elements());
  Napi::Object object = Napi::Object::New(env);
  object.Set("architecture", spec.architecture);
  object.Set("name", spec.name);
  object.Set("layers", spec.layers);
  object.Set("dim", spec.dim);
  object.Set("heads", spec.heads);
  object.Set("kvHeads", spec.kvHeads);
  object.Set("headDim", spec.headDim);
  object.Set("ffn", spec.ffn);
  object.Set("vocabulary", spec.vocabulary);
  object.Set("context", spec.context);
  object.Set("experts", spec.experts);
  object.Set("expertsUsed", spec.expertsUsed);
  object.Set("expertFfn", spec.expertFfn);
  object.Set("attentionBlock", spec.attention.block);
  object.Set("logitShift", spec.logitShift);
  if (const SoftMasking& soft = spec.softMasking; soft.tokens > 0) {
    Napi::Object values = Napi::Object::New(env);
    values.Set("k", soft.tokens);
    values.Set("scale", soft.scale);
    values.Set("slope", soft.slope);
    values.Set("centre", soft.centre);
    object.Set("softMask", values);
  }
  object.Set("mask", spec.mask);
  object.Set("bos", spec.bos);
  object.Set("eos", spec.eos);
  object.Set("eot", spec.eot);
  object.Set("pad", spec.pad);
  object.Set("tiedHead", spec.tiedHead);
  object.Set("parameters", parameters);
  return object;
}

Napi::Object toJs(Napi::Env env, const Gguf& file) {
  Napi::Object metadata = Napi::Object::New(env);
  for (const auto& [key, value] : file.metadata()) define(metadata, key, metadataValue(env, value));
  Napi::Array tensors = Napi::Array::New(env, file.tensors().size());
  for (uint32_t i = 0; i < tensors.Length(); i++) tensors.Set(i, toJs(env, file.tensors()[i]));
  Napi::Object object = Napi::Object::New(env);
  object.Set("path", file.path());
  object.Set("version", file.version());
  object.Set("fileBytes", number(env, static_cast<double>(file.fileBytes())));
  object.Set("metadata", metadata);
  object.Set("tensors", tensors);
  return object;
}

Napi::Object toJs(Napi::Env env, const StepResult& result, double totalMilliseconds) {
  const Timing& t = result.timing;
  const std::array<int64_t, 8> verbs = {t.embed,  t.norm, t.linear, t.rope,
                                        t.attend, t.moe,  t.head,   t.commit};
  std::array<double, 9> timing;
  std::transform(verbs.begin(), verbs.end(), timing.begin(),
                 [](int64_t ns) { return static_cast<double>(ns) / 1e6; });
  timing.back() = totalMilliseconds;
  Napi::Object object = Napi::Object::New(env);
  SharedBuffer arrays(env, result.position.size() * (3 * sizeof(double) + 2 * sizeof(int32_t)) +
                               timing.size() * sizeof(double) +
                               result.committed.size() * sizeof(int32_t));
  object.Set("probability", arrays.add<double>(result.probability));
  object.Set("margin", arrays.add<double>(result.margin));
  object.Set("entropy", arrays.add<double>(result.entropy));
  object.Set("timing", arrays.add<double>(timing));
  object.Set("position", arrays.add<int32_t>(result.position));
  object.Set("token", arrays.add<int32_t>(result.token));
  object.Set("committed", arrays.add<int32_t>(result.committed));
  // What most steps do not ask for is left out: an empty array costs as much as one of 32.
  const auto setUnlessEmpty = [&](const char* name, const auto& values) {
    if (!values.empty()) object.Set(name, toJs(env, values));
  };
  setUnlessEmpty("topToken", result.topToken);
  setUnlessEmpty("topProbability", result.topProbability);
  setUnlessEmpty("probe", result.probe);
  setUnlessEmpty("kl", result.kl);
  setUnlessEmpty("logits", result.logits);
  object.Set("rows", number(env, static_cast<double>(result.rows)));
  return object;
}

}  // namespace lacuna::addon
