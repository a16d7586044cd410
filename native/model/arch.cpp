#include "arch.h"

#include "../error.h"

namespace lacuna {

// Mask ids: LLaDA (arXiv 2502.09992), Dream (arXiv 2508.15487) and LLaDA-MoE (arXiv 2509.24389),
// from their tokenizers. The autoregressive families run as diffusion models through load options
// (attention, shift, mask token): SDAR, Fast-dLLM v2, DiffuLLaMA.
constexpr Architecture kArchitectures[] = {
    // name        rope   bias   norm   moe    renorm attn shift mask
    {"llada", true, false, false, false, false, 0, 0, 126336},
    {"dream", false, true, false, false, false, 0, 1, 151666},
    {"llada-moe", false, false, true, true, false, 0, 0, 156895},
    {"rnd1", false, false, true, true, true, 0, 1, -1},
    {"llama", true, false, false, false, false, 1, 1, -1},
    {"qwen2", false, true, false, false, false, 1, 1, -1},
    {"qwen3", false, false, true, false, false, 1, 1, -1},
    {"qwen3moe", false, false, true, true, true, 1, 1, -1},
};

const Architecture& architecture(const Gguf& file) {
  const std::string name = file.needString("general.architecture");
  std::string known;
  for (const Architecture& arch : kArchitectures) {
    if (name == arch.name) return arch;
    known += known.empty() ? arch.name : std::string(", ") + arch.name;
  }
  throw Error(Code::unsupportedArchitecture, file.path() + ": architecture '" + printable(name) +
                                                 "' is not supported; supported: " + known);
}

}  // namespace lacuna
