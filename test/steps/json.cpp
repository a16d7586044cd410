#include "json.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "error.h"

namespace lacuna::steps {
namespace {

class Parser {
 public:
  explicit Parser(const std::string& text) : text(text) {}

  Json value() {
    Json json;
    const char c = peek();
    if (c == '{') {
      json.kind = Json::Kind::object;
      for (expect('{'); peek() != '}'; peek() == ',' ? expect(',') : void()) {
        const std::string name = word();
        expect(':');
        json.members[name] = value();
      }
      expect('}');
    } else if (c == '[') {
      json.kind = Json::Kind::list;
      for (expect('['); peek() != ']'; peek() == ',' ? expect(',') : void())
        json.list.push_back(value());
      expect(']');
    } else if (c == '"') {
      json.kind = Json::Kind::text;
      json.text = word();
    } else if (c == 't' || c == 'f' || c == 'n') {
      const char* const names[] = {"true", "false", "null"};
      for (const char* name : names) {
        if (text.compare(at, std::strlen(name), name) != 0) continue;
        at += std::strlen(name);
        json.kind = *name == 'n' ? Json::Kind::null : Json::Kind::number;
        json.number = *name == 't';
      }
    } else {
      json.kind = Json::Kind::number;
      char* end = nullptr;
      json.number = std::strtod(text.c_str() + at, &end);
      if (end == text.c_str() + at) fail("a value");
      at = static_cast<size_t>(end - text.c_str());
    }
    return json;
  }

 private:
  [[noreturn]] void fail(const std::string& wanted) const {
    throw Error(Code::invalidArgument,
                "JSON: " + wanted + " is missing at character " + std::to_string(at));
  }
  char peek() {
    while (at < text.size() && std::strchr(" \t\r\n", text[at])) at++;
    return at < text.size() ? text[at] : '\0';
  }
  void expect(char c) {
    if (peek() != c) fail(std::string("'") + c + "'");
    at++;
  }
  std::string word() {
    std::string result;
    for (expect('"'); at < text.size() && text[at] != '"'; at++) {
      if (text[at] == '\\') at++;
      if (at < text.size()) result += text[at];
    }
    expect('"');
    return result;
  }

  const std::string& text;
  size_t at = 0;
};

}  // namespace

const Json* Json::find(const std::string& name) const {
  const auto found = members.find(name);
  return found == members.end() ? nullptr : &found->second;
}

const Json& Json::at(const std::string& name) const {
  if (const Json* json = find(name)) return *json;
  throw Error(Code::invalidArgument, "JSON: an object has no member '" + name + "'");
}

Json parseJson(const std::string& text) { return Parser(text).value(); }

Json readJson(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(Code::fileError, path + ": cannot be read");
  std::ostringstream text;
  text << file.rdbuf();
  return parseJson(text.str());
}

}  // namespace lacuna::steps
