// Cases of --bench: shapes of a model of width 1024 with a feed-forward of 2816 and 16 heads.
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>

#include "cpu/threads.h"
#include "model/forward.h"
#include "ops.h"
#include "quant/quant.h"

namespace lacuna::ops {
namespace {

constexpr int kLayers = 16, kDim = 1024, kFfn = 2816, kHeads = 16, kHeadDim = 64, kExpertFfn = 512;

struct Product {
  Product(Backend& backend, Type type, int n, int rows, int cols)
      : random(1),
        w(upload(backend, randomTensor(random, type, cols, rows), Use::matrix)),
        x(backend, random.normals(static_cast<size_t>(n) * static_cast<size_t>(cols)), n, cols),
        y(backend, std::vector<float>(static_cast<size_t>(n) * static_cast<size_t>(rows)), n,
          rows) {}
  Random random;
  WeightPtr w;
  Buffer x, y;
};

BenchCase linearCase(Type type, int n, int rows, int cols) {
  BenchCase c;
  c.name = std::string("linear ") + typeInfo(type).name + " " + std::to_string(n) + "x" +
           std::to_string(rows) + "x" + std::to_string(cols);
  c.flops = 2.0 * n * rows * cols;
  c.bytes = static_cast<double>(rowBytes(type, cols)) * rows;
  c.int8 = !isFloat(type);
  c.prepare = [=](std::unique_ptr<Backend> made) {
    const auto round = [](Backend& backend, Product& p) {
      backend.linear(p.y.tensor, p.x.tensor, *p.w, nullptr, Epilogue::store);
    };
    return keeping<Product>(std::move(made), round, type, n, rows, cols);
  };
  return c;
}

// Repacking of a matrix whose file is in memory.
BenchCase packCase(Type type) {
  BenchCase c;
  const int rows = 8192, cols = 4096;
  c.name = std::string("pack ") + typeInfo(type).name;
  c.bytes = static_cast<double>(rowBytes(type, cols)) * rows;
  c.prepare = [=](std::unique_ptr<Backend> made) {
    Random random(1);
    const auto tensor = std::make_shared<HostTensor>(randomTensor(random, type, cols, rows));
    const std::shared_ptr<Backend> backend = std::move(made);
    return [=] { upload(*backend, *tensor, Use::matrix); };
  };
  return c;
}

// One session's planes, some rows of it.
struct Canvas {
  Canvas(Backend& backend, int n, int length, AttentionShape shape)
      : shape(shape),
        length(length),
        q(backend, random(n, shape.heads), n, shape.heads * shape.headDim),
        k(backend, random(n, shape.kvHeads), n, shape.kvHeads * shape.headDim),
        v(backend, random(n, shape.kvHeads), n, shape.kvHeads * shape.headDim),
        o(backend, random(n, shape.heads), n, shape.heads * shape.headDim),
        keys(backend.alloc(planeFloats())),
        values(backend.alloc(planeFloats())),
        positions(static_cast<size_t>(length)),
        limit(static_cast<size_t>(n), length),
        scale(upload(backend, floatTensor(random(1, shape.heads), q.tensor.cols, 1), Use::vector)) {
    std::iota(positions.begin(), positions.end(), 0);
    for (int i = 0; i < shape.headDim / 2; i++) {
      rope.frequencies.push_back(std::pow(1e4, -2.0 * i / shape.headDim));
    }
    rope.dims = shape.headDim;
    fill(backend);
  }
  // The order of K/V, and of the bits in them, is the backend's own: attend writes the canvas.
  void fill(Backend& backend) const {
    const Buffer fresh(backend, random(length, shape.kvHeads), length, k.tensor.cols);
    Segment segment;
    segment.keys = keys->data;
    segment.values = values->data;
    segment.length = segment.rows = length;
    segment.positions = positions.data();
    segment.storeOnly = true;
    backend.begin();
    backend.attend({}, {}, fresh.tensor, fresh.tensor, {&segment, 1}, shape);
    backend.end();
  }
  size_t planeFloats() const {
    return static_cast<size_t>(planeRows(length)) * static_cast<size_t>(k.tensor.cols);
  }
  std::vector<float> random(int rows, int heads) const {
    return Random(2).normals(static_cast<size_t>(rows) * static_cast<size_t>(heads) *
                             static_cast<size_t>(shape.headDim));
  }

