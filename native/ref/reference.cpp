// The oracle: every verb written out as its definition, sums in double, one thread. Slow, obviously
// right; what the other backends are checked against.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "../error.h"
#include "../model/model.h"
#include "../quant/quant.h"
#include "../session/commit.h"
#include "../session/philox.h"
#include "head.h"

namespace lacuna {
namespace {

struct HostMemory : Memory {
  std::vector<float> storage;
};

// f32 weights; matrices as panels of kPanel output rows, [panel][col][kPanel], so that the inner
// loop of `linear` runs over outputs and needs no reassociation to be fast enough for tests.
constexpr int kPanel = 16;

struct HostWeight : Weight {
  std::vector<float> values;

  const float* panel(int64_t matrix, int64_t tile) const {
    const int64_t tiles = (rows + kPanel - 1) / kPanel;
    return values.data() + (matrix * tiles + tile) * cols * kPanel;
  }
};

bool inPanels(Use use) { return use != Use::vector && use != Use::table; }

// Floats of the HostWeight of a tensor: panels are full.
size_t valuesOf(const TensorView& view, Use use) {
  const int64_t rows = inPanels(use) ? (view.rows + kPanel - 1) / kPanel * kPanel : view.rows;
  return static_cast<size_t>(view.depth * rows * view.cols);
}

const HostWeight& host(const Weight& weight) { return static_cast<const HostWeight&>(weight); }

// y (rows of w) = matrix `index` of w times x (cols): y[r] = Σ_c x[c] · w[r][c].
void multiply(const HostWeight& w, int64_t index, const float* x, double* y) {
  for (int64_t first = 0; first < w.rows; first += kPanel) {
    const float* panel = w.panel(index, first / kPanel);
    double sum[kPanel] = {};
    for (int64_t c = 0; c < w.cols; c++) {
      const double value = x[c];
      for (int j = 0; j < kPanel; j++) sum[j] += value * panel[c * kPanel + j];
    }
    const int64_t count = std::min<int64_t>(kPanel, w.rows - first);
    std::copy(sum, sum + count, y + first);
  }
}

double silu(double x) { return x / (1 + std::exp(-x)); }

class Reference final : public Backend {
 public:
  std::string name() const override { return "ref (scalar, double sums)"; }
  std::string layout() const override { return "ref"; }

  MemoryPtr alloc(size_t floats, const Memory* source) override {
    auto memory = std::make_unique<HostMemory>();
    try {
      memory->storage.resize(floats);
    } catch (const std::exception&) {
      throw Error(Code::outOfMemory, "out of memory: " + std::to_string(floats * sizeof(float)) +
                                         " bytes asked for on device ref");
    }
    memory->data = memory->storage.data();
    memory->count = floats;
    if (source) std::copy(source->data, source->data + floats, memory->data);
    return memory;
  }

  WeightPtr upload(const TensorView& view, Use use, const std::atomic<bool>& cancelled) override {
    auto weight = std::make_unique<HostWeight>();
    weight->describe(view, use);
    const bool panels = inPanels(use);
    const int64_t tiles = (view.rows + kPanel - 1) / kPanel;
    try {
      weight->values.resize(valuesOf(view, use));
    } catch (const std::exception&) {
      throw Error(Code::outOfMemory, "out of memory while loading tensor '" + view.name + "'");
    }
    weight->bytes = weight->values.size() * sizeof(float);
    std::vector<float> row(static_cast<size_t>(view.cols));
    const size_t bytes = rowBytes(view.type, view.cols);
    for (int64_t r = 0; r < view.depth * view.rows; r++) {
      if (cancelled) throw Error(Code::aborted, "loading was aborted");
      decodeRow(view.type, view.data + static_cast<size_t>(r) * bytes, view.cols, row.data());
      const int64_t matrix = r / view.rows, i = r % view.rows;
      if (!panels) {
        std::copy(row.begin(), row.end(), weight->values.begin() + r * view.cols);
        continue;
      }
      float* panel = weight->values.data() + (matrix * tiles + i / kPanel) * view.cols * kPanel;
      for (int64_t c = 0; c < view.cols; c++) panel[c * kPanel + i % kPanel] = row[c];
    }
    return weight;
  }

  uint64_t weightBytes(const TensorView& view, Use use) const override {
    return valuesOf(view, use) * sizeof(float);
  }

  void begin() override {}
  void end() override {}
  Timing timing() const override { return {}; }

