// moe: rows grouped by expert, so that an expert's weights are read once for all of its rows.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "backend.h"

namespace lacuna::cpu {
namespace {

constexpr int kExpertRows = 64;  // rows of a chunk, at most

}  // namespace

// Fills routed, routedOf and expertChunks from the router's logits.
void CpuBackend::route(Tensor x, const Experts& experts) {
  const CpuWeight& w = cpuWeight(*experts.router);
  const int count = static_cast<int>(w.rows), used = experts.used;
  float* logits = routerLogits.get<float>(static_cast<size_t>(x.rows) * count);
  Gemm g;
  g.w = &w.panels;
  g.lastTile = w.tiles;
  g.columns = count;
  g.rows = x.rows;
  g.input = input(x.data, x.rows, w.panels);
  g.y = logits;
  g.yStride = count;
  multiply(g);

  routed.clear();
  std::vector<int>& order = expertOrder;
  order.resize(static_cast<size_t>(count));
  for (int i = 0; i < x.rows; i++) {
    const float* z = logits + static_cast<int64_t>(i) * count;
    const auto better = [z](int a, int b) { return z[a] != z[b] ? z[a] > z[b] : a < b; };
    for (int e = 0; e < count; e++) order[e] = e;
    std::partial_sort(order.begin(), order.begin() + used, order.end(), better);
    const double largest = z[order[0]];
    double all = 0, chosen = 0;
    for (int e = 0; e < count; e++) all += std::exp(z[e] - largest);
    for (int j = 0; j < used; j++) chosen += std::exp(z[order[j]] - largest);
    for (int j = 0; j < used; j++) {
      const double e = std::exp(z[order[j]] - largest);
      routed.push_back({order[j], i, static_cast<float>(e / (experts.renormalise ? chosen : all))});
    }
  }
  std::sort(routed.begin(), routed.end(), [](const Routed& a, const Routed& b) {
    return a.expert != b.expert ? a.expert < b.expert : a.row < b.row;
  });

  routedOf.assign(routed.size(), 0);
  routedCount.assign(static_cast<size_t>(x.rows), 0);
  expertChunks.clear();
  expertChunks.reserve(static_cast<size_t>(count) + routed.size() / kExpertRows + 1);
  for (size_t i = 0; i < routed.size(); i++) {
    const Routed& r = routed[i];
    routedOf[static_cast<size_t>(r.row) * used + routedCount[r.row]++] = static_cast<int>(i);
    const bool starts = expertChunks.empty() || routed[expertChunks.back()].expert != r.expert ||
                        static_cast<int>(i) - expertChunks.back() == kExpertRows;
    if (starts) expertChunks.push_back(static_cast<int>(i));
  }
  expertChunks.push_back(static_cast<int>(routed.size()));
}

// y (routed rows, rows of w) = the routed rows of `in` times each one's own expert.
void CpuBackend::multiplyRouted(const CpuWeight& w, const GemmInput& in, float* y, Finish finish) {
  const int chunks = static_cast<int>(expertChunks.size()) - 1;
  const int pieces = std::min(w.tiles, 4);
  pool.parallelFor(chunks * pieces, [&](int job, int) {
    const int chunk = job / pieces, piece = job % pieces;
    const int first = expertChunks[chunk], matrix = routed[first].expert * w.tiles;
    const int from = static_cast<int>(int64_t{w.tiles} * piece / pieces);
    const int to = static_cast<int>(int64_t{w.tiles} * (piece + 1) / pieces);
    Gemm g;
    g.w = &w.panels;
    g.firstTile = matrix + from;
    g.lastTile = matrix + to;
    g.columns = static_cast<int>(w.rows) - from * kernels.nr;
    g.columns = std::min(g.columns, (to - from) * kernels.nr);
    g.rows = expertChunks[chunk + 1] - first;
    g.input = slice(in, w.panels, first);
    g.yStride = w.rows;
    g.y = y + first * g.yStride + from * kernels.nr;
    g.finish = finish;
    kernels.gemm(g);
  });
}

void CpuBackend::moe(Tensor y, Tensor x, const Experts& experts) {
  const Stopwatch watch(times.moe);
  route(x, experts);
  const CpuWeight& gate = cpuWeight(*experts.gate);
  const CpuWeight& up = cpuWeight(*experts.up);
  const CpuWeight& down = cpuWeight(*experts.down);
  const size_t rows = routed.size(), dim = static_cast<size_t>(x.cols);
  const int n = static_cast<int>(rows), ffn = static_cast<int>(gate.rows);
  float* gathered = expertInput.get<float>(rows * dim);
  float* hidden = expertHidden.get<float>(rows * static_cast<size_t>(ffn));
  float* out = expertOutput.get<float>(rows * dim);

  wrote();
  pool.parallelFor(n, [&](int i, int) {
    std::memcpy(gathered + static_cast<size_t>(i) * dim, x.slice(routed[i].row, 1).data,
                dim * sizeof(float));
  });
  multiplyRouted(gate, input(gathered, n, gate.panels), hidden, Finish::store);
  multiplyRouted(up, input(gathered, n, up.panels), hidden, Finish::glu);
  wrote();
  multiplyRouted(down, input(hidden, n, down.panels), out, Finish::store);
  pool.parallelFor(x.rows, [&](int row, int) {
    for (int j = 0; j < experts.used; j++) {  // ascending experts: one order of the sum
      const int i = routedOf[static_cast<size_t>(row) * experts.used + j];
      kernels.axpy(y.slice(row, 1).data, routed[i].weight, out + static_cast<size_t>(i) * dim,
                   y.cols);
    }
  });
  wrote();
}

}  // namespace lacuna::cpu
