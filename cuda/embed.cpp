#include "embed.h"

#include <algorithm>

#include "backend.h"

namespace lacuna::cuda {

// Soft rows come as lists that all have the same room from step to step, give or take a power of
// two: a program of a step with other soft rows is still the same program.
void CudaBackend::embed(Tensor x, const Weight& table, std::span<const int32_t> tokens,
                        std::span<const SoftRow> soft) {
  EmbedArguments a{};
  a.w = cudaWeight(table).matrix;
  a.x = x.data;
  a.count = x.rows;
  hardTokens.assign(tokens.begin(), tokens.begin() + x.rows);
  softEntries.clear();
  softTokens.clear();
  softWeights.clear();
  for (const SoftRow& s : soft) {
    hardTokens[static_cast<size_t>(s.row)] = -1;
    softEntries.push_back(
        {s.row, s.alpha, s.mask, static_cast<int32_t>(softTokens.size()), s.count, 0});
    softTokens.insert(softTokens.end(), s.tokens, s.tokens + s.count);
    softWeights.insert(softWeights.end(), s.weights, s.weights + s.count);
  }
  a.tokens = stage(std::span<const int32_t>(hardTokens));
  const size_t blocks = hardTokens.size() + softEntries.size();
  if (!soft.empty()) {
    const size_t room = std::bit_ceil(std::max<size_t>(softTokens.size(), 256));
    softTokens.resize(room);
    softWeights.resize(room);
    a.soft = stage(std::span<const SoftEntry>(softEntries));
    a.mixed = stage(std::span<const int32_t>(softTokens));
    a.weights = stage(std::span<const float>(softWeights));
  }
  launch(Verb::embed, "embedRows", {static_cast<unsigned>(blocks)}, kEmbedThreads, 0, a);
}

}  // namespace lacuna::cuda