  AttentionShape shape;
  int length;
  Buffer q, k, v, o;
  MemoryPtr keys, values;
  std::vector<int32_t> positions, limit;
  WeightPtr scale;
  Rope rope;
};

BenchCase attendCase(int n, int length, int heads, int kvHeads, int headDim) {
  BenchCase c;
  const std::string groups = kvHeads == heads ? "" : "/" + std::to_string(kvHeads);
  c.name = "attend " + std::to_string(heads) + groups + " heads of " + std::to_string(headDim) +
           ", " + std::to_string(n) + " x " + std::to_string(length);
  c.flops = 4.0 * n * length * heads * headDim;
  c.bytes = 8.0 * length * kvHeads * headDim;
  const AttentionShape shape{heads, kvHeads, headDim, 1 / std::sqrt(static_cast<float>(headDim))};
  c.prepare = [=](std::unique_ptr<Backend> made) {
    const auto round = [](Backend& backend, Canvas& s) {
      Segment segment;
      segment.keys = s.keys->data;
      segment.values = s.values->data;
      segment.length = segment.visibleCount = s.length;
      segment.rows = s.q.tensor.rows;
      segment.positions = segment.visible = s.positions.data();
      segment.limit = s.limit.data();
      backend.attend(s.o.tensor, s.q.tensor, s.k.tensor, s.v.tensor, {&segment, 1}, s.shape);
    };
    return keeping<Canvas>(std::move(made), round, n, length, shape);
  };
  return c;
}

struct ExpertLayer {
  ExpertLayer(Backend& backend, Type type, int n, int experts)
      : random(3),
        router(upload(backend, randomTensor(random, Type::f32, kDim, experts), Use::matrix)),
        gate(upload(backend, randomTensor(random, type, kDim, kExpertFfn, experts), Use::experts)),
        up(upload(backend, randomTensor(random, type, kDim, kExpertFfn, experts), Use::experts)),
        down(upload(backend, randomTensor(random, type, kExpertFfn, kDim, experts), Use::experts)),
        x(backend, random.normals(static_cast<size_t>(n) * static_cast<size_t>(kDim)), n, kDim),
        y(backend, random.normals(static_cast<size_t>(n) * static_cast<size_t>(kDim)), n, kDim) {}
  Random random;
  WeightPtr router, gate, up, down;
  Buffer x, y;
};

// The bytes are those of all experts: with 32 rows and more, each has work.
BenchCase expertCase(Type type, int n, int experts, int used) {
  BenchCase c;
  c.name = std::string("moe ") + typeInfo(type).name + " " + std::to_string(n) + " rows, " +
           std::to_string(used) + " of " + std::to_string(experts);
  c.flops = 6.0 * n * used * kDim * kExpertFfn;
  c.bytes = static_cast<double>(rowBytes(type, kDim)) * 3 * kExpertFfn * experts;
  c.int8 = !isFloat(type);
  c.prepare = [=](std::unique_ptr<Backend> made) {
    const auto round = [used](Backend& backend, ExpertLayer& layer) {
      backend.moe(
          layer.y.tensor, layer.x.tensor,
          {layer.router.get(), layer.gate.get(), layer.up.get(), layer.down.get(), used, false});
    };
    return keeping<ExpertLayer>(std::move(made), round, type, n, experts);
  };
  return c;
}

BenchCase rowCase(const char* name, int n, bool norm) {
  BenchCase c;
  c.name = std::string(name) + " " + std::to_string(n) + " rows";
  c.bytes = 8.0 * n * kDim;
  const AttentionShape shape{kHeads, kHeads, kHeadDim, 0.125f};
  c.prepare = [=](std::unique_ptr<Backend> made) {
    const auto round = [norm](Backend& backend, Canvas& s) {
      if (norm) {
        backend.norm(s.o.tensor, s.q.tensor, *s.scale, 1e-5f, {});
      } else {
        const auto positions = std::span(s.positions).first(s.limit.size());
        backend.rope(s.q.tensor, kHeadDim, positions, s.rope);
      }
    };
    return keeping<Canvas>(std::move(made), round, n, n, shape);
  };
  return c;
}

// What memory gives at most: all threads copy 128 MB, too much for most caches.
BenchCase copyCase(int threads) {
  BenchCase c;
  constexpr int kParts = 64;
  constexpr size_t kPart = size_t{2} << 20;
  c.name = "copy";
  c.bytes = 2.0 * kParts * kPart;
  c.prepare = [=](std::unique_ptr<Backend>) {
    const auto pool = std::make_shared<cpu::Threads>(threads);
    const auto memory = std::make_shared<std::vector<char>>(2 * kParts * kPart, 1);
    return [=] {
      pool->parallelFor(kParts, [&](int part, int) {
        char* from = memory->data() + 2 * static_cast<size_t>(part) * kPart;
        std::memcpy(from + kPart, from, kPart);
      });
    };
  };
  return c;
}

// A model of 16 such layers, without its head.
std::shared_ptr<Model> randomModel(std::unique_ptr<Backend> backend, Type type) {
  auto model = std::make_shared<Model>();
  ModelSpec& spec = model->spec;
  spec.layers = kLayers;
  spec.dim = kDim;
  spec.heads = spec.kvHeads = kHeads;
  spec.headDim = kHeadDim;
  spec.ffn = kFfn;
  spec.rope.dims = kHeadDim;
  for (int i = 0; i < kHeadDim / 2; i++) {
    spec.rope.frequencies.push_back(std::pow(1e4, -2.0 * i / kHeadDim));
  }
  Random random(9);
  const auto matrix = [&](int rows, int cols) {
    return upload(*backend, randomTensor(random, type, cols, rows), Use::matrix);
  };
  const auto ones = [&] {
    return upload(*backend, floatTensor(std::vector<float>(kDim, 0.1f), kDim, 1), Use::vector);
  };
  auto weights = std::make_unique<Weights>();
  weights->embedding = upload(*backend, randomTensor(random, Type::f32, kDim, 64), Use::table);
  weights->layers.resize(kLayers);
  for (LayerWeights& layer : weights->layers) {
    layer.attentionNorm = ones();
    layer.ffnNorm = ones();
    layer.q = matrix(kDim, kDim);
    layer.k = matrix(kDim, kDim);
    layer.v = matrix(kDim, kDim);
    layer.o = matrix(kDim, kDim);
    layer.gate = matrix(kFfn, kDim);
    layer.up = matrix(kFfn, kDim);
    layer.down = matrix(kDim, kFfn);
  }
  model->weights = std::move(weights);
  model->backend = std::move(backend);
  return model;
}

// Rows of a canvas of 256 through all layers.
BenchCase forwardCase(Type type, int n) {
  BenchCase c;
  const int length = 256;
  c.name = std::string("forward ") + typeInfo(type).name + " " + std::to_string(n) + " rows";
  const double perRow = 4.0 * kDim * kDim + 3.0 * kDim * kFfn + 2.0 * length * kDim;
  c.flops = 2.0 * kLayers * n * perRow;
  c.int8 = !isFloat(type);
  c.prepare = [=](std::unique_ptr<Backend> made) {
    const std::shared_ptr<Model> model = randomModel(std::move(made), type);
    model->reserve(n);
    const size_t layer = size_t{2} * length * kDim;
    const std::shared_ptr<Memory> kv = model->backend->alloc(layer * kLayers, nullptr);
    std::vector<int32_t> visible(length), limit(static_cast<size_t>(n), length);
    std::iota(visible.begin(), visible.end(), 0);
    return [=]() mutable {
      Batch batch;
      batch.tokens.assign(static_cast<size_t>(n), 7);
      batch.positions.assign(visible.begin(), visible.begin() + n);
      Segment segment;
      segment.keys = kv->data;
      segment.values = kv->data + layer / 2;
      segment.length = segment.visibleCount = length;
      segment.rows = n;
      segment.positions = segment.visible = visible.data();
      segment.limit = limit.data();
      batch.segments = {segment};
      batch.layerStride = {layer};
      const std::atomic<bool> cancelled{false};
      model->backend->begin();
      forward(*model, batch, cancelled);
      model->backend->end();
    };
  };
  return c;
}

}  // namespace

std::vector<BenchCase> benchCases(int threads) {
  std::vector<BenchCase> cases;
  for (Type type : {Type::q8_0, Type::f16}) {
    for (int n : {8, 32, 256}) cases.push_back(forwardCase(type, n));
  }
  for (Type type : allTypes()) {
    for (int n : {1, 8, 32, 96, 256}) cases.push_back(linearCase(type, n, kDim, kDim));
  }
  for (Type type : {Type::q8_0, Type::q4_0, Type::q4_K, Type::q6_K, Type::q2_K, Type::f16}) {
    for (int cols : {4096, 12288}) {
      for (int n : {1, 8, 32, 96, 256}) cases.push_back(linearCase(type, n, 4096, cols));
    }
  }
  for (Type type : {Type::q8_0, Type::q4_K, Type::q6_K, Type::f16}) cases.push_back(packCase(type));
  cases.push_back(copyCase(threads));
  for (int length : {256, 1024, 4096, 8192}) {
    for (int n : {1, 32, 256}) {
      cases.push_back(attendCase(n, length, 16, 16, 64));
      cases.push_back(attendCase(n, length, 32, 32, 128));
      cases.push_back(attendCase(n, length, 32, 4, 128));
    }
  }
  for (Type type : {Type::q8_0, Type::q4_K, Type::f16}) {
    for (int n : {1, 32, 256}) cases.push_back(expertCase(type, n, 64, 8));
  }
  for (int n : {1, 8, 32, 256}) {
    cases.push_back(rowCase("norm", n, true));
    cases.push_back(rowCase("rope", n, false));
  }
  addHeadBenches(cases);
  addCommitBenches(cases);
  return cases;
}

}  // namespace lacuna::ops
