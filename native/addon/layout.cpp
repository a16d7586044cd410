#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../gguf/gguf.h"
#include "arguments.h"
#include "encode.h"
#include "errors.h"
#include "handles.h"
#include "results.h"

namespace lacuna::addon {

namespace {

template <class T>
void append(std::vector<uint8_t>& bytes, T value) {
  const auto* raw = reinterpret_cast<const uint8_t*>(&value);
  bytes.insert(bytes.end(), raw, raw + sizeof value);
}

// Type and value as they lie in the file.
Napi::Value rawValue(Napi::Env env, const Value& value) {
  std::vector<uint8_t> head;
  append(head, static_cast<uint32_t>(value.type));
  if (value.type == ValueType::array) append(head, static_cast<uint32_t>(value.element));
  if (value.type == ValueType::array) append(head, value.count);
  if (value.type == ValueType::string) append(head, uint64_t{value.bytes});
  auto bytes = Napi::Uint8Array::New(env, head.size() + value.bytes);
  std::memcpy(bytes.Data(), head.data(), head.size());
  if (value.bytes > 0) std::memcpy(bytes.Data() + head.size(), value.data, value.bytes);
  return bytes;
}

Napi::Value result(Napi::Env env, const Gguf& file) {
  const std::vector<std::string> paths = file.partPaths();
  Napi::Array parts = Napi::Array::New(env, paths.size());
  for (uint32_t i = 0; i < parts.Length(); i++) parts.Set(i, paths[i]);
  Napi::Array metadata = Napi::Array::New(env, file.metadata().size());
  for (uint32_t i = 0; i < metadata.Length(); i++) {
    const auto& [key, value] = file.metadata()[i];
    Napi::Array entry = Napi::Array::New(env, 2);
    entry.Set(uint32_t{0}, key);
    entry.Set(uint32_t{1}, rawValue(env, value));
    metadata.Set(i, entry);
  }
  Napi::Array tensors = Napi::Array::New(env, file.tensors().size());
  for (uint32_t i = 0; i < tensors.Length(); i++) {
    const TensorView& view = file.tensors()[i];
    const auto [part, offset] = file.place(view);
    Napi::Object tensor = toJs(env, view);
    tensor.Set("part", static_cast<double>(part));
    tensor.Set("offset", static_cast<double>(offset));
    tensors.Set(i, tensor);
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("parts", parts);
  object.Set("metadata", metadata);
  object.Set("tensors", tensors);
  if (const auto alignment = file.integer("general.alignment")) {
    object.Set("alignment", static_cast<double>(*alignment));
  }
  return object;
}

}  // namespace

Napi::Value layout(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::string path = textArgument(info, 0, "path");
    const auto file = std::make_shared<std::shared_ptr<Gguf>>();
    const auto task = std::make_shared<Task>(info.Env());
    task->work = [=](Task&) { *file = Gguf::open(path); };
    task->result = [=](Napi::Env env) { return result(env, **file); };
    return Addon::of(info.Env()).environment->start(task);
  });
}

}  // namespace lacuna::addon
