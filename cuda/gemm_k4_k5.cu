// Products with Q4_K and Q5_K weights.
#include "gemm_kernels.cuh"

namespace lacuna::cuda {

GEMM_KERNELS(Q4_K, FormatQ4_K)
GEMM_KERNELS(Q5_K, FormatQ5_K)

}  // namespace lacuna::cuda
