#include "gguf.h"

#include <cstdio>
#include <cstring>
#include <functional>
#include <map>

#include "../error.h"
#include "part.h"
#include "value.h"

namespace lacuna {

struct Gguf::Parts {
  std::string path;
  std::vector<Part> files;  // metadata is that of the first
  std::vector<TensorView> tensors;
  // Ordered, not hashed: no choice of names in a hostile file makes these slow.
  std::map<std::string_view, size_t> keyIndex, tensorIndex;
};

namespace {

// "…/model-00002-of-00003.gguf": stem "…/model", no 2, count 3.
struct SplitName {
  std::string stem;
  int no = 0, count = 0;

  std::string part(int number) const {
    char tail[32];
    std::snprintf(tail, sizeof tail, "-%05d-of-%05d.gguf", number, count);
    return stem + tail;
  }
};

std::optional<int> fiveDigits(std::string_view text) {
  int number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    number = 10 * number + (c - '0');
  }
  return number;
}

std::optional<SplitName> parseSplitName(const std::string& path) {
  const std::string_view pattern = "-00000-of-00000.gguf";
  if (path.size() < pattern.size()) return std::nullopt;
  const size_t start = path.size() - pattern.size();
  const std::string_view tail = std::string_view(path).substr(start);
  const auto no = fiveDigits(tail.substr(1, 5));
  const auto count = fiveDigits(tail.substr(10, 5));
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || tail.substr(15) != ".gguf" || !no || !count)
    return std::nullopt;
  if (*no < 1 || *no > *count) return std::nullopt;
  return SplitName{path.substr(0, start), *no, *count};
}

int64_t splitKey(const Part& part, std::string_view key, int64_t absent) {
  const Value* value = part.value(key);
  return value ? toInteger(*value, part.path, key) : absent;
}

void checkSplitKey(const Part& part, std::string_view key, int64_t wanted) {
  const int64_t found = splitKey(part, key, -1);
  if (found != wanted)
    throw Error(Code::badGguf, part.path + ": key " + quoted(key) + " is " +
                                   (found < 0 ? "missing" : std::to_string(found)) + ", must be " +
                                   std::to_string(wanted) + " by the file's name");
}

std::vector<Part> parseParts(const std::string& path) {
  std::vector<Part> parts;
  const std::optional<SplitName> split = parseSplitName(path);
  if (!split || split->count == 1) {
    parts.push_back(parsePart(path));
    const int64_t count = splitKey(parts[0], "split.count", 1);
    if (count > 1)
      throw Error(Code::badGguf, path + ": is one of " + std::to_string(count) +
                                     " parts (key 'split.count'), so its name must end like "
                                     "-00001-of-00003.gguf for the other parts to be found");
    return parts;
  }
  for (int no = 1; no <= split->count; ++no) {
    parts.push_back(parsePart(split->part(no)));
    checkSplitKey(parts.back(), "split.count", split->count);
    checkSplitKey(parts.back(), "split.no", no - 1);
  }
  return parts;
}

}  // namespace

std::shared_ptr<Gguf> Gguf::open(const std::string& path) {
  auto all = std::make_unique<Parts>();
  all->path = path;
  all->files = parseParts(path);
  size_t count = 0;
  for (const Part& part : all->files) count += part.tensors.size();
  all->tensors.reserve(count);
  for (Part& part : all->files)
    for (TensorView& tensor : part.tensors) {
      if (!all->tensors.empty() && all->tensorIndex.count(tensor.name))
        throw Error(Code::badGguf, part.path + ": tensor " + quoted(tensor.name) +
                                       " is in an earlier part as well");
      all->tensors.push_back(std::move(tensor));
      // The vector was reserved in full: the name stays where it is.
      all->tensorIndex.emplace(all->tensors.back().name, all->tensors.size() - 1);
    }
  for (Part& part : all->files) part.tensors = {};
  const Part& first = all->files[0];
  const int64_t promised = splitKey(first, "split.tensors.count", static_cast<int64_t>(count));
  if (promised != static_cast<int64_t>(count))
    throw Error(Code::badGguf, first.path + ": key 'split.tensors.count' is " +
                                   std::to_string(promised) + ", but the parts hold " +
                                   std::to_string(count) + " tensors");
  for (size_t i = 0; i < first.metadata.size(); ++i)
    all->keyIndex.emplace(first.metadata[i].first, i);
  return std::shared_ptr<Gguf>(new Gguf(std::move(all)));
}