  void embed(Tensor x, const Weight& table, std::span<const int32_t> tokens,
             std::span<const SoftRow> soft, std::span<const Segment>) override {
    const auto& values = host(table).values;
    const auto at = [&](int64_t token, int64_t c) {
      if (table.use == Use::table) return values[token * x.cols + c];
      return values[(token / kPanel * x.cols + c) * kPanel + token % kPanel];  // a tied head
    };
    for (int i = 0; i < x.rows; i++) {
      for (int c = 0; c < x.cols; c++) x.data[int64_t{i} * x.cols + c] = at(tokens[i], c);
    }
    for (const SoftRow& s : soft) {
      if (s.alpha == 0) continue;
      float* out = x.data + int64_t{s.row} * x.cols;
      for (int c = 0; c < x.cols; c++) {
        double mixed = 0;
        for (int j = 0; j < s.count; j++) mixed += double{s.weights[j]} * at(s.tokens[j], c);
        out[c] = static_cast<float>((1.0 - s.alpha) * at(s.mask, c) + s.alpha * mixed);
      }
    }
  }

  void norm(Tensor y, Tensor x, const Weight& scale, float eps,
            std::span<const int32_t> rows) override {
    const float* s = host(scale).values.data();
    for (int i = 0; i < y.rows; i++) {
      const float* in = x.data + int64_t{rows.empty() ? i : rows[i]} * x.cols;
      double sum = 0;
      for (int c = 0; c < x.cols; c++) sum += double{in[c]} * in[c];
      const double factor = 1 / std::sqrt(sum / x.cols + eps);
      float* out = y.data + int64_t{i} * y.cols;
      for (int c = 0; c < x.cols; c++) out[c] = static_cast<float>(in[c] * factor * s[c]);
    }
  }

  void linear(Tensor y, Tensor x, const Weight& w, const Weight* bias, Epilogue epilogue) override {
    std::vector<double> product(static_cast<size_t>(w.rows));
    for (int i = 0; i < y.rows; i++) {
      multiply(host(w), 0, x.data + int64_t{i} * x.cols, product.data());
      float* out = y.data + int64_t{i} * y.cols;
      for (int64_t j = 0; j < w.rows; j++) {
        const double value = product[j] + (bias ? host(*bias).values[j] : 0.0f);
        switch (epilogue) {
          case Epilogue::store: out[j] = static_cast<float>(value); break;
          case Epilogue::add: out[j] = static_cast<float>(out[j] + value); break;
          case Epilogue::glu: out[j] = static_cast<float>(silu(out[j]) * value); break;
        }
      }
    }
  }

  void rope(Tensor x, int headDim, std::span<const int32_t> positions, const Rope& rope) override {
    const int half = rope.dims / 2;
    for (int i = 0; i < x.rows; i++) {
      for (int head = 0; head < x.cols / headDim; head++) {
        float* v = x.data + int64_t{i} * x.cols + int64_t{head} * headDim;
        for (int p = 0; p < half; p++) {
          const double angle = positions[i] * rope.frequencies[p];
          const double c = std::cos(angle) * rope.magnitude, s = std::sin(angle) * rope.magnitude;
          float& a = v[rope.interleaved ? 2 * p : p];
          float& b = v[rope.interleaved ? 2 * p + 1 : p + half];
          const double ra = a * c - b * s, rb = a * s + b * c;
          a = static_cast<float>(ra);
          b = static_cast<float>(rb);
        }
      }
    }
  }

  void attend(Tensor o, Tensor q, Tensor k, Tensor v, std::span<const Segment> segments,
              const AttentionShape& shape) override {
    const int kvDim = shape.kvHeads * shape.headDim;
    for (const Segment& segment : segments) {
      for (int r = 0; r < segment.rows - segment.shadows; r++) {
        const int64_t from = int64_t{segment.firstRow + r} * kvDim;
        const int64_t to = int64_t{segment.positions[r]} * kvDim;
        std::copy(k.data + from, k.data + from + kvDim, segment.keys + to);
        std::copy(v.data + from, v.data + from + kvDim, segment.values + to);
      }
    }
    for (const Segment& segment : segments)
      for (int r = 0; r < segment.rows && !segment.storeOnly; r++)
        for (int head = 0; head < shape.heads; head++)
          attendOne(o, q, k, v, segment, shape, r, head);
  }

