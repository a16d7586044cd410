#include "arguments.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

namespace lacuna::addon {

namespace {

constexpr int64_t largestSafe = (int64_t{1} << 53) - 1;
constexpr int64_t largestInt = std::numeric_limits<int32_t>::max();
constexpr int64_t largestWord = std::numeric_limits<uint32_t>::max();

bool isInteger(Napi::Value value, int64_t least, int64_t most) {
  if (!value.IsNumber()) return false;
  const double number = value.As<Napi::Number>().DoubleValue();
  return std::trunc(number) == number && number >= static_cast<double>(least) &&
         number <= static_cast<double>(most);
}

bool isArray(Napi::Value value, napi_typedarray_type type) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == type;
}

std::string between(int64_t least, int64_t most) {
  return "an integer from " + std::to_string(least) + " to " + std::to_string(most);
}

}  // namespace

void invalid(const std::string& message) { throw Error(Code::invalidArgument, message); }

// ---- Reader ----------------------------------------------------------------------------------

Reader::Reader(Napi::Value value, std::string name) : name(std::move(name)) {
  if (!value.IsObject()) invalid(this->name + " must be an object");
  object = value.As<Napi::Object>();
}

void Reader::wrong(const char* key, const std::string& right) const {
  invalid(name + "." + key + " must be " + right);
}

Napi::Value Reader::value(const char* key) const { return object.Get(key); }

bool Reader::present(const char* key) const {
  const Napi::Value held = value(key);
  return !held.IsUndefined() && !held.IsNull();
}

int64_t Reader::integer(const char* key, int64_t least, int64_t most) const {
  const Napi::Value held = value(key);
  if (!isInteger(held, least, most)) wrong(key, between(least, most));
  return held.As<Napi::Number>().Int64Value();
}

double Reader::real(const char* key) const {
  const Napi::Value held = value(key);
  const double number = held.IsNumber() ? held.As<Napi::Number>().DoubleValue() : NAN;
  if (!std::isfinite(number)) wrong(key, "a finite number");
  return number;
}

float Reader::narrow(const char* key) const {
  const float number = static_cast<float>(real(key));
  if (!std::isfinite(number)) wrong(key, "a number within the range of 32-bit floats");
  return number;
}

bool Reader::boolean(const char* key) const {
  const Napi::Value held = value(key);
  if (!held.IsBoolean()) wrong(key, "true or false");
  return held.As<Napi::Boolean>();
}

std::string Reader::text(const char* key) const {
  const Napi::Value held = value(key);
  if (!held.IsString()) wrong(key, "a string");
  return held.As<Napi::String>();
}

std::vector<Reader> Reader::children(const char* key) const {
  const Napi::Value held = value(key);
  if (!held.IsArray()) wrong(key, "an array");
  const auto array = held.As<Napi::Array>();
  std::vector<Reader> items;
  for (uint32_t i = 0; i < array.Length(); i++) {
    items.emplace_back(array.Get(i), name + "." + key + "[" + std::to_string(i) + "]");
  }
  return items;
}

template <class Item, napi_typedarray_type type>
std::vector<Item> Reader::array(const char* key, const char* right) const {
  const Napi::Value held = value(key);
  if (!isArray(held, type)) wrong(key, right);
  const auto items = held.As<Napi::TypedArrayOf<Item>>();
  return {items.Data(), items.Data() + items.ElementLength()};
}

std::vector<float> Reader::floats(const char* key) const {
  auto items = array<float, napi_float32_array>(key, "a Float32Array");
  for (float item : items) {
    if (!std::isfinite(item)) wrong(key, "finite numbers");
  }
  return items;
}

std::vector<double> Reader::doubles(const char* key) const {
  auto items = array<double, napi_float64_array>(key, "a Float64Array");
  for (double item : items) {
    if (!std::isfinite(item)) wrong(key, "finite numbers");
  }
  return items;
}

