// Cases of embed, norm, linear and rope.
#include <cmath>
#include <memory>

#include "ops.h"
#include "quant/quant.h"

namespace lacuna::ops {
namespace {

std::string shape(int n, int64_t rows, int64_t cols) {
  return std::to_string(n) + "x" + std::to_string(rows) + "x" + std::to_string(cols);
}

struct LinearCase {
  Type type;
  int n, rows, cols;
  Epilogue epilogue;
  bool bias, exact;  // exact: activations that int8 holds exactly
  Use use = Use::matrix;
};

Output runLinear(Backend& backend, const LinearCase& c) {
  Random random(static_cast<uint64_t>(c.n * 7919 + c.rows * 31 + c.cols));
  const size_t n = static_cast<size_t>(c.n);
  const HostTensor weight = randomTensor(random, c.type, c.cols, c.rows);
  const size_t in = n * static_cast<size_t>(c.cols), out = n * static_cast<size_t>(c.rows);
  const Buffer x(backend, c.exact ? random.representable(in) : random.normals(in), c.n, c.cols);
  const Buffer y(backend, random.normals(out), c.n, c.rows);
  const HostTensor bias = floatTensor(random.normals(static_cast<size_t>(c.rows)), c.rows, 1);
  const WeightPtr w = upload(backend, weight, c.use);
  const WeightPtr b = upload(backend, bias, Use::vector);
  backend.begin();
  backend.linear(y.tensor, x.tensor, *w, c.bias ? b.get() : nullptr, c.epilogue);
  backend.end();
  return output(y);
}

void addLinear(std::vector<Case>& cases, const LinearCase& c) {
  const char* epilogues[] = {"store", "add", "glu"};
  std::string name = std::string("linear ") + typeInfo(c.type).name + " ";
  name += shape(c.n, c.rows, c.cols) + " " + epilogues[static_cast<int>(c.epilogue)];
  if (c.bias) name += " bias";
  const bool exact = c.exact || isFloat(c.type);
  if (!exact) name += c.use == Use::precise ? " rounded to 16 bits" : " rounded";
  const double tolerance = exact ? 2e-6 : c.use == Use::precise ? 5e-5 : 1.2e-2;
  cases.push_back({name, tolerance, false, [c](Backend& b) { return runLinear(b, c); }});
  // A card multiplies 16-bit weights with halves, 11 bits of x, or twice that for Use::precise, and
  // its tensor cores cut sums off where others round.
  if (c.type == Type::f16 || c.type == Type::bf16) {
    cases.back().cardTolerance = c.exact || c.use == Use::precise ? 1e-5 : 4e-4;
  }
}

Output runNorm(Backend& backend, int n, int cols, bool inPlace, bool picked) {
  Random random(static_cast<uint64_t>(n + cols));
  const Buffer x(backend, random.normals(static_cast<size_t>(n * cols), 3), n, cols);
  const WeightPtr scale =
      upload(backend, floatTensor(random.normals(static_cast<size_t>(cols)), cols, 1), Use::vector);
  std::vector<int32_t> rows;
  for (int i = 0; picked && i < n; i += 2) rows.push_back(n - 1 - i);
  const int out = picked ? static_cast<int>(rows.size()) : n;
  const Buffer y(backend, std::vector<float>(static_cast<size_t>(out * cols)), out, cols);
  const Tensor target = inPlace ? x.tensor : y.tensor;
  backend.begin();
  backend.norm(target, x.tensor, *scale, 1e-5f, rows);
  backend.end();
  return output(inPlace ? x : y);
}

Output runRope(Backend& backend, bool interleaved, int headDim, int dims) {
  Random random(static_cast<uint64_t>(headDim + dims));
  const int n = 19, heads = 3;
  const Buffer x(backend, random.normals(static_cast<size_t>(n * heads * headDim)), n,
                 heads * headDim);
  Rope rope;
  rope.interleaved = interleaved;
  rope.dims = dims;
  rope.magnitude = 1.25f;
  for (int i = 0; i < dims / 2; i++) rope.frequencies.push_back(std::pow(1e4, -2.0 * i / dims));
  std::vector<int32_t> positions = random.subset(3000, n);
  for (int round = 0; round < 2; round++) {  // the second time with other positions
    backend.begin();
    backend.rope(x.tensor, headDim, positions, rope);
    backend.rope(x.tensor, headDim, positions, rope);
    backend.end();
    for (int32_t& position : positions) position /= 2;
  }
  return output(x);
}

Output runEmbed(Backend& backend, Type type, Use use, int dim, int vocabulary) {
  Random random(static_cast<uint64_t>(type) + 1);
  const HostTensor table = randomTensor(random, type, dim, vocabulary);
  const WeightPtr w = upload(backend, table, use);
  const int step = vocabulary / 40;  // tokens from all over the table
  const auto spread = [step](std::vector<int32_t> numbers) {
    for (int32_t& number : numbers) number *= step;
    return numbers;
  };
  const std::vector<int32_t> tokens = spread({3, 39, 0, 7, 7, 12, 39, 1, 20, 39, 5});
  const int n = static_cast<int>(tokens.size()), maskToken = 39 * step;
  const Buffer x(backend, std::vector<float>(static_cast<size_t>(n * dim)), n, dim);
  const std::vector<int32_t> mixed = spread({4, 9, 17});
  const std::vector<float> weights = {0.5f, 0.3f, 0.2f};
  const std::vector<SoftRow> soft = {{1, 0.35f, maskToken, 3, mixed.data(), weights.data()},
                                     {6, 0.0f, maskToken, 3, mixed.data(), weights.data()},
                                     {9, 1.0f, maskToken, 1, mixed.data(), weights.data()}};
  backend.begin();
  backend.embed(x.tensor, *w, tokens, soft);
  backend.end();
  Output output = ops::output(x);
  // alpha = 0 must be the mask's own row, bit for bit.
  std::vector<float> mask(static_cast<size_t>(dim));
  decodeRow(type, table.bytes.data() + static_cast<size_t>(maskToken) * rowBytes(type, dim), dim,
            mask.data());
  const double* row = output.values.data() + 6 * dim;
  output.exact.push_back(std::equal(mask.begin(), mask.end(), row));
  return output;
}

}  // namespace

void addRowCases(std::vector<Case>& cases) {
  for (Type type : allTypes()) {
    for (int n : {1, 2, 3, 4, 5, 6, 7, 8, 13, 48}) {
      addLinear(cases, {type, n, n % 2 ? 70 : 96, 512, Epilogue::store, n % 3 == 0, true});
    }
    addLinear(cases, {type, 9, 33, 256, Epilogue::add, true, true});
    addLinear(cases, {type, 9, 33, 256, Epilogue::glu, false, true});
    addLinear(cases, {type, 5, 1, 768, Epilogue::add, false, true});
    addLinear(cases, {type, 64, 128, 1024, Epilogue::store, false, false});
    addLinear(cases, {type, 64, 128, 1024, Epilogue::store, true, false, Use::precise});
    addLinear(cases, {type, 7, 70, 512, Epilogue::add, false, false, Use::precise});
    addLinear(cases, {type, 40, 48, 1280, Epilogue::add, true, true});  // several chunks of k
    if (typeInfo(type).blockSize <= 32) {  // no whole number of superblocks
      addLinear(cases, {type, 11, 50, 288, Epilogue::store, true, true});
      addLinear(cases, {type, 1, 16, 32, Epilogue::glu, true, true});
    }
    for (Use use : {Use::table, Use::matrix}) {
      const char* tied = use == Use::matrix ? " from a head" : "";
      cases.push_back({std::string("embed ") + typeInfo(type).name + tied, 1e-6, false,
                       [type, use](Backend& b) { return runEmbed(b, type, use, 256, 40); }});
    }
  }
  // A table that goes to a card in several pieces.
  cases.push_back({"embed Q8_0 18 MB", 1e-6, false,
                   [](Backend& b) { return runEmbed(b, Type::q8_0, Use::table, 4096, 4200); }});
  // Sizes that are multiples of nothing.
  addLinear(cases, {Type::f32, 7, 37, 45, Epilogue::add, true, true});
  addLinear(cases, {Type::f16, 3, 37, 45, Epilogue::store, true, true});
  addLinear(cases, {Type::f32, 300, 48, 2816, Epilogue::glu, false, true});
  addLinear(cases, {Type::q4_K, 300, 200, 768, Epilogue::glu, true, true});  // two slabs of rows
  addLinear(cases, {Type::bf16, 290, 100, 300, Epilogue::add, true, true});
  // Many rows: other tiles.
  for (Type type : {Type::f16, Type::q8_0, Type::q5_1, Type::q2_K, Type::q6_K, Type::iq4_xs}) {
    addLinear(cases, {type, 131, 140, 512, Epilogue::store, true, true});
    addLinear(cases, {type, 67, 30, 256, Epilogue::add, false, false, Use::precise});
  }

  for (int cols : {1, 24, 64, 100, 1024}) {
    for (int mode = 0; mode < 3; mode++) {
      const bool inPlace = mode == 1, picked = mode == 2;
      std::string name = "norm " + std::to_string(cols);
      if (mode) name += inPlace ? " in place" : " picked rows";
      cases.push_back({name, 5e-7, false, [=](Backend& backend) {
                         return runNorm(backend, 21, cols, inPlace, picked);
                       }});
    }
  }
  for (bool interleaved : {false, true}) {
    const int shapes[][2] = {{64, 64}, {128, 128}, {96, 24}, {20, 10}, {80, 40}};
    for (const auto& shape : shapes) {
      const int headDim = shape[0], dims = shape[1];
      cases.push_back({std::string("rope ") + (interleaved ? "pairs " : "halves ") +
                           std::to_string(dims) + "/" + std::to_string(headDim),
                       1e-6, false, [=](Backend& backend) {
                         return runRope(backend, interleaved, headDim, dims);
                       }});
    }
  }
}

}  // namespace lacuna::ops
