// Products with F32, F16 and BF16 weights.
#include "gemm_kernels.cuh"

namespace lacuna::cuda {

GEMM_KERNELS(F32, Floats)
GEMM_KERNELS(F16, Halves)

}  // namespace lacuna::cuda
