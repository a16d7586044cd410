#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "../gguf/gguf.h"
#include "spec.h"
#include "weights.h"

namespace lacuna {

enum class Device { automatic, cpu, reference, cuda };

struct LoadOptions {
  Device device = Device::automatic;
  int card = 0;     // of device cuda, among the machine's cards
  int threads = 0;  // 0: as many as the machine has cores
  std::string isa;  // "": the best this machine runs; else "scalar", "avx2", "avx512", "neon"
  SpecOverrides overrides;
};

// Working memory of a forward over at most `rows` rows; grows, never shrinks.
struct Activations {
  int rows = 0;
  MemoryPtr memory;
  Tensor x, h;      // (rows, dim) residual stream; normalised input
  Tensor q, o;      // (rows, heads · headDim)
  Tensor k, v;      // (rows, kvHeads · headDim)
  Tensor f;         // (rows, ffn)
  Tensor reported;  // (rows, dim) normalised hidden rows for the head
};

// A loaded model: numbers, weights, and a backend of its own. Shared by its sessions; only the
// activations change after loading, and only the thread that runs steps touches them.
struct Model {
  ModelSpec spec;
  std::shared_ptr<Gguf> file;  // metadata (tokenizer) stays readable
  std::unique_ptr<Backend> backend;
  WeightsPtr weights;  // maybe those of other models of the same file, too
  Activations activations;

  void reserve(int rows);  // OUT_OF_MEMORY
};

// Reads the spec alone (inspect).
ModelSpec readSpec(const Gguf& file, const SpecOverrides& overrides = {});

// Models of the same file (not of one that has changed since) whose backends have the same layout
// share their weights: see shared.h. `progress` rises, some times a second, and ends with all
// bytes. Throws any Error of gguf.h, UNSUPPORTED_ARCHITECTURE, NO_CUDA, OUT_OF_MEMORY, ABORTED.
std::shared_ptr<Model> loadModel(const std::string& path, const LoadOptions& options,
                                 const Progress& progress, const std::atomic<bool>& cancelled);
// The same on a backend that is there already.
std::shared_ptr<Model> loadModel(const std::string& path, const SpecOverrides& overrides,
                                 std::unique_ptr<Backend> backend, const Progress& progress,
                                 const std::atomic<bool>& cancelled);

// What a session of `length` positions takes, in bytes. Activations belong to the model: of several
// sessions, those of the largest step count once.
struct SessionBytes {
  uint64_t cache = 0;        // K/V rows of all layers, canvas
  uint64_t activations = 0;  // of a step over all positions
};
SessionBytes sessionBytes(const ModelSpec& spec, int length);

// A backend by device: automatic is the first card that models can run on, else the CPU. NO_CUDA
// when the card asked for cannot be used; INVALID_ARGUMENT for an ISA this machine lacks.
std::unique_ptr<Backend> makeBackend(const LoadOptions& options);
std::unique_ptr<Backend> makeReferenceBackend();     // ref/reference.cpp
std::unique_ptr<Backend> makeCudaBackend(int card);  // cuda/backend.cpp
int firstCudaCard();                                 // -1: none that can be used; cuda/backend.cpp
std::unique_ptr<Backend> makeCpuBackend(int threads, const std::string& isa);  // cpu/backend.cpp
std::vector<std::string> cpuIsas();  // usable on this machine, best first; cpu/dispatch.cpp

}  // namespace lacuna
