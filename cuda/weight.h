#pragma once
#include <memory>

#include "../native/backend.h"
#include "driver.h"
#include "matrix.h"

namespace lacuna::cuda {

// A weight in device memory.
struct CudaWeight : Weight {
  std::shared_ptr<std::byte> memory;  // device: of its own, or a part of the model's
  Matrix matrix{};                    // all uses but vector; experts: the first of `depth`
  int format = 0;                     // which of the products' kernels: see gemm_plan.h
  // Use::vector: (cols)
  const float* vector() const { return reinterpret_cast<const float*>(memory.get()); }
  // Terms of the activations that it meets.
  int terms() const { return use == Use::precise && matrix.element != Element::f32 ? 2 : 1; }
};

inline const CudaWeight& cudaWeight(const Weight& weight) {
  return static_cast<const CudaWeight&>(weight);
}

}  // namespace lacuna::cuda
