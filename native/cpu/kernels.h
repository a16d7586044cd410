#pragma once
#include <cstddef>
#include <cstdint>

// What an instruction set provides: one table of functions, filled by kernels.inc. Kernels see
// plain memory, never throw, never allocate and never start threads: backend.cpp splits the work.
//
// This header is included by files compiled for one ISA each: it must not emit code, and no
// standard header with inline functions may be added to it, since the linker keeps one copy for
// everybody.
namespace lacuna::cpu {

enum class Element { int8, f32, f16, bf16 };

// A weight as the tile reads it: `nr` output columns side by side, all of k, then the next tile.
// Rows past the end of the matrix are zero.
//   int8:  data [tile][k / 4][nr][4], bytes xor Kernels::flip; scale, offset [tile][k / group][nr]
//   float: data [tile][k][nr]
struct Panels {
  Element element = Element::f32;
  int cols = 0;          // k
  int group = 0;         // int8: 16 or 32, elements per scale
  bool precise = false;  // int8: wants activations of two terms
  const void* data = nullptr;
  size_t tileBytes = 0;
  const float* scale = nullptr;
  const float* offset = nullptr;  // nullptr: all zero
};

// Activations quantised per 32: x ≈ scale · q, or in two terms x ≈ scale · (256 q + fine).
struct Quantised {
  const int8_t* q = nullptr;     // (rows, cols) in [-127, 127]
  const int8_t* fine = nullptr;  // the same, or nullptr
  const float* scale = nullptr;  // (rows, cols / 32)
  const int32_t* sum = nullptr;  // (rows, cols / group): sums of q or of 256 q + fine
};

// The rows a product reads: x for float panels, the quantised ones for int8.
struct GemmInput {
  const float* x = nullptr;  // (rows, cols)
  Quantised quantised;
};

enum class Finish { store, add, glu };

// y (rows, columns) = x · wᵀ for the tiles [firstTile, lastTile); column 0 of y is the first of
// them.
struct Gemm {
  const Panels* w = nullptr;
  int firstTile = 0, lastTile = 0;
  int columns = 0;  // columns of y that exist, at most (lastTile − firstTile) · nr
  int rows = 0;
  GemmInput input;
  float* y = nullptr;
  int64_t yStride = 0;          // floats between rows of y
  const float* bias = nullptr;  // (columns) or nullptr
  Finish finish = Finish::store;
};

// Some rows of one head against the packed keys and values of its kv head.
struct AttentionJob {
  const float* q = nullptr;  // (rows, headDim), stride
  float* o = nullptr;        // same
  int64_t stride = 0;        // floats between rows of q and of o
  int rows = 0, headDim = 0;
  float scale = 0;
  const float* keys = nullptr;      // [key / nr][headDim][nr], zero padded to a whole key block
  const float* values = nullptr;    // [headDim / nr][keyCapacity][nr], zero padded
  int keyCapacity = 0;              // keys, rounded up to kKeyBlock
  const int32_t* limit = nullptr;   // (rows) keys seen
  const int32_t* except = nullptr;  // (rows, 2) keys not seen, −1: none
  const float* const* ownKey = nullptr;    // (rows) one more key, entries may be nullptr
  const float* const* ownValue = nullptr;  // (rows)
  float* scratch = nullptr;                // attentionScratch(headDim) floats
};
constexpr int kKeyBlock = 128;      // keys per round of the online softmax
constexpr int kAttentionRows = 12;  // rows that share a pass over the keys

inline size_t attentionScratch(int headDim) {
  return static_cast<size_t>(kAttentionRows) * (kKeyBlock + static_cast<size_t>(headDim) + 64);
}

// The Gumbel noise of one row of logits: session/philox.h defines it.
struct Draw {
  uint64_t seed = 0;
  uint32_t step = 0, position = 0;
  float temperature = 1;
};
constexpr int kDraw = 32;  // tokens whose noise is drawn together
// No noise made of 23 random bits is larger: −log(−log(1 − 2⁻²⁴)).
constexpr float kMostNoise = 16.64f;

struct Kernels {
  const char* name;   // "avx2"
  const char* title;  // "AVX2"
  int nr;             // columns of a tile
  uint8_t flip;       // see Panels

  void (*gemm)(const Gemm& g);
  // One row: q, fine (cols; fine may be nullptr), scale (cols / 32), sum (cols / group). cols is a
  // multiple of 32.
  void (*quantise)(const float* x, int cols, int group, int8_t* q, int8_t* fine, float* scale,
                   int32_t* sum);
  // y (cols) = x / sqrt(mean(x²) + eps) · scale. y may be x.
  void (*norm)(float* y, const float* x, const float* scale, int cols, float eps);
  // Rotates the first `dims` of a head in place. Half-split: cosines, sines (dims / 2).
  void (*ropeHalf)(float* x, const float* cosines, const float* sines, int dims);
  // Interleaved: cosines (dims), each twice; sines (dims), −s then s.
  void (*ropePairs)(float* x, const float* cosines, const float* sines, int dims);
  // y (n) += a · x (n).
  void (*axpy)(float* y, float a, const float* x, int n);
  void (*attention)(const AttentionJob& job);

  // Reductions over one vocabulary block; n is a multiple of 16, padded with −infinity.
  float (*maximum)(const float* z, int n);
  // First index ≥ from with z > bound, or n.
  int (*nextAbove)(const float* z, int from, int n, float bound);
  // Of the groups of kDraw tokens from `from` on, the first that holds tokens whose score
  // z / temperature + noise may reach `best`: a bit for each, and the group's uniforms (kDraw), of
  // which the noise is −log(−log(uniform)). Returns where it starts, or n. z[0] is token t0, a
  // multiple of 4; n is a multiple of kDraw. No token that reaches `best` is left out.
  int (*nextContenders)(const Draw& draw, const float* z, int t0, int from, int n, float best,
                        uint32_t* contenders, float* uniforms);
  // With d = (z − max) · rate: sum += Σ e^d, weighted += Σ d·e^d.
  void (*expSums)(const float* z, int n, float max, float rate, double* sum, double* weighted);
  // sum += Σ e^(z − max), before += Σ e^(b − beforeMax), cross += Σ e^(z − max) · (z − b).
  void (*crossSums)(const float* z, const float* b, int n, float max, float beforeMax, double* sum,
                    double* before, double* cross);

  // Operations done by `iterations` rounds of the tile's own instructions on operands in registers
  // and L1: what the arithmetic units can do at most. `sink` keeps the work alive.
  double (*peakInt8)(int64_t iterations, float* sink);
  double (*peakFloat)(int64_t iterations, float* sink);
};

}  // namespace lacuna::cpu
