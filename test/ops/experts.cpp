// Cases of moe.
#include "ops.h"
#include "quant/quant.h"

namespace lacuna::ops {
namespace {

struct ExpertCase {
  Type type;
  int n, dim, ffn, experts, used;
  bool renormalise, ties;
};

Output runExperts(Backend& backend, const ExpertCase& c) {
  Random random(static_cast<uint64_t>(c.n * 17 + c.dim + c.experts));
  const size_t dim = static_cast<size_t>(c.dim), n = static_cast<size_t>(c.n);
  // Ties: the router's rows come in pairs that are equal, so that lower experts must win.
  std::vector<float> router = random.normals(dim * static_cast<size_t>(c.experts), 0.3f);
  for (size_t e = 1; c.ties && e < static_cast<size_t>(c.experts); e += 2) {
    std::copy_n(router.begin() + static_cast<int64_t>((e - 1) * dim), dim,
                router.begin() + static_cast<int64_t>(e * dim));
  }
  const WeightPtr routerWeight =
      upload(backend, floatTensor(router, c.dim, c.experts), Use::matrix);
  const HostTensor gate = randomTensor(random, c.type, c.dim, c.ffn, c.experts);
  const HostTensor up = randomTensor(random, c.type, c.dim, c.ffn, c.experts);
  const HostTensor down = randomTensor(random, c.type, c.ffn, c.dim, c.experts);
  const WeightPtr gateWeight = upload(backend, gate, Use::experts);
  const WeightPtr upWeight = upload(backend, up, Use::experts);
  const WeightPtr downWeight = upload(backend, down, Use::experts);
  const Buffer x(backend, random.representable(n * dim), c.n, c.dim);
  const Buffer y(backend, random.normals(n * dim), c.n, c.dim);
  backend.begin();
  for (int round = 0; round < 2; round++) {
    backend.moe(y.tensor, x.tensor,
                {routerWeight.get(), gateWeight.get(), upWeight.get(), downWeight.get(), c.used,
                 c.renormalise});
  }
  backend.end();
  return output(y);
}

}  // namespace

void addExpertCases(std::vector<Case>& cases) {
  const auto add = [&](const ExpertCase& c, const char* what) {
    // The hidden rows between the two products are rounded to int8 for quantised weights.
    cases.push_back({std::string("moe ") + typeInfo(c.type).name + " " + what,
                     isFloat(c.type) ? 2e-6 : 2.5e-2, false,
                     [c](Backend& backend) { return runExperts(backend, c); }});
    // A card multiplies 16-bit weights with halves: see addLinear in rows.cpp.
    if (c.type == Type::f16 || c.type == Type::bf16) cases.back().cardTolerance = 4e-4;
  };
  for (Type type : allTypes()) {
    add({type, 30, 256, 256, 8, 2, false, false}, "2 of 8");
  }
  add({Type::f32, 150, 64, 48, 16, 4, true, false}, "4 of 16, renormalised");
  add({Type::f32, 150, 64, 40, 4, 3, true, true}, "ties");
  add({Type::f32, 45, 64, 40, 70, 6, false, true}, "6 of 70, ties");
  add({Type::f32, 9, 32, 32, 40, 36, true, false}, "36 of 40");
  add({Type::f32, 1, 64, 40, 4, 4, false, false}, "one row, all");
  add({Type::q8_0, 200, 128, 96, 3, 1, true, false}, "1 of 3");
}

}  // namespace lacuna::ops
