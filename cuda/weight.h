#pragma once
#include <memory>

#include "../native/backend.h"
#include "driver.h"

namespace lacuna::cuda {

// A weight in device memory.
struct CudaWeight : Weight {
  DeviceBuffer memory;
  const float* vector() const { return memory.as<float>(); }  // Use::vector: (cols)
};

inline const CudaWeight& cudaWeight(const Weight& weight) {
  return static_cast<const CudaWeight&>(weight);
}

}  // namespace lacuna::cuda
