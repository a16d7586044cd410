#pragma once
#include "gemm.cuh"
#include "head.cuh"

// The kernels of `linear`, of grouped experts and of the head, three widths per format.
namespace lacuna::cuda {

// Writes a slab to y with what the epilogue says. A warp has a row at a time: 128 bytes at once.
DEVICE void storeOutputs(const GemmArguments& a, const Outputs& out) {
  for (int r = warp(); r < out.rows; r += static_cast<int>(blockDim.x) / 32) {
    float* y = a.y + (out.firstRow + r) * a.yStride + out.firstColumn;
    for (int c = lane(); c < out.columns; c += 32) {
      float value = out.values[r * kSlabStride + c];
      if (a.bias) value += __ldg(a.bias + out.firstColumn + c);
      if (a.epilogue == GemmEpilogue::add) value = y[c] + value;
      if (a.epilogue == GemmEpilogue::glu) value = y[c] / (1.0f + expf(-y[c])) * value;
      y[c] = value;
    }
  }
}

// The head shares the kernels of `linear`: its reduction needs fewer registers than the products,
// and kernels of its own would double what there is to compile and to embed.
struct Finish {
  const GemmArguments& a;

  DEVICE void operator()(const Outputs& out) const {
    if (a.head) {
      reduceTile(*a.head, out);
    } else {
      storeOutputs(a, out);
    }
  }
};

// Blocks on a multiprocessor: enough warps to hide latencies, with the registers of the sums.
#define GEMM_KERNEL(name, Format, width, blocks)                                   \
  KERNEL_BLOCKS(gemm##name##x##width, gemmThreads(Format::element, width), blocks, \
                GemmArguments) {                                                   \
    gemm<Format, width>(a, Finish{a});                                             \
  }
#define GEMM_KERNELS(name, Format) \
  GEMM_KERNEL(name, Format, 8, 4)  \
  GEMM_KERNEL(name, Format, 32, 3) \
  GEMM_KERNEL(name, Format, 128, 1)

}  // namespace lacuna::cuda
