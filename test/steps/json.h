#pragma once
#include <map>
#include <string>
#include <vector>

namespace lacuna::steps {

// As much of JSON as our fixtures use: no escapes but \" and \\.
struct Json {
  enum class Kind { null, number, text, list, object };
  Kind kind = Kind::null;
  double number = 0;  // true is 1
  std::string text;
  std::vector<Json> list;
  std::map<std::string, Json> members;

  const Json* find(const std::string& name) const;
  const Json& at(const std::string& name) const;  // throws INVALID_ARGUMENT
};

Json parseJson(const std::string& text);  // throws INVALID_ARGUMENT
Json readJson(const std::string& path);   // and FILE_ERROR

}  // namespace lacuna::steps
