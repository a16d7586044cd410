// Products with Q4_0, Q4_1, Q5_0 and Q5_1 weights.
#include "gemm_kernels.cuh"

namespace lacuna::cuda {

GEMM_KERNELS(Q4_0, FormatQ4_0)
GEMM_KERNELS(Q4_1, FormatQ4_1)
GEMM_KERNELS(Q5_0, FormatQ5_0)
GEMM_KERNELS(Q5_1, FormatQ5_1)

}  // namespace lacuna::cuda
