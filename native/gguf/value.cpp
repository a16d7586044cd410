#include "value.h"

#include <cmath>
#include <cstring>

#include "../error.h"

namespace lacuna {

namespace {

struct ValueInfo {
  const char* name;
  size_t bytes;
};

// In the order of their numbers.
constexpr ValueInfo values[] = {
    {"u8", 1},   {"i8", 1},     {"u16", 2},   {"i16", 2}, {"u32", 4}, {"i32", 4}, {"f32", 4},
    {"bool", 1}, {"string", 0}, {"array", 0}, {"u64", 8}, {"i64", 8}, {"f64", 8},
};

template <class T>
T load(const Value& value) {
  T result;
  std::memcpy(&result, value.data, sizeof result);
  return result;
}

[[noreturn]] void fail(const Value& value, const std::string& path, std::string_view key,
                       const char* wanted) {
  throw Error(Code::badGguf, path + ": key " + quoted(key) + " is of type " +
                                 valueName(value.type) + ", must be " + wanted);
}

}  // namespace

size_t valueBytes(ValueType type) { return values[static_cast<size_t>(type)].bytes; }
const char* valueName(ValueType type) { return values[static_cast<size_t>(type)].name; }

int64_t toInteger(const Value& value, const std::string& path, std::string_view key) {
  switch (value.type) {
    case ValueType::u8: return load<uint8_t>(value);
    case ValueType::i8: return load<int8_t>(value);
    case ValueType::u16: return load<uint16_t>(value);
    case ValueType::i16: return load<int16_t>(value);
    case ValueType::u32: return load<uint32_t>(value);
    case ValueType::i32: return load<int32_t>(value);
    case ValueType::i64: return load<int64_t>(value);
    case ValueType::u64: {
      const uint64_t number = load<uint64_t>(value);
      if (number > static_cast<uint64_t>(INT64_MAX))
        throw Error(Code::badGguf, path + ": key " + quoted(key) + " is " + std::to_string(number) +
                                       ", out of range");
      return static_cast<int64_t>(number);
    }
    default: fail(value, path, key, "an integer");
  }
}

double toNumber(const Value& value, const std::string& path, std::string_view key) {
  double number = 0;
  switch (value.type) {
    case ValueType::f32: number = load<float>(value); break;
    case ValueType::f64: number = load<double>(value); break;
    case ValueType::boolean:
    case ValueType::string:
    case ValueType::array: fail(value, path, key, "a number");
    default: number = static_cast<double>(toInteger(value, path, key));
  }
  if (!std::isfinite(number))
    throw Error(Code::badGguf, path + ": key " + quoted(key) + " is not a finite number");
  return number;
}

bool toBoolean(const Value& value, const std::string& path, std::string_view key) {
  if (value.type != ValueType::boolean) fail(value, path, key, "a boolean");
  return load<uint8_t>(value) != 0;
}

std::string toString(const Value& value, const std::string& path, std::string_view key) {
  if (value.type != ValueType::string) fail(value, path, key, "a string");
  return std::string(reinterpret_cast<const char*>(value.data), value.bytes);
}

}  // namespace lacuna
