// Products with Q8_0, IQ4_NL and IQ4_XS weights.
#include "gemm_kernels.cuh"

namespace lacuna::cuda {

GEMM_KERNELS(Q8_0, FormatQ8_0)
GEMM_KERNELS(IQ4_NL, FormatIQ4_NL)
GEMM_KERNELS(IQ4_XS, FormatIQ4_XS)

}  // namespace lacuna::cuda