std::vector<int32_t> Reader::ints(const char* key, int limit) const {
  auto items = array<int32_t, napi_int32_array>(key, "an Int32Array");
  for (int32_t item : items) {
    if (item < 0 || item >= limit) wrong(key, between(0, int64_t{limit} - 1) + " in every place");
  }
  return items;
}

std::vector<int32_t> Reader::ascending(const char* key, int limit) const {
  std::vector<int32_t> items = ints(key, limit);
  const auto repeat =
      std::adjacent_find(items.begin(), items.end(), [](int32_t a, int32_t b) { return a >= b; });
  if (repeat != items.end()) wrong(key, "ascending and without repeats");
  return items;
}

int Reader::choice(const char* key, std::initializer_list<const char*> names) const {
  const std::string held = text(key);
  const auto found = std::find(names.begin(), names.end(), held);
  if (found != names.end()) return static_cast<int>(found - names.begin());
  std::string list;
  for (const char* candidate : names) list += (list.empty() ? "" : ", ") + std::string(candidate);
  wrong(key, "one of " + list);
}

// ---- Arguments of functions --------------------------------------------------------------------

std::string textArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (!info[index].IsString()) invalid(std::string(name) + " must be a string");
  return info[index].As<Napi::String>();
}

int64_t integerArgument(const Napi::CallbackInfo& info, size_t index, const char* name,
                        int64_t least, int64_t most) {
  if (!isInteger(info[index], least, most)) {
    invalid(std::string(name) + " must be " + between(least, most));
  }
  return info[index].As<Napi::Number>().Int64Value();
}

IntArray int32Argument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (!isArray(info[index], napi_int32_array)) {
    invalid(std::string(name) + " must be an Int32Array");
  }
  return info[index].As<IntArray>();
}

std::vector<int32_t> copyOf(const IntArray& array) {
  return {array.Data(), array.Data() + array.ElementLength()};
}

// ---- Structs -----------------------------------------------------------------------------------

LoadOptions loadOptions(Napi::Value value) {
  const Reader from(value, "options");
  LoadOptions options;
  options.device = static_cast<Device>(from.choice("device", {"auto", "cpu", "ref", "cuda"}));
  options.card = from.index("card", 0, largestInt);
  options.threads = from.index("threads", 0, 4096);
  options.isa = from.text("isa");
  options.overrides.attentionBlock = from.index("attentionBlock", -1, largestInt);
  options.overrides.logitShift = from.index("logitShift", -1, 1);
  options.overrides.mask = from.index("mask", -1, largestInt);
  return options;
}

CommitRule commitRule(const Reader& from, int length) {
  CommitRule rule;
  rule.score = static_cast<Score>(
      from.choice("score", {"probability", "margin", "negEntropy", "random", "position"}));
  rule.select = static_cast<Select>(
      from.choice("select", {"topK", "threshold", "factor", "entropyBound", "all"}));
  rule.k = from.index("k", 0, largestInt);
  rule.tau = from.real("tau");
  rule.strict = from.boolean("strict");
  rule.min = from.index("min", 0, largestInt);
  rule.factor = from.real("factor");
  rule.literal = from.boolean("literal");
  rule.gamma = from.real("gamma");
  rule.begin = from.index("begin", 0, length);
  rule.end = from.index("end", rule.begin, length);
  rule.seed = static_cast<uint64_t>(from.integer("seed", 0, largestSafe));
  rule.step = static_cast<uint32_t>(from.integer("step", 0, largestWord));
  return rule;
}

std::vector<float> biasOf(const Reader& commit, int length) {
  if (!commit.present("bias")) return {};
  std::vector<float> values = commit.floats("bias");
  if (values.size() != static_cast<size_t>(length)) {
    invalid("commit.bias must hold one value per canvas position (" + std::to_string(length) + ")");
  }
  return values;
}

