#pragma once
#include <atomic>

#include "../backend.h"
#include "kernels.h"
#include "pages.h"
#include "threads.h"

namespace lacuna::cpu {

// A weight repacked for one instruction set.
struct CpuWeight : Weight {
  // matrix, experts: all matrices' tiles in one row; matrix d starts at tile d · tiles.
  Panels panels;
  int tiles = 0;
  // table: rows as in the file, decoded when looked up.
  Type type = Type::f32;
  size_t rowBytes = 0;

  Pages data, scales, offsets;

  const float* vector() const { return data.as<float>(); }
};

inline const CpuWeight& cpuWeight(const Weight& weight) {
  return static_cast<const CpuWeight&>(weight);
}

// Throws UNSUPPORTED_TYPE, OUT_OF_MEMORY, ABORTED.
WeightPtr pack(const TensorView& view, Use use, const Kernels& kernels, Threads& threads,
               const std::atomic<bool>& cancelled);

// Bytes of the weight that pack makes.
uint64_t packedBytes(const TensorView& view, Use use, const Kernels& kernels);

}  // namespace lacuna::cpu