  void moe(Tensor y, Tensor x, const Experts& experts) override {
    const int64_t count = experts.router->rows, ffn = experts.gate->rows;
    std::vector<double> score(count), gate(ffn), up(ffn), out(experts.down->rows);
    std::vector<float> inner(ffn);
    std::vector<int> order(count);
    for (int i = 0; i < x.rows; i++) {
      const float* in = x.data + int64_t{i} * x.cols;
      multiply(host(*experts.router), 0, in, score.data());
      softmax(score);
      for (int64_t e = 0; e < count; e++) order[e] = static_cast<int>(e);
      std::stable_sort(order.begin(), order.end(),
                       [&](int a, int b) { return score[a] > score[b]; });
      double total = 0;
      for (int n = 0; n < experts.used; n++) total += score[order[n]];
      for (int n = 0; n < experts.used; n++) {
        const int expert = order[n];
        multiply(host(*experts.gate), expert, in, gate.data());
        multiply(host(*experts.up), expert, in, up.data());
        for (int64_t j = 0; j < ffn; j++) inner[j] = static_cast<float>(silu(gate[j]) * up[j]);
        multiply(host(*experts.down), expert, inner.data(), out.data());
        const double weight = experts.renormalise ? score[expert] / total : score[expert];
        float* target = y.data + int64_t{i} * y.cols;
        for (int c = 0; c < y.cols; c++)
          target[c] = static_cast<float>(target[c] + weight * out[c]);
      }
    }
  }

  void head(HeadResult& result, Tensor x, const Weight& w, std::span<const HeadRow> rows,
            std::span<const HeadOptions> options) override {
    result = {};
    std::vector<float> hidden(x.cols);
    std::vector<double> z(w.rows), before(w.rows);
    const bool anyKl = std::any_of(options.begin(), options.end(),
                                   [](const HeadOptions& option) { return option.kl; });
    for (const HeadRow& row : rows) {
      const HeadOptions& option = options[row.options];
      const float* cond = x.data + int64_t{row.hidden} * x.cols;
      for (int c = 0; c < x.cols; c++) {
        hidden[c] = cond[c];
        if (row.unconditional < 0) continue;
        const double u = x.data[int64_t{row.unconditional} * x.cols + c];
        hidden[c] = static_cast<float>(u + row.guidance * (cond[c] - u));
      }
      multiply(host(w), 0, hidden.data(), z.data());
      double kl = std::numeric_limits<double>::infinity();
      if (row.previous) {
        if (row.hasPrevious) {
          multiply(host(w), 0, row.previous, before.data());
          kl = divergence(z, before);
        }
        std::copy(hidden.begin(), hidden.end(), row.previous);
      }
      reduceRow(result, z, row, option);
      if (anyKl) result.kl.push_back(static_cast<float>(kl));
    }
  }

 private:
  static void softmax(std::vector<double>& z) {
    const double largest = *std::max_element(z.begin(), z.end());
    double sum = 0;
    for (double& value : z) sum += value = std::exp(value - largest);
    for (double& value : z) value /= sum;
  }

  // KL(softmax(now) ‖ softmax(before)).
  static double divergence(std::vector<double> now, std::vector<double> before) {
    softmax(now);
    softmax(before);
    double kl = 0;
    for (size_t i = 0; i < now.size(); i++)
      if (now[i] > 0) kl += now[i] * (std::log(now[i]) - std::log(before[i]));
    return kl;
  }

  static void attendOne(Tensor o, Tensor q, Tensor k, Tensor v, const Segment& segment,
                        const AttentionShape& shape, int r, int head) {
    const int dim = shape.headDim, kvDim = shape.kvHeads * dim;
    const int kvHead = head / (shape.heads / shape.kvHeads);
    const int64_t row = segment.firstRow + r;
    const float* query = q.data + row * q.cols + int64_t{head} * dim;
    const int shadow = r - (segment.rows - segment.shadows);  // ≥ 0: a shadow row

    std::vector<const float*> keys, values;
    for (int n = 0; n < segment.limit[r]; n++) {
      const int position = segment.visible[n];
      if (shadow >= 0 && (position == segment.positions[r] || position == segment.hidden[shadow]))
        continue;
      keys.push_back(segment.keys + int64_t{position} * kvDim + int64_t{kvHead} * dim);
      values.push_back(segment.values + int64_t{position} * kvDim + int64_t{kvHead} * dim);
    }
    if (shadow >= 0) {
      keys.push_back(k.data + row * kvDim + int64_t{kvHead} * dim);
      values.push_back(v.data + row * kvDim + int64_t{kvHead} * dim);
    }

    std::vector<double> weight(keys.size());
    for (size_t n = 0; n < keys.size(); n++) {
      double dot = 0;
      for (int c = 0; c < dim; c++) dot += double{query[c]} * keys[n][c];
      weight[n] = dot * shape.scale;
    }
    softmax(weight);
    float* out = o.data + row * o.cols + int64_t{head} * dim;
    for (int c = 0; c < dim; c++) {
      double sum = 0;
      for (size_t n = 0; n < keys.size(); n++) sum += weight[n] * values[n][c];
      out[c] = static_cast<float>(sum);
    }
  }
};

}  // namespace

std::unique_ptr<Backend> makeReferenceBackend() { return std::make_unique<Reference>(); }

}  // namespace lacuna
