#pragma once
#include "../gguf/gguf.h"
#include "spec.h"

namespace lacuna {

// What an architecture fixes beyond the keys of its files. Tensor names are the same for all of
// them: token_embd, output_norm, output, blk.N.{attn_norm, attn_q, …}.
struct Architecture {
  const char* name;
  bool interleavedRope;  // q and k rows are permuted in the file for pairs (2i, 2i+1)
  bool qkvBias;          // required; otherwise used when present
  bool qkNorm;           // required; otherwise used when present
  bool experts;
  bool renormaliseExperts;
  int attentionBlock;  // when the file has no {arch}.attention.causal: 0 full, 1 causal
  int logitShift;      // when the file has no diffusion.shift_logits
  int32_t mask;        // when the file has no tokenizer.ggml.mask_token_id; −1: none known
};

// Throws UNSUPPORTED_ARCHITECTURE with the list of known ones.
const Architecture& architecture(const Gguf& file);

}  // namespace lacuna
