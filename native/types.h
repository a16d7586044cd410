#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace lacuna {

// Tensor types by their number in a GGUF file.
enum class Type : uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q2_K = 10,
  q3_K = 11,
  q4_K = 12,
  q5_K = 13,
  q6_K = 14,
  iq4_nl = 20,
  iq4_xs = 23,
  bf16 = 30,
};

// A tensor where it lies in the mapped file. GGUF stores the fastest dimension first:
// dims {cols, rows, depth}; element (d, r, c) is number (d * rows + r) * cols + c.
// Quantised blocks run along cols, so one row is cols / blockSize blocks.
struct TensorView {
  std::string name;
  Type type = Type::f32;
  int64_t cols = 1, rows = 1, depth = 1;
  const uint8_t* data = nullptr;
  size_t bytes = 0;

  int64_t elements() const { return cols * rows * depth; }
};

}  // namespace lacuna
