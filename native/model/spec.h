#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "../backend.h"

namespace lacuna {

// Which keys a row may see. A row at position i sees key j when j / block <= i / block;
// full attention is block = 0 (everything), causal is block = 1.
struct Attention {
  int block = 0;

  bool operator==(const Attention&) const = default;
};

// What a model learned for soft masks (SoftRow). The decoder reads it, no forward does.
struct SoftMasking {
  int tokens = 0;  // k; 0: not trained with them
  double scale = 0, slope = 0, centre = 0;
};

// Every number and flag a forward pass may read. An arch file fills it; a field that does not apply
// holds its neutral value, so that nobody asks for the architecture afterwards.
struct ModelSpec {
  std::string architecture;
  std::string name;

  int layers = 0;
  int dim = 0;
  int heads = 0;
  int kvHeads = 0;
  int headDim = 0;
  int ffn = 0;  // 0 when every layer is a mixture of experts
  int vocabulary = 0;
  int context = 0;  // trained length in tokens; 0 unknown

  int experts = 0;  // 0: dense
  int expertsUsed = 0;
  int expertFfn = 0;
  bool renormaliseExperts = false;

  float normEps = 1e-5f;
  Rope rope;
  bool qkvBias = false;
  bool qkNorm = false;  // RMS norm per head on q and k, before rope
  bool tiedHead = false;

  Attention attention;
  int logitShift = 0;  // 1: row i − 1 predicts token i
  SoftMasking softMasking;

  int32_t mask = -1;  // −1: absent
  int32_t bos = -1, eos = -1, eot = -1, pad = -1;
};

// Load options that replace what the file says; negative numbers keep the file's value.
struct SpecOverrides {
  int attentionBlock = -1;  // 0 full, 1 causal, n block-causal
  int logitShift = -1;
  int32_t mask = -1;
};

}  // namespace lacuna
