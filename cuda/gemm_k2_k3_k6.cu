// Products with Q2_K, Q3_K and Q6_K weights: groups of 16.
#include "gemm_kernels.cuh"

namespace lacuna::cuda {

GEMM_KERNELS(Q2_K, FormatQ2_K)
GEMM_KERNELS(Q3_K, FormatQ3_K)
GEMM_KERNELS(Q6_K, FormatQ6_K)

}  // namespace lacuna::cuda
