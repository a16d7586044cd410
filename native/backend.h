#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "error.h"
#include "types.h"

// THE seam: twelve verbs between the model and what computes it. model/ and session/ see only this
// file; ref/ (the oracle), cpu/ and cuda/ implement it. Every pointer marked `backend` may be
// dereferenced by the backend alone (it can be device memory); the rest is host memory.
namespace lacuna {

// Memory of a backend.
struct Memory {
  virtual ~Memory() = default;
  float* data = nullptr;  // backend
  size_t count = 0;       // floats
};
using MemoryPtr = std::unique_ptr<Memory>;

// A row-major view of backend memory: (rows, cols).
struct Tensor {
  float* data = nullptr;  // backend
  int rows = 0, cols = 0;

  Tensor slice(int first, int count) const {
    return {data + static_cast<int64_t>(first) * cols, count, cols};
  }
  Tensor reshape(int newRows, int newCols) const { return {data, newRows, newCols}; }
};

// How a weight will be read, which decides its layout.
enum class Use {
  vector,   // (cols) f32: norms, biases
  table,    // (rows, cols): rows are looked up (embedding)
  matrix,   // (rows, cols): y = x Wᵀ, x (n, cols), y (n, rows)
  precise,  // a matrix that feeds a router, where 8-bit activations are too coarse: see linear
  experts,  // (depth, rows, cols): one matrix per expert
};

// A weight as the backend keeps it. Read-only after upload. Models may share it, so it does not
// depend on the Backend object that uploaded it and may outlive it.
struct Weight {
  virtual ~Weight() = default;
  std::string name;
  Use use = Use::matrix;
  int64_t cols = 0, rows = 0, depth = 1;
  size_t bytes = 0;  // resident bytes in the backend

