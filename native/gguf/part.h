#pragma once
#include <string>
#include <utility>
#include <vector>

#include "gguf.h"

namespace lacuna {

// One file, parsed and checked. Everything in it points into the mapping.
struct Part {
  std::string path;
  Mapping mapping;
  uint32_t version = 0;
  std::vector<std::pair<std::string, Value>> metadata;  // in file order, keys unique
  std::vector<TensorView> tensors;                      // in file order, names unique, no overlap

  const Value* value(std::string_view key) const;  // nullptr when absent
};

// Throws FILE_ERROR, BAD_GGUF, UNSUPPORTED_TYPE.
Part parsePart(const std::string& path);

}  // namespace lacuna
