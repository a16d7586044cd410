#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../types.h"

// GGUF files, versions 2 and 3, memory-mapped. The parser checks every count, offset, alignment,
// type and length before it uses it; what it hands out are views into the mapping.
namespace lacuna {

// Value types by their number in the file.
enum class ValueType : uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64,
};

// One metadata value where it lies in the mapping. Arrays of arrays are rejected as BAD_GGUF.
struct Value {
  ValueType type = ValueType::u32;
  ValueType element = ValueType::u32;  // of an array
  uint64_t count = 1;                  // elements of an array
  // First byte: of a string its first character, of an array its first element. Elements of a
  // string array keep their lengths: see stringArray.
  const uint8_t* data = nullptr;
  size_t bytes = 0;
};

// A read-only mapping of a whole file. Move-only.
class Mapping {
 public:
  explicit Mapping(const std::string& path);  // UTF-8 path; throws FILE_ERROR
  Mapping(Mapping&&) noexcept;
  Mapping& operator=(Mapping&&) noexcept;
  ~Mapping();
  const uint8_t* data() const;
  size_t size() const;
  // Tells this file from every other, and from what it is after a change: volume, number, size,
  // times. The number cannot be given to another file while the mapping lives.
  const std::string& identity() const;
  // Hint: whole pages within these bytes are no longer needed in memory. They stay readable.
  void release(const uint8_t* data, size_t bytes);

 private:
  struct Handle;
  std::unique_ptr<Handle> handle;
};

// One model: a GGUF file, or all parts of a split one (give any part or the first; the others are
// found by name, `-00001-of-0000N`).
class Gguf {
 public:
  // Throws FILE_ERROR, BAD_GGUF (names file, key or tensor), UNSUPPORTED_TYPE.
  static std::shared_ptr<Gguf> open(const std::string& path);

  const std::string& path() const;
  uint32_t version() const;
  size_t fileBytes() const;  // of all parts
  std::vector<std::string> partPaths() const;

  const std::vector<TensorView>& tensors() const;       // in file order
  const TensorView* find(std::string_view name) const;  // nullptr when absent
  // Number of the part that holds a tensor, and its first byte's offset in it.
  std::pair<size_t, size_t> place(const TensorView& tensor) const;

  const std::vector<std::pair<std::string, Value>>& metadata() const;  // in file order
  const Value* value(std::string_view key) const;                      // nullptr when absent

  // Typed access. Absent: std::nullopt. Present with another type or out of range: BAD_GGUF that
  // names file and key. Integers of any width and sign are accepted where they fit.
  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;  // floats and integers
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string> string(std::string_view key) const;
  // The same, but absent is BAD_GGUF "… missing key".
  int64_t needInteger(std::string_view key) const;
  double needNumber(std::string_view key) const;
  std::string needString(std::string_view key) const;

  std::string identity() const;            // of all parts: see Mapping
  void release(const TensorView& tensor);  // after upload: its pages may leave memory
  void release();                          // the same for whole files
 private:
  struct Parts;
  std::unique_ptr<Parts> parts;
  explicit Gguf(std::unique_ptr<Parts>);

 public:
  ~Gguf();
};

// The elements of a string array, in order, as views into the mapping.
std::vector<std::string_view> stringArray(const Value& value);

// A name from a file, made fit for a message: ASCII, odd bytes as \xNN, cut after 80 bytes.
std::string printable(std::string_view name);

}  // namespace lacuna
