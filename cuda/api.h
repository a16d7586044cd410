#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

// NVIDIA's driver API as far as we use it, opened at run time (libcuda.so.1, nvcuda.dll), so that
// neither building nor running needs its headers or libraries. Names and numbers are NVIDIA's.
namespace lacuna::cuda {

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct CUctx_st*;
using CUmodule = struct CUmod_st*;
using CUfunction = struct CUfunc_st*;
using CUstream = struct CUstream_st*;
using CUgraph = struct CUgraph_st*;
using CUgraphNode = struct CUgraphNode_st*;
using CUgraphExec = struct CUgraphExec_st*;

struct CUDA_KERNEL_NODE_PARAMS {  // the first version, which cuGraphAddKernelNode takes
  CUfunction func;
  unsigned gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
  void** kernelParams;
  void** extra;
};

enum : CUresult {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_NO_DEVICE = 100,
  CUDA_ERROR_NOT_FOUND = 500,
};
enum : int {  // CUdevice_attribute, CUfunction_attribute and flags
  CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
  CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE = 38,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
  CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97,
  CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES = 1,
  CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8,
  CU_STREAM_NON_BLOCKING = 1,
};

// name(parameters), then the symbol where it is not the name.
#define LACUNA_CUDA_API(F)                                                                        \
  F(cuInit, "cuInit", (unsigned flags))                                                           \
  F(cuDriverGetVersion, "cuDriverGetVersion", (int* version))                                     \
  F(cuGetErrorName, "cuGetErrorName", (CUresult error, const char** name))                        \
  F(cuGetErrorString, "cuGetErrorString", (CUresult error, const char** text))                    \
  F(cuDeviceGetCount, "cuDeviceGetCount", (int* count))                                           \
  F(cuDeviceGet, "cuDeviceGet", (CUdevice * device, int ordinal))                                 \
  F(cuDeviceGetName, "cuDeviceGetName", (char* name, int length, CUdevice device))                \
  F(cuDeviceGetAttribute, "cuDeviceGetAttribute", (int* value, int attribute, CUdevice device))   \
  F(cuDeviceTotalMem, "cuDeviceTotalMem_v2", (size_t* bytes, CUdevice device))                    \
  F(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain", (CUcontext * context, CUdevice device)) \
  F(cuDevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2", (CUdevice device))                 \
  F(cuCtxPushCurrent, "cuCtxPushCurrent_v2", (CUcontext context))                                 \
  F(cuCtxPopCurrent, "cuCtxPopCurrent_v2", (CUcontext * context))                                 \
  F(cuMemGetInfo, "cuMemGetInfo_v2", (size_t* free, size_t* total))                               \
  F(cuMemAlloc, "cuMemAlloc_v2", (CUdeviceptr * address, size_t bytes))                           \
  F(cuMemFree, "cuMemFree_v2", (CUdeviceptr address))                                             \
  F(cuMemHostAlloc, "cuMemHostAlloc", (void** address, size_t bytes, unsigned flags))             \
  F(cuMemFreeHost, "cuMemFreeHost", (void* address))                                              \
  F(cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2",                                                    \
    (CUdeviceptr to, const void* from, size_t bytes, CUstream stream))                            \
  F(cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2",                                                    \
    (void* to, CUdeviceptr from, size_t bytes, CUstream stream))                                  \
  F(cuMemcpyDtoDAsync, "cuMemcpyDtoDAsync_v2",                                                    \
    (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream))                            \
  F(cuMemsetD8Async, "cuMemsetD8Async",                                                           \
    (CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream))                         \
  F(cuStreamCreate, "cuStreamCreate", (CUstream * stream, unsigned flags))                        \
  F(cuStreamDestroy, "cuStreamDestroy_v2", (CUstream stream))                                     \
  F(cuStreamSynchronize, "cuStreamSynchronize", (CUstream stream))                                \
  F(cuModuleLoadData, "cuModuleLoadData", (CUmodule * module, const void* image))                 \
  F(cuModuleUnload, "cuModuleUnload", (CUmodule module))                                          \
  F(cuModuleGetFunction, "cuModuleGetFunction",                                                   \
    (CUfunction * function, CUmodule module, const char* name))                                   \
  F(cuFuncGetAttribute, "cuFuncGetAttribute", (int* value, int attribute, CUfunction function))   \
  F(cuFuncSetAttribute, "cuFuncSetAttribute", (CUfunction function, int attribute, int value))    \
  F(cuLaunchKernel, "cuLaunchKernel",                                                             \
    (CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,        \
     unsigned blockY, unsigned blockZ, unsigned sharedBytes, CUstream stream, void** parameters,  \
     void** extra))                                                                               \
  F(cuGraphCreate, "cuGraphCreate", (CUgraph * graph, unsigned flags))                            \
  F(cuGraphDestroy, "cuGraphDestroy", (CUgraph graph))                                            \
  F(cuGraphAddKernelNode, "cuGraphAddKernelNode",                                                 \
    (CUgraphNode * node, CUgraph graph, const CUgraphNode* dependencies, size_t count,            \
     const CUDA_KERNEL_NODE_PARAMS* parameters))                                                  \
  F(cuGraphInstantiate, "cuGraphInstantiateWithFlags",                                            \
    (CUgraphExec * executable, CUgraph graph, unsigned long long flags))                          \
  F(cuGraphExecDestroy, "cuGraphExecDestroy", (CUgraphExec executable))                           \
  F(cuGraphLaunch, "cuGraphLaunch", (CUgraphExec executable, CUstream stream))

struct Api {
  std::string missing;  // why there is no driver to talk to; empty when there is
  int version = 0;      // of CUDA that the driver speaks: 12040 is 12.4
#define LACUNA_CUDA_POINTER(name, symbol, parameters) CUresult(*name) parameters = nullptr;
  LACUNA_CUDA_API(LACUNA_CUDA_POINTER)
#undef LACUNA_CUDA_POINTER

  // Throws INTERNAL naming the call.
  void check(CUresult result, const char* call) const;
  std::string text(CUresult result) const;
};

// Opened and initialised on the first call; stays for the life of the process.
const Api& api();

}  // namespace lacuna::cuda
