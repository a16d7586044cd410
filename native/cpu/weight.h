#pragma once
#include <atomic>

#include "../backend.h"
#include "kernels.h"
#include "pages.h"
#include "threads.h"

namespace lacuna::cpu {

// A weight repacked for one instruction set.
struct CpuWeight : Weight {
  // matrix, precise, experts: all matrices' tiles in one row; matrix d starts at tile d · tiles.
  Panels panels;
  int tiles = 0, nr = 0;
  // table: rows as in the file, decoded when looked up.
  Type type = Type::f32;
  size_t rowBytes = 0;

  Pages data;

  const float* vector() const { return data.as<float>(); }
};

inline const CpuWeight& cpuWeight(const Weight& weight) {
  return static_cast<const CpuWeight&>(weight);
}

// Throws UNSUPPORTED_TYPE, BAD_GGUF (too large), OUT_OF_MEMORY, ABORTED.
WeightPtr pack(const TensorView& view, Use use, const Kernels& kernels, Threads& threads,
               const std::atomic<bool>& cancelled);

// What `pack` will make resident, from type and shape alone (view.data is not read). Same errors.
size_t packedBytes(const TensorView& view, Use use, const Kernels& kernels);

// One row of a table or of a matrix to f32: out (cols). From panels it is the very number that a
// product multiplies with.
void decodeRow(const CpuWeight& w, int64_t row, float* out);

}  // namespace lacuna::cpu
