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

enum class Element { coded, f32, f16, bf16 };

// A weight as the tile reads it: `nr` output columns side by side, all of k, then the next tile.
// Rows past the end of the matrix are zero.
//   float: data [tile][k][nr]
//   coded: w = scale · (code − zero) + offset, or scale · level + offset. As small as in the file:
//     codes lie in bit planes of whole k steps, a k step being the codes [nr][4] of 4 k. Per 32 k:
//       8 bits:   [8 steps][nr][4]
//       4, 5, 6:  [4][nr][4] low nibbles, vector j holding steps 2j (low half) and 2j + 1
//       2, 3, 6:  [2][nr][4] the next 2 bits, vector j holding steps 4j .. 4j + 3, lowest first
//       3, 5:     [nr][4] the top bit of all 8 steps, lowest first
//     scale = d · (the group's integer, where scaleAt says that there is one), offset likewise.
struct Panels {
  Element element = Element::f32;
  int cols = 0;          // k
  bool precise = false;  // coded: wants activations of two terms
  const uint8_t* data = nullptr;
  size_t tileBytes = 0;

  // coded:
  int bits = 0;            // of a code: 2, 3, 4, 5, 6 or 8
  int zero = 0;            // the code of 0
  bool nonlinear = false;  // 4 bits that are indices into Kernels' levels
  int group = 0;           // elements per scale: 16 or 32
  int block = 0;           // elements per d: 32 or 256
  // Bytes into a tile; 0: there are none.
  size_t scaleAt = 0;    // int8 [k / group][nr]
  size_t minimumAt = 0;  // int8 [k / group][nr]
  size_t dAt = 0;        // half [k / block][nr]
  size_t mAt = 0;        // half [k / block][nr]
};

// Activations quantised per 32: x ≈ scale · q, or in two terms x ≈ scale · (256 q + fine).
struct Quantised {
  const int8_t* q = nullptr;       // (rows, cols) in [-127, 127]
  const int8_t* fine = nullptr;    // the same, or nullptr
  const float* scale = nullptr;    // (rows, cols / 32)
  const int32_t* sum16 = nullptr;  // (rows, cols / 16): sums of q or of 256 q + fine
  const int32_t* sum32 = nullptr;  // (rows, cols / 32)
};

// The rows a product reads: x for float panels, the quantised ones for coded.
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

// Keys that are looked at together: `count` positions from `first`, which lie between two multiples
// of kKeyBlock. `listed`: not all of them are visible, see AttentionJob::bias.
struct KeyBlock {
  int first = 0, count = 0;
  bool listed = false;
};
constexpr int kKeyBlock = 128;  // keys per round of the online softmax

// Some rows of one segment against the keys and values of one kv head. A row here is one of q in
// one of the `group` heads that share the kv head: number i is head i % group of row i / group of
// the segment.
struct AttentionJob {
  const float* q = nullptr;  // row 0 of the segment, first head of the group
  float* o = nullptr;        // same
  int64_t stride = 0;        // floats between rows of q and of o
  int headDim = 0, group = 0;
  int first = 0, rows = 0;  // numbers [first, first + rows)
  float scale = 0;          // on q·k, times log2 e
  // A plane of one kv head: see CpuBackend::storeFresh.
  const float* keys = nullptr;    // [position / nr][headDim][nr]
  const float* values = nullptr;  // [headDim / nr][capacity][nr], the last tile maybe narrower
  int capacity = 0;               // positions of the plane
  const KeyBlock* blocks = nullptr;
  int blockCount = 0;
  const float* bias = nullptr;   // (capacity) 0 where visible, else far below every score
  const int32_t* end = nullptr;  // (rows) keys at positions before `end` are seen
  // Shadow rows begin at row `ordinary` of the segment.
  int ordinary = 0;
  const int32_t* positions = nullptr;  // (rows of the segment)
  const int32_t* hidden = nullptr;     // (shadow rows)
  const float* freshKeys = nullptr;    // row 0 of the segment, this kv head
  const float* freshValues = nullptr;  // same
  int64_t freshStride = 0;             // floats between rows of both
  float* scratch = nullptr;            // attentionScratch(rows, headDim) floats
};

inline size_t attentionScratch(int rows, int headDim) {
  return static_cast<size_t>(rows) * (kKeyBlock + 2 * static_cast<size_t>(headDim) + 96);
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
  bool signedCodes;   // codes of 8 bits are kept as code − 128, with 0 for zero

  void (*gemm)(const Gemm& g);
  // One row: q, fine (cols; fine may be nullptr), scale (cols / 32), sum16 (cols / 16), sum32
  // (cols / 32). cols is a multiple of 32.
  void (*quantise)(const float* x, int cols, int8_t* q, int8_t* fine, float* scale, int32_t* sum16,
                   int32_t* sum32);
  // y (cols) = x / sqrt(mean(x²) + eps) · scale. y may be x.
  void (*norm)(float* y, const float* x, const float* scale, int cols, float eps);
  // Rotates the first `dims` of a head in place. Half-split: cosines, sines (dims / 2).
  void (*ropeHalf)(float* x, const float* cosines, const float* sines, int dims);
  // Interleaved: cosines (dims), each twice; sines (dims), −s then s.
  void (*ropePairs)(float* x, const float* cosines, const float* sines, int dims);
  // y (n) += a · x (n).
  void (*axpy)(float* y, float a, const float* x, int n);
  void (*attention)(const AttentionJob& job);

  // Reductions over one vocabulary block; n is a multiple of 64, padded with −infinity.
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
  // y (n) = e^((z − max) · rate).
  void (*exponentials)(float* y, const float* z, int n, float max, float rate);
  // sum += Σ e^(z − max), before += Σ e^(b − beforeMax), cross += Σ e^(z − max) · (z − b).
  void (*crossSums)(const float* z, const float* b, int n, float max, float beforeMax, double* sum,
                    double* before, double* cross);

  // Operations done by `iterations` rounds of the tile's own instructions on operands in registers
  // and L1: what the arithmetic units can do at most. `sink` keeps the work alive.
  double (*peakInt8)(int64_t iterations, float* sink);
  double (*peakFloat)(int64_t iterations, float* sink);
};

}  // namespace lacuna::cpu
