#include "part.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <set>

#include "../error.h"
#include "../quant/quant.h"
#include "value.h"

// The parser. A file is hostile until checked: nothing is allocated, skipped or pointed at before
// its count or length has been compared with the bytes that are left.
namespace lacuna {

namespace {

// More than any real file has; they keep the index of a hostile file small.
constexpr uint64_t maxKeys = 1 << 16;
constexpr uint64_t maxTensors = 1 << 16;
// Least bytes of an entry: a key's length, type and value; a tensor's name length, dimension count,
// one dimension, type and offset.
constexpr uint64_t leastKeyBytes = 8 + 4 + 1;
constexpr uint64_t leastTensorBytes = 8 + 4 + 8 + 4 + 8;
constexpr uint64_t maxAlignment = 64 * 1024;

class Reader {
 public:
  explicit Reader(const Part& part)
      : part(part), data(part.mapping.data()), size(part.mapping.size()) {}

  size_t position() const { return at; }
  uint64_t left() const { return size - at; }

  [[noreturn]] void fail(const std::string& message) const {
    throw Error(Code::badGguf, part.path + ": " + message);
  }

  // `what` names the thing in messages: "the value of key general.name".
  const uint8_t* take(uint64_t bytes, const std::string& what) {
    if (bytes > left())
      fail("the file ends inside " + what + " (" + std::to_string(bytes) + " bytes wanted, " +
           std::to_string(left()) + " left); it is truncated or damaged");
    const uint8_t* result = data + at;
    at += bytes;
    return result;
  }

  template <class T>
  T read(const std::string& what) {
    T value;
    std::memcpy(&value, take(sizeof value, what), sizeof value);
    return value;
  }

  std::string_view string(const std::string& what) {
    const uint64_t length = read<uint64_t>(what);
    return {reinterpret_cast<const char*>(take(length, what)), static_cast<size_t>(length)};
  }

  // A count whose entries take at least `least` bytes each.
  uint64_t count(uint64_t most, uint64_t least, const std::string& what) {
    const uint64_t result = read<uint64_t>("the number of " + what);
    if (result > most || result > left() / least)
      fail("the header counts " + std::to_string(result) + " " + what +
           ", more than the file can hold");
    return result;
  }

