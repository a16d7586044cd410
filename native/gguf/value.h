#pragma once
#include <string>
#include <string_view>

#include "gguf.h"

// Metadata values as C++ values. BAD_GGUF that names file and key when the type or range is wrong.
namespace lacuna {

// 'name' for messages: see printable.
std::string quoted(std::string_view name);

// Bytes of one value of a fixed-size type; 0 for strings and arrays.
size_t valueBytes(ValueType type);
const char* valueName(ValueType type);  // "u32"

int64_t toInteger(const Value& value, const std::string& path, std::string_view key);
double toNumber(const Value& value, const std::string& path, std::string_view key);
bool toBoolean(const Value& value, const std::string& path, std::string_view key);
std::string toString(const Value& value, const std::string& path, std::string_view key);

}  // namespace lacuna
