#pragma once
#include <span>

// The compiled kernels inside this binary: made by CMake when nvcc is there.
namespace lacuna::cuda {

struct Module {
  const char* name;   // of the .cu file
  const void* image;  // a fat binary
};

struct Modules {
  std::span<const Module> list;  // empty: built without nvcc
  const char* architectures;     // "75 80 86 89 90 100 120 and PTX 120"
  int version;                   // of CUDA that compiled them: 13000 is 13.0
};
const Modules& modules();

}  // namespace lacuna::cuda
