// The cases of --bench on a card: shapes of LLaDA-8B and, for experts, of LLaDA-MoE.
#include <cmath>
#include <memory>
#include <numeric>

#include "card_bench.h"
#include "quant/quant.h"
#include "session/commit.h"

namespace lacuna::ops {
namespace {

using Work = CardBench::Work;

size_t product(int a, int b) { return static_cast<size_t>(a) * static_cast<size_t>(b); }

Buffer normals(CardBench& bench, int rows, int cols, float deviation = 1) {
  return {bench.backend, largeNormals(product(rows, cols), deviation), rows, cols};
}

std::vector<WeightPtr> uploads(CardBench& bench, const HostTensor& tensor, Use use) {
  std::vector<WeightPtr> weights;
  const int count = bench.copies(static_cast<double>(tensor.bytes.size()));
  for (int i = 0; i < count; i++) weights.push_back(upload(bench.backend, tensor, use));
  return weights;
}

std::string sized(const std::string& what, Type type, int n, int rows, int cols) {
  return what + " " + typeInfo(type).name + " " + std::to_string(n) + "x" + std::to_string(rows) +
         "x" + std::to_string(cols);
}

// Rows prepared once per call, as for the first product of several.
void linearShape(CardBench& bench, Type type, int rows, int cols, std::vector<int> counts) {
  std::vector<std::string> names;
  for (int n : counts) names.push_back(sized("linear", type, n, rows, cols));
  if (!bench.wantsAny(names)) return;
  Random random(1);
  const auto weights = uploads(bench, largeTensor(random, type, cols, rows), Use::matrix);
  const int most = counts.back();
  const Buffer x[] = {normals(bench, most, cols), normals(bench, most, cols)};
  const Buffer y = normals(bench, most, rows);
  for (size_t i = 0; i < counts.size(); i++) {
    const int n = counts[i];
    const Buffer out(bench.backend, std::vector<float>(product(n, rows)), n, rows);
    Work work;
    work.operations = 2.0 * n * rows * cols;
    work.bytes = static_cast<double>(rowBytes(type, cols)) * rows + 4.0 * n * (rows + cols);
    work.unit = CardBench::unitOf(type);
    const int calls = std::max(static_cast<int>(weights.size()), bench.size(8, 2));
    const auto record = [&] {
      for (int call = 0; call < calls; call++) {
        const Weight& w = *weights[static_cast<size_t>(call) % weights.size()];
        bench.backend.linear(call ? y.tensor.slice(0, n) : out.tensor,
                             x[call % 2].tensor.slice(0, n), w, nullptr, Epilogue::store);
      }
    };
    bench.measure(names[i], work, calls, record, {&out});
  }
}

struct Layer {
  Buffer keys, values;
};

void attendShape(CardBench& bench, int n, int length, AttentionShape shape) {
  const std::string name =
      "attend " + std::to_string(shape.heads) + "/" + std::to_string(shape.kvHeads) + " heads of " +
      std::to_string(shape.headDim) + ", " + std::to_string(n) + " x " + std::to_string(length);
  if (!bench.wants(name)) return;
  const int dim = shape.heads * shape.headDim, kvDim = shape.kvHeads * shape.headDim;
  shape.scale = 1 / std::sqrt(static_cast<float>(shape.headDim));
  Work work;
  work.operations = 4.0 * n * length * dim;
  work.bytes = 8.0 * length * kvDim + 8.0 * n * (dim + kvDim);
  const int calls = bench.copies(8.0 * length * kvDim);
  const Buffer q = normals(bench, n, dim), o = normals(bench, n, dim),
               k = normals(bench, length, kvDim), v = normals(bench, length, kvDim);
  std::vector<std::unique_ptr<Layer>> layers;
  std::vector<int32_t> all(static_cast<size_t>(length)), limit(static_cast<size_t>(length), length);
  std::iota(all.begin(), all.end(), 0);
  Segment segment;
  segment.length = segment.visibleCount = length;
  segment.positions = segment.visible = all.data();
  segment.limit = limit.data();
  const auto attend = [&](int layer, bool store) {
    segment.keys = layers[static_cast<size_t>(layer)]->keys.tensor.data;
    segment.values = layers[static_cast<size_t>(layer)]->values.tensor.data;
    segment.rows = store ? length : n;
    segment.storeOnly = store;
    const Tensor none{nullptr, 0, dim};
    bench.backend.attend(store ? none : o.tensor, store ? none : q.tensor,
                         k.tensor.slice(0, segment.rows), v.tensor.slice(0, segment.rows),
                         {&segment, 1}, shape);
  };
  for (int i = 0; i < calls; i++) {
    const std::vector<float> zeros(product(planeRows(length), kvDim));
    layers.push_back(
        std::make_unique<Layer>(Layer{{bench.backend, zeros, planeRows(length), kvDim},
                                      {bench.backend, zeros, planeRows(length), kvDim}}));
    bench.backend.begin();
    attend(i, true);
    bench.backend.end();
  }
  const auto record = [&] {
    for (int i = 0; i < calls; i++) attend(i, false);
  };
  bench.measure(name, work, calls, record, {&o});
}

struct ExpertShape {
  int dim, ffn, experts, used;
};

void expertShape(CardBench& bench, Type type, const ExpertShape& s,
                 const std::vector<int>& counts) {
  std::vector<std::string> names;
  for (int n : counts) {
    names.push_back(sized("moe", type, n, s.ffn, s.dim) + " " + std::to_string(s.used) + " of " +
                    std::to_string(s.experts));
  }
  if (!bench.wantsAny(names)) return;
  Random random(3);
  const WeightPtr router = upload(
      bench.backend, floatTensor(largeNormals(product(s.experts, s.dim), 0.1f), s.dim, s.experts),
      Use::matrix);
  const HostTensor up = largeTensor(random, type, s.dim, s.ffn, s.experts),
                   down = largeTensor(random, type, s.ffn, s.dim, s.experts);
  const auto gates = uploads(bench, up, Use::experts), ups = uploads(bench, up, Use::experts),
             downs = uploads(bench, down, Use::experts);
  for (size_t i = 0; i < counts.size(); i++) {
    const int n = counts[i];
    const Buffer x = normals(bench, n, s.dim), y = normals(bench, n, s.dim);
    const double hit = s.experts * (1 - std::pow(1 - static_cast<double>(s.used) / s.experts, n));
    Work work;
    work.operations = 6.0 * n * s.used * s.dim * s.ffn;
    work.bytes = hit / s.experts * static_cast<double>(2 * up.bytes.size() + down.bytes.size());
    work.unit = CardBench::unitOf(type);
    const int calls = static_cast<int>(gates.size());
    const auto record = [&] {
      for (size_t c = 0; c < gates.size(); c++) {
        bench.backend.moe(
            y.tensor, x.tensor,
            {router.get(), gates[c].get(), ups[c].get(), downs[c].get(), s.used, true});
      }
    };
    bench.measure(names[i], work, calls, record, {});  // y is added to
  }
}

// The head as a decoder asks it, its logits flat as where little is known yet: there noise must be
// drawn for every token.
struct HeadKind {
  const char* name;
  HeadOptions options;
  bool everywhere;  // for all types and numbers of rows
};

std::vector<HeadKind> headKinds() {
  static constexpr int32_t probe[] = {1, 2, 30};
  std::vector<HeadKind> kinds(6, HeadKind{"greedy", {}, true});
  kinds[1] = {"KL", {}, false};
  kinds[1].options.kl = true;
  kinds[2] = {"list, probes", {}, false};
  kinds[2].options.list = 16;
  kinds[2].options.probe = probe;
  for (size_t i = 3; i < 6; i++) {
    kinds[i] = {i == 3 ? "sampled" : i == 4 ? "top-k" : "top-p", {}, false};
    kinds[i].options.temperature = 1;
    kinds[i].options.seed = 7;
  }
  kinds[4].options.topK = 50;
  kinds[5].options.topP = 0.9f;
  return kinds;
}

void headShape(CardBench& bench, Type type, int n, const WeightPtr& w, const HeadKind& kind) {
  const int vocabulary = static_cast<int>(w->rows), dim = static_cast<int>(w->cols);
  const Buffer x = normals(bench, n, dim, 5 / std::sqrt(static_cast<float>(dim))),
               previous = normals(bench, n, dim, 5 / std::sqrt(static_cast<float>(dim)));
  std::vector<HeadRow> rows(static_cast<size_t>(n));
  for (int i = 0; i < n; i++) {
    HeadRow& row = rows[static_cast<size_t>(i)];
    row.hidden = row.position = i;
    row.hasPrevious = kind.options.kl;
    if (kind.options.kl) row.previous = previous.tensor.slice(i, 1).data;
  }
  Work work;
  work.operations = 2.0 * n * vocabulary * dim * (kind.options.kl ? 2 : 1);
  work.bytes = static_cast<double>(rowBytes(type, dim)) * vocabulary;
  work.unit = CardBench::unitOf(type);
  HeadResult result;
  bench.measure(sized("head", type, n, vocabulary, dim) + " " + kind.name, work, 1,
                [&] { bench.backend.head(result, x.tensor, *w, rows, {&kind.options, 1}); }, {});
}

// One rule over the statistics of some sessions.
void commitShape(CardBench& bench, int sessions, int positions, Select select, const char* what) {
  const std::string name = std::string("commit ") + what + ", " + std::to_string(sessions) + " x " +
                           std::to_string(positions);
  if (!bench.wants(name)) return;
  constexpr int32_t kMask = 9;
  Random random(4);
  const size_t n = static_cast<size_t>(positions);
  HeadResult head;
  std::vector<int32_t> order(n), masks(n, kMask);
  std::iota(order.begin(), order.end(), 0);
  std::vector<Canvas> canvases(static_cast<size_t>(sessions), Canvas(positions, kMask));
  for (size_t i = 0; i < n * static_cast<size_t>(sessions); i++) {
    head.token.push_back(10 + random.below(1000));
    head.probability.push_back(random.uniform());
    head.margin.push_back(random.uniform());
    head.entropy.push_back(random.uniform());
  }
  CommitBatch batch;
  batch.items.resize(static_cast<size_t>(sessions));
  const auto record = [&] {
    for (Canvas& canvas : canvases) canvas.write(0, masks);
    for (size_t i = 0; i < batch.items.size(); i++) {
      CommitItem& item = batch.items[i];
      item.rule.select = select;
      item.rule.tau = 0.9;
      item.rule.gamma = 2;
      item.rule.end = positions;
      item.canvas = &canvases[i];
      item.mask = kMask;
      item.positions = order;
      item.head = &head;
      item.first = i * n;
    }
    bench.backend.commit(batch);
  };
  Work work;
  work.bytes = 32.0 * sessions * positions;
  bench.measure(name, work, 1, record, {});
}

}  // namespace

void benchLinear(CardBench& bench) {
  const int dim = bench.size(4096, 256), ffn = bench.size(12288, 512);
  const std::vector<int> counts =
      bench.quick ? std::vector{8, 70} : std::vector{1, 8, 32, 128, 512};
  for (Type type : {Type::q8_0, Type::q4_K, Type::f16}) {
    linearShape(bench, type, dim, dim, counts);
    linearShape(bench, type, dim, ffn, counts);
  }
  for (Type type : allTypes()) linearShape(bench, type, ffn, dim, counts);
}

void benchRows(CardBench& bench) {
  const int dim = bench.size(4096, 256), headDim = bench.size(128, 64), tokens = 1000;
  Random random(2);
  Rope rope;
  rope.dims = headDim;
  for (int i = 0; i < headDim / 2; i++)
    rope.frequencies.push_back(std::pow(1e4, -2.0 * i / headDim));
  const WeightPtr scale =
      upload(bench.backend, floatTensor(largeNormals(product(1, dim)), dim, 1), Use::vector);
  for (Type type : {Type::f16, Type::q8_0, Type::q4_K}) {
    const WeightPtr table =
        upload(bench.backend, largeTensor(random, type, dim, tokens), Use::table);
    for (int n : {32, bench.size(512, 40)}) {
      const Buffer x = normals(bench, n, dim);
      std::vector<int32_t> list(static_cast<size_t>(n));
      for (int32_t& token : list) token = random.below(tokens);
      Work work;
      work.bytes = n * (4.0 * dim + static_cast<double>(rowBytes(type, dim)));
      const auto record = [&] {
        for (int call = 0; call < 4; call++) bench.backend.embed(x.tensor, *table, list, {}, {});
      };
      bench.measure(std::string("embed ") + typeInfo(type).name + " " + std::to_string(n), work, 4,
                    record, {&x});
    }
  }
  for (int n : {32, bench.size(512, 40)}) {
    const Buffer x = normals(bench, n, dim), y = normals(bench, n, dim);
    std::vector<int32_t> positions(static_cast<size_t>(n));
    std::iota(positions.begin(), positions.end(), 3);
    Work work;
    work.bytes = 8.0 * n * dim;
    const auto norms = [&] {
      for (int call = 0; call < 8; call++)
        bench.backend.norm(y.tensor, x.tensor, *scale, 1e-5f, {});
    };
    bench.measure("norm " + std::to_string(n) + " rows", work, 8, norms, {&y});
    const auto ropes = [&] {
      for (int call = 0; call < 8; call++) bench.backend.rope(x.tensor, headDim, positions, rope);
    };
    bench.measure("rope " + std::to_string(n) + " rows", work, 8, ropes, {});
  }
}

void benchAttend(CardBench& bench) {
  if (bench.quick) {
    attendShape(bench, 8, 40, {4, 4, 32, 0});
    return attendShape(bench, 40, 40, {4, 2, 64, 0});
  }
  for (int n : {32, 512}) {
    for (int length : {512, 2048, 8192}) attendShape(bench, n, length, {32, 32, 128, 0});
    attendShape(bench, n, 2048, {32, 4, 128, 0});
    attendShape(bench, n, 2048, {16, 16, 64, 0});
  }
}

void benchExperts(CardBench& bench) {
  const ExpertShape shape =
      bench.quick ? ExpertShape{256, 256, 8, 2} : ExpertShape{2048, 1024, 64, 8};
  for (Type type : {Type::q8_0, Type::q4_K, Type::f16})
    expertShape(bench, type, shape, {32, bench.size(512, 40)});
}

void benchHead(CardBench& bench) {
  const int dim = bench.size(4096, 256), vocabulary = bench.size(126464, 1000);
  for (Type type : {Type::q8_0, Type::q4_K, Type::f16}) {
    Random random(5);
    WeightPtr w;
    for (int n : {1, 32, bench.size(512, 40)}) {
      for (const HeadKind& kind : headKinds()) {
        if (!kind.everywhere && (type != Type::q8_0 || n == 1)) continue;
        if (!bench.wants(sized("head", type, n, vocabulary, dim) + " " + kind.name)) continue;
        if (!w) w = upload(bench.backend, largeTensor(random, type, dim, vocabulary), Use::matrix);
        headShape(bench, type, n, w, kind);
      }
    }
  }
  commitShape(bench, 1, 32, Select::topK, "top-k");
  commitShape(bench, 1, bench.size(512, 40), Select::threshold, "threshold");
  commitShape(bench, bench.size(16, 3), 32, Select::entropyBound, "entropy bound");
}

}  // namespace lacuna::ops