  void describe(const TensorView& view, Use read) {
    name = view.name;
    use = read;
    cols = view.cols;
    rows = view.rows;
    depth = view.depth;
  }
};
using WeightPtr = std::shared_ptr<const Weight>;

enum class Epilogue {
  store,  // y = Wx + b
  add,    // y = y + Wx + b          (residual)
  glu,    // y = silu(y) * (Wx + b)  (y holds the gate)
};

// Soft masking (arXiv 2510.17206): the row's input is
//   (1 − alpha) · E[mask] + alpha · Σ_j weights[j] · E[tokens[j]].
// alpha = 0 gives E[mask] bit for bit.
struct SoftRow {
  int row = 0;       // row of x
  float alpha = 0;   // 0..1
  int32_t mask = 0;  // mask token
  int count = 0;     // entries
  const int32_t* tokens = nullptr;
  const float* weights = nullptr;
};

// Rotary embedding, reduced to one frequency per pair; every scaling kind (linear, yarn, frequency
// factors) is already inside `frequencies` and `magnitude`.
struct Rope {
  bool interleaved = false;         // pairs (2i, 2i+1); else (i, i + dims/2)
  int dims = 0;                     // rotated leading part of each head
  std::vector<double> frequencies;  // (dims / 2) radians per position
  float magnitude = 1;              // factor on cos and sin (yarn)
};

// Positions for which a session's K/V planes have room: length, rounded up so that a backend can
// keep them in panels.
constexpr int kPlaneRows = 32;
constexpr int planeRows(int length) { return (length + kPlaneRows - 1) / kPlaneRows * kPlaneRows; }

struct AttentionShape {
  int heads = 0, kvHeads = 0, headDim = 0;  // q row: heads * headDim; k, v rows: kvHeads * headDim
  float scale = 0;                          // on q·k, 1 / sqrt(headDim)
};

// The rows of one session in a step. `attend` first writes the fresh K/V of the ordinary rows of
// all segments to the sessions' memory, then lets every row look at its keys:
//   ordinary row r: visible[0 .. limit[r])
//   shadow row r:   the same without the positions positions[r] and hidden[r - (rows - shadows)],
//                   plus its own fresh K/V.
struct Segment {
  // This layer's planes of the session, planeRows(length) · kvHeads · headDim floats each in an
  // order of the backend's own; zeros at first.
  float *keys = nullptr, *values = nullptr;  // backend
  class Canvas* canvas = nullptr;            // whose tokens the ordinary rows hold; may be null
  int length = 0;                            // canvas positions
  int firstRow = 0;                          // of q, k, v, o
  int rows = 0;                              // all rows of the segment; the shadow rows come last
  int shadows = 0;                           // how many of them are shadow rows
  bool storeOnly = false;              // K/V is written, but no row attends: no rows of q and o, no
                                       // shadows, and visible and limit are not read
  const int32_t* positions = nullptr;  // (rows) canvas positions
  const int32_t* visible = nullptr;    // (visibleCount) key positions, ascending
  int visibleCount = 0;
  const int32_t* limit = nullptr;   // (rows) 1 .. visibleCount (a shadow row may have 0)
  const int32_t* hidden = nullptr;  // (shadows) the left-out position of each shadow row: its own,
                                    // or with a logit shift the next one
};

struct Experts {
  const Weight* router = nullptr;                                // matrix (experts, dim)
  const Weight *gate = nullptr, *up = nullptr, *down = nullptr;  // experts
  int used = 0;              // top-k of the softmax over all experts
  bool renormalise = false;  // divide the used weights by their sum
};

// A logit that gets `value` added (credits).
struct Credit {
  int32_t position = 0, token = 0;
  float value = 0;
};

// Options of the head for the rows of one session.
struct HeadOptions {
  float temperature = 0;  // 0: argmax. > 0: argmax of z/T + Gumbel noise, an exact sample
  int topK = 0;           // sample among the k largest (0: all)
  float topP = 1;         // nucleus, the token that crosses p is kept (1: all)
  bool tempered = false;  // statistics describe the tempered and filtered distribution the token is
                          // drawn from (Dream) instead of softmax(z) (LLaDA)
  uint64_t seed = 0;      // noise is Philox4x32-10 by (seed, step, position, token)
  uint32_t step = 0;
  // Token sets, ascending, without duplicates.
  std::span<const int32_t> suppress;  // logit −∞: neither in the softmax nor chosen
  std::span<const int32_t> allow;     // not empty: every other token is suppressed
  std::span<const int32_t> unchosen;  // in the softmax but never chosen (the mask token)
  std::span<const int32_t> unscored;  // chosen on their logits but outside the softmax:
                                      // probability 0 (LLaDA's confidence_eos_eot_inf)
  std::span<const int32_t> probe;     // tokens whose probability is reported
  std::span<const Credit> credits;    // sorted by (position, token)
  int list = 0;                       // length of the top list (0: none)
  bool kl = false;                    // KL(p_now ‖ p_before) per position
  bool logits = false;                // whole logit rows (evaluation only)
};

// One reported position.
struct HeadRow {
  int hidden = 0;          // row of x: normalised hidden state
  int unconditional = -1;  // row of x, −1: no guidance
  float guidance = 0;      // z = (1 − s)·z_u + s·z_c, taken on the hidden rows (the head is linear)
  int32_t position = 0;    // canvas position: noise counter, credits
  int options = 0;         // index into the list of HeadOptions
  float* previous = nullptr;  // backend (dim): hidden row of the position's last report, replaced
                              // by this one; nullptr when KL is off
  bool hasPrevious = false;   // false: kl is +infinity
};

// What the head throws when no token may be chosen. A logit that is not a number counts as −∞.
inline Error noToken(int32_t position) {
  return {Code::invalidArgument,
          "no token can be chosen for position " + std::to_string(position) +
              ": suppress and allow leave none, or the model computes no numbers (NaN) there"};
}

// Host arrays of the whole step, one entry per HeadRow; lists and probes are per options and padded
// to `list` and `probe` of the row's options, back to back in row order.
struct HeadResult {
  std::vector<int32_t> token;
  // Doubles: commits are ranked by probabilities that can all be 1 − 10⁻⁸.
  std::vector<double> probability;  // of token
  std::vector<double> margin;       // largest minus second largest probability
  std::vector<double> entropy;      // nats
  std::vector<float> kl;            // (rows) if any options ask for it, else empty
  std::vector<int32_t> topToken;    // most probable first; ties: the lower token
  std::vector<float> topProbability;
  std::vector<float> probe;
  std::vector<float> logits;  // (rows with logits, vocab): z after guidance, before anything else
};

// Time spent per verb in one step, nanoseconds.
struct Timing {
  int64_t embed = 0, norm = 0, linear = 0, rope = 0, attend = 0, moe = 0, head = 0, commit = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;  // "cpu (AVX2, 2 threads)"
  // What decides how weights lie in memory: backends of equal layouts can share them. "cpu avx2"
  virtual std::string layout() const = 0;