 private:
  const Part& part;
  const uint8_t* data;
  size_t size;
  size_t at = 0;
};

uint32_t readHeader(Reader& in) {
  if (in.left() == 0) in.fail("is empty, must be a GGUF file");
  const std::string_view magic(reinterpret_cast<const char*>(in.take(4, "the header")), 4);
  if (magic != "GGUF" && magic != "FUGG")
    in.fail("is not a GGUF file: it starts with " + quoted(magic) + ", must be 'GGUF'");
  const uint32_t version = in.read<uint32_t>("the header");
  if (magic == "FUGG" || (version != 0 && (version & 0xffff) == 0))
    in.fail("is a big-endian GGUF file; convert it to little-endian");
  if (version != 2 && version != 3)
    in.fail("has GGUF version " + std::to_string(version) + ", must be 2 or 3");
  return version;
}

ValueType checkedType(Reader& in, uint32_t number, std::string_view key) {
  if (number > static_cast<uint32_t>(ValueType::f64))
    in.fail("key " + quoted(key) + " has unknown value type " + std::to_string(number));
  return static_cast<ValueType>(number);
}

void readArray(Reader& in, Value& value, std::string_view key, const std::string& what) {
  value.element = checkedType(in, in.read<uint32_t>(what), key);
  value.count = in.read<uint64_t>(what);
  if (value.element == ValueType::array)
    in.fail("key " + quoted(key) + " is an array of arrays, which GGUF models do not use");
  const bool strings = value.element == ValueType::string;
  const uint64_t least = strings ? 8 : valueBytes(value.element);
  if (value.count > in.left() / least)
    in.fail("key " + quoted(key) + " is an array of " + std::to_string(value.count) +
            " elements, more than the file can hold");
  const size_t first = in.position();
  value.data = in.take(strings ? 0 : value.count * least, what);
  if (strings)
    for (uint64_t i = 0; i < value.count; ++i) in.string(what);
  value.bytes = in.position() - first;
}

Value readValue(Reader& in, std::string_view key) {
  const std::string what = "the value of key " + quoted(key);
  Value value;
  value.type = checkedType(in, in.read<uint32_t>(what), key);
  if (value.type == ValueType::array) {
    readArray(in, value, key, what);
  } else if (value.type == ValueType::string) {
    const std::string_view text = in.string(what);
    value.data = reinterpret_cast<const uint8_t*>(text.data());
    value.bytes = text.size();
  } else {
    value.bytes = valueBytes(value.type);
    value.data = in.take(value.bytes, what);
  }
  return value;
}

void readMetadata(Reader& in, Part& part, uint64_t count) {
  part.metadata.reserve(count);
  std::set<std::string_view> seen;
  for (uint64_t i = 0; i < count; ++i) {
    const std::string_view key = in.string("the name of key number " + std::to_string(i + 1));
    if (!seen.insert(key).second) in.fail("has key " + quoted(key) + " twice");
    part.metadata.emplace_back(std::string(key), readValue(in, key));
  }
}

uint64_t alignmentOf(Reader& in, const Part& part) {
  const std::string_view key = "general.alignment";
  const Value* value = part.value(key);
  if (!value) return 32;
  const int64_t alignment = toInteger(*value, part.path, key);
  const bool powerOfTwo = alignment > 0 && (alignment & (alignment - 1)) == 0;
  if (!powerOfTwo || alignment < 8 || alignment > static_cast<int64_t>(maxAlignment))
    in.fail("key 'general.alignment' is " + std::to_string(alignment) +
            ", must be a power of two from 8 to " + std::to_string(maxAlignment));
  return static_cast<uint64_t>(alignment);
}

// a·b, or the largest number when that overflows.
uint64_t saturatingProduct(uint64_t a, uint64_t b) {
  const uint64_t most = std::numeric_limits<uint64_t>::max();
  return b != 0 && a > most / b ? most : a * b;
}

void readShape(Reader& in, TensorView& tensor, const std::string& what) {
  const uint32_t dimensions = in.read<uint32_t>(what);
  if (dimensions < 1 || dimensions > 4)
    in.fail(what + " has " + std::to_string(dimensions) + " dimensions, must have 1 to 4");
  uint64_t dims[4] = {1, 1, 1, 1};
  uint64_t elements = 1;
  for (uint32_t d = 0; d < dimensions; ++d) {
    dims[d] = in.read<uint64_t>(what);
    if (dims[d] == 0) in.fail(what + " has a dimension of 0");
    elements = saturatingProduct(elements, dims[d]);
  }
  if (elements > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    in.fail(what + " has more than 2^63 elements");
  if (dims[3] != 1)
    in.fail(what + " has a fourth dimension of " + std::to_string(dims[3]) + ", must be 1");
  tensor.cols = static_cast<int64_t>(dims[0]);
  tensor.rows = static_cast<int64_t>(dims[1]);
  tensor.depth = static_cast<int64_t>(dims[2]);
}

void readType(Reader& in, const Part& part, TensorView& tensor, const std::string& what) {
  const uint32_t number = in.read<uint32_t>(what);
  const TypeInfo* info = typeInfo(number);
  if (!info)
    throw Error(Code::unsupportedType, part.path + ": " + what + " has " + foreignType(number) +
                                           ", must be one of " + supportedTypes());
  tensor.type = info->type;
  if (tensor.cols % info->blockSize != 0)
    in.fail(what + " has rows of " + std::to_string(tensor.cols) +
            " elements, must be a multiple of " + std::to_string(info->blockSize) + " for " +
            info->name);
  const uint64_t blocks = static_cast<uint64_t>(tensor.elements()) / info->blockSize;
  tensor.bytes = saturatingProduct(blocks, info->blockBytes);
}

// Reads the tensor list; returns the offsets into the data section, which is not known yet.
std::vector<uint64_t> readTensors(Reader& in, Part& part, uint64_t count) {
  std::vector<uint64_t> offsets;
  offsets.reserve(count);
  part.tensors.reserve(count);
  std::set<std::string_view> seen;
  for (uint64_t i = 0; i < count; ++i) {
    const std::string_view name = in.string("the name of tensor number " + std::to_string(i + 1));
    const std::string what = "tensor " + quoted(name);
    if (!seen.insert(name).second) in.fail("has " + what + " twice");
    TensorView tensor;
    tensor.name = name;
    readShape(in, tensor, what);
    readType(in, part, tensor, what);
    offsets.push_back(in.read<uint64_t>(what));
    part.tensors.push_back(std::move(tensor));
  }
  return offsets;
}

// Points every tensor at its bytes, which must lie inside the data section.
void placeTensors(Reader& in, Part& part, const std::vector<uint64_t>& offsets) {
  if (part.tensors.empty()) return;
  const uint64_t alignment = alignmentOf(in, part);
  const uint64_t padding = (alignment - in.position() % alignment) % alignment;
  in.take(padding, "the padding before the tensor data");
  const uint64_t bytes = in.left();
  const uint8_t* data = in.take(bytes, "the tensor data");
  for (size_t i = 0; i < offsets.size(); ++i) {
    TensorView& tensor = part.tensors[i];
    const std::string what = "tensor " + quoted(tensor.name);
    if (offsets[i] % alignment != 0)
      in.fail(what + " is at offset " + std::to_string(offsets[i]) + ", must be a multiple of " +
              std::to_string(alignment));
    if (offsets[i] > bytes || tensor.bytes > bytes - offsets[i])
      in.fail(what + " takes " + std::to_string(tensor.bytes) + " bytes at offset " +
              std::to_string(offsets[i]) + " of the tensor data, which has only " +
              std::to_string(bytes) + "; the file is truncated or damaged");
    tensor.data = data + offsets[i];
  }
}

// Tensors that share bytes would let a small file ask for any amount of memory.
void checkOverlap(Reader& in, const Part& part) {
  std::vector<const TensorView*> order;
  order.reserve(part.tensors.size());
  for (const TensorView& tensor : part.tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(),
            [](const TensorView* a, const TensorView* b) { return a->data < b->data; });
  for (size_t i = 1; i < order.size(); ++i)
    if (order[i - 1]->data + order[i - 1]->bytes > order[i]->data)
      in.fail("tensors " + quoted(order[i - 1]->name) + " and " + quoted(order[i]->name) +
              " overlap");
}

}  // namespace

const Value* Part::value(std::string_view key) const {
  for (const auto& [name, value] : metadata)
    if (name == key) return &value;
  return nullptr;
}

Part parsePart(const std::string& path) {
  Part part{path, Mapping(path), 0, {}, {}};
  Reader in(part);
  part.version = readHeader(in);
  const uint64_t tensors = in.count(maxTensors, leastTensorBytes, "tensors");
  const uint64_t keys = in.count(maxKeys, leastKeyBytes, "keys");
  readMetadata(in, part, keys);
  placeTensors(in, part, readTensors(in, part, tensors));
  checkOverlap(in, part);
  return part;
}

}  // namespace lacuna