namespace {

std::vector<SoftEntry> softEntries(const Reader& from, int length, int vocabulary) {
  const std::vector<int32_t> position = from.ascending("position", length);
  const std::vector<float> alpha = from.floats("alpha"), weight = from.floats("weight");
  const std::vector<int32_t> token = from.ints("token", vocabulary);
  const size_t n = position.size(), k = n == 0 ? 0 : token.size() / n;
  if (alpha.size() != n || token.size() != n * k || weight.size() != n * k) {
    invalid("soft: alpha must be as long as position, token and weight k times as long");
  }
  std::vector<SoftEntry> entries(n);
  for (size_t i = 0; i < n; i++) {
    const auto row = static_cast<std::ptrdiff_t>(i * k),
               end = static_cast<std::ptrdiff_t>((i + 1) * k);
    entries[i].position = position[i];
    entries[i].alpha = alpha[i];
    entries[i].tokens.assign(token.begin() + row, token.begin() + end);
    entries[i].weights.assign(weight.begin() + row, weight.begin() + end);
  }
  return entries;
}

std::vector<Credit> credits(const Reader& from, int length, int vocabulary) {
  const std::vector<int32_t> position = from.ints("position", length);
  const std::vector<int32_t> token = from.ints("token", vocabulary);
  const std::vector<float> value = from.floats("value");
  if (token.size() != position.size() || value.size() != position.size()) {
    invalid("credit: position, token and value must have the same length");
  }
  std::vector<Credit> entries;
  for (size_t i = 0; i < position.size(); i++) entries.push_back({position[i], token[i], value[i]});
  std::sort(entries.begin(), entries.end(), [](const Credit& a, const Credit& b) {
    return std::tie(a.position, a.token) < std::tie(b.position, b.token);
  });
  return entries;
}

std::vector<Limit> limits(const Reader& from, int length, int vocabulary) {
  std::vector<Limit> entries;
  for (const Reader& item : from.children("limits")) {
    entries.push_back({item.ascending("positions", length), item.ascending("suppress", vocabulary),
                       item.ascending("allow", vocabulary)});
  }
  return entries;
}

}  // namespace

StepRequest stepRequest(const Reader& from, int length, int vocabulary) {
  StepRequest request;
  request.rows = from.ascending("rows", length);
  request.visible = from.ascending("visible", length);
  request.query = from.ascending("query", length);
  if (const int begin = from.index("maskedFrom", -1, length); begin >= 0) {
    request.masked = {begin, from.index("maskedTo", begin, length)};
  }
  request.shadow = from.ascending("shadow", length);
  request.guidance = from.narrow("guidance");
  if (from.present("soft")) request.soft = softEntries(from.child("soft"), length, vocabulary);
  if (from.present("credit")) request.credits = credits(from.child("credit"), length, vocabulary);
  request.suppress = from.ascending("suppress", vocabulary);
  request.allow = from.ascending("allow", vocabulary);
  request.limits = limits(from, length, vocabulary);
  request.unchosen = from.ascending("unchosen", vocabulary);
  request.unscored = from.ascending("unscored", vocabulary);
  request.probe = from.ascending("probe", vocabulary);
  HeadOptions& head = request.head;
  head.temperature = from.narrow("temperature");
  head.topK = from.index("topK", 0, vocabulary);
  head.topP = from.narrow("topP");
  if (head.temperature < 0 || head.topP <= 0 || head.topP > 1) {
    invalid("temperature must be at least 0, and topP above 0 and at most 1");
  }
  head.tempered = from.boolean("tempered");
  head.seed = static_cast<uint64_t>(from.integer("seed", 0, largestSafe));
  head.step = static_cast<uint32_t>(from.integer("step", 0, largestWord));
  head.list = from.index("list", 0, vocabulary);
  head.kl = from.boolean("kl");
  head.logits = from.boolean("logits");
  if (from.present("commit")) {
    const Reader commit = from.child("commit");
    request.commit = commitRule(commit, length);
    request.bias = biasOf(commit, length);
  }
  return request;
}

}  // namespace lacuna::addon