  // Zeros, or a copy of the first `floats` floats of `source`. Throws OUT_OF_MEMORY naming
  // the bytes asked for.
  virtual MemoryPtr alloc(size_t floats, const Memory* source = nullptr) = 0;
  // Copies and repacks: the view may be unmapped afterwards. Throws UNSUPPORTED_TYPE,
  // OUT_OF_MEMORY. `cancelled` is polled now and then: ABORTED.
  virtual WeightPtr upload(const TensorView& view, Use use, const std::atomic<bool>& cancelled) = 0;
  // Bytes of the weight that upload would make, without reading the tensor.
  virtual uint64_t weightBytes(const TensorView& view, Use use) const = 0;
  // Takes the memory that the uploads after it will use: `bytes` is the sum of their weightBytes.
  // OUT_OF_MEMORY names it and what is free, and then nothing was taken. A backend whose memory is
  // the system's need not do anything.
  virtual void reserve(uint64_t /*bytes*/) {}
  // What alloc and upload may still take, in bytes; 0: not known.
  virtual uint64_t freeBytes() const { return 0; }
  // Devices that could be loaded on in this one's place.
  struct Other {
    std::string option;  // "cuda:1"
    std::string name;
    uint64_t freeBytes = 0;
  };
  virtual std::vector<Other> others() const { return {}; }

  // Models that the kernels are made for; 0: any.
  struct Limits {
    int headDim = 0;  // largest; and only even ones
    int experts = 0;  // of a layer, most
  };
  virtual Limits limits() const { return {}; }

  // Bracket a step. A backend may only record what the verbs between them ask for, so memory and
  // weights that they name live until end(); lists are read at once. After end() the results are in
  // host memory (HeadResult, canvases) and timing() is that step's. end() throws what the step met,
  // and then no canvas has changed. begin() forgets a step that was left without end().
  virtual void begin() = 0;
  virtual void end() = 0;
  virtual Timing timing() const = 0;

  // How many rows make a step of another shape for the backend. A forward that is free to choose
  // how many rows a verb gets rounds up to this, with rows that nobody will read.
  virtual int rowGroup() const { return 1; }

  // x (n, dim) = rows of tokens (n) of a table, or of a matrix (a tied head is both); soft rows
  // replace theirs. A backend that has copies of canvases finds the tokens of the segments'
  // ordinary rows there.
  virtual void embed(Tensor x, const Weight& table, std::span<const int32_t> tokens,
                     std::span<const SoftRow> soft, std::span<const Segment> segments = {}) = 0;
  // y row i = x row rows[i] (empty: row i) / rms · scale. Columns may be a head: scale (cols).
  // y may be x.
  virtual void norm(Tensor y, Tensor x, const Weight& scale, float eps,
                    std::span<const int32_t> rows = {}) = 0;
  // y (n, rows of w), x (n, cols of w). A backend may round x to 8 bits for quantised weights, to
  // no less than 15 for Use::precise: a router is a step function of its input, and an expert
  // chosen wrongly costs far more than the rounding that caused it.
  virtual void linear(Tensor y, Tensor x, const Weight& w, const Weight* bias,
                      Epilogue epilogue) = 0;
  // In place on x (n, heads * headDim).
  virtual void rope(Tensor x, int headDim, std::span<const int32_t> positions,
                    const Rope& rope) = 0;
  // o, q (n, heads * headDim); k, v (n or more, kvHeads * headDim): rows past n are those of
  // store-only segments. Several segments may share the keys and values of one session.
  virtual void attend(Tensor o, Tensor q, Tensor k, Tensor v, std::span<const Segment> segments,
                      const AttentionShape& shape) = 0;
  // y (n, dim) += experts(x (n, dim)).
  virtual void moe(Tensor y, Tensor x, const Experts& experts) = 0;
  // LM head fused with the softmax statistics over vocabulary tiles; no rows × vocabulary buffer.
  virtual void head(HeadResult& result, Tensor x, const Weight& w, std::span<const HeadRow> rows,
                    std::span<const HeadOptions> options) = 0;
  // Applies rules to the statistics of this step's head() and to canvases: see session/commit.h.
  // The batch lives until end(). The default runs on the host, at once.
  virtual void commit(struct CommitBatch& batch);
};

}  // namespace lacuna