Gguf::Gguf(std::unique_ptr<Parts> all) : parts(std::move(all)) {}
Gguf::~Gguf() = default;

const std::string& Gguf::path() const { return parts->path; }
uint32_t Gguf::version() const { return parts->files[0].version; }

size_t Gguf::fileBytes() const {
  size_t bytes = 0;
  for (const Part& part : parts->files) bytes += part.mapping.size();
  return bytes;
}

std::vector<std::string> Gguf::partPaths() const {
  std::vector<std::string> paths;
  for (const Part& part : parts->files) paths.push_back(part.path);
  return paths;
}

const std::vector<TensorView>& Gguf::tensors() const { return parts->tensors; }

const TensorView* Gguf::find(std::string_view name) const {
  const auto found = parts->tensorIndex.find(name);
  return found == parts->tensorIndex.end() ? nullptr : &parts->tensors[found->second];
}

std::pair<size_t, size_t> Gguf::place(const TensorView& tensor) const {
  const std::less<> before;
  for (size_t i = 0; i < parts->files.size(); ++i) {
    const Mapping& mapping = parts->files[i].mapping;
    const uint8_t *begin = mapping.data(), *end = begin + mapping.size();
    if (!before(tensor.data, begin) && before(tensor.data, end))
      return {i, static_cast<size_t>(tensor.data - begin)};
  }
  throw Error(Code::internal, "tensor " + quoted(tensor.name) + " is in no part of its file");
}

const std::vector<std::pair<std::string, Value>>& Gguf::metadata() const {
  return parts->files[0].metadata;
}

const Value* Gguf::value(std::string_view key) const {
  const auto found = parts->keyIndex.find(key);
  return found == parts->keyIndex.end() ? nullptr : &metadata()[found->second].second;
}

std::optional<int64_t> Gguf::integer(std::string_view key) const {
  const Value* found = value(key);
  return found ? std::optional(toInteger(*found, path(), key)) : std::nullopt;
}

std::optional<double> Gguf::number(std::string_view key) const {
  const Value* found = value(key);
  return found ? std::optional(toNumber(*found, path(), key)) : std::nullopt;
}

std::optional<bool> Gguf::boolean(std::string_view key) const {
  const Value* found = value(key);
  return found ? std::optional(toBoolean(*found, path(), key)) : std::nullopt;
}

std::optional<std::string> Gguf::string(std::string_view key) const {
  const Value* found = value(key);
  return found ? std::optional(toString(*found, path(), key)) : std::nullopt;
}

namespace {

template <class T>
T need(std::optional<T> value, const std::string& path, std::string_view key) {
  if (!value) throw Error(Code::badGguf, path + ": missing key " + quoted(key));
  return *std::move(value);
}

}  // namespace

int64_t Gguf::needInteger(std::string_view key) const { return need(integer(key), path(), key); }
double Gguf::needNumber(std::string_view key) const { return need(number(key), path(), key); }
std::string Gguf::needString(std::string_view key) const { return need(string(key), path(), key); }

std::string Gguf::identity() const {
  std::string all;
  for (const Part& part : parts->files) all += part.mapping.identity() + ";";
  return all;
}

void Gguf::release(const TensorView& tensor) {
  for (Part& part : parts->files) part.mapping.release(tensor.data, tensor.bytes);
}

void Gguf::release() {
  for (Part& part : parts->files) part.mapping.release(part.mapping.data(), part.mapping.size());
}

std::vector<std::string_view> stringArray(const Value& value) {
  std::vector<std::string_view> strings;
  strings.reserve(value.count);
  const uint8_t* at = value.data;
  for (uint64_t i = 0; i < value.count; ++i) {
    uint64_t length;
    std::memcpy(&length, at, sizeof length);
    strings.emplace_back(reinterpret_cast<const char*>(at + sizeof length), length);
    at += sizeof length + length;
  }
  return strings;
}

std::string printable(std::string_view name) {
  constexpr size_t most = 80;
  std::string text;
  for (const char c : name.substr(0, most)) {
    if (c >= ' ' && c <= '~') {
      text += c;
    } else {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(c));
      text += escaped;
    }
  }
  return name.size() > most ? text + "..." : text;
}

std::string quoted(std::string_view name) {
  std::string text(1, '\'');
  text += printable(name);
  text += '\'';
  return text;
}

}  // namespace lacuna
