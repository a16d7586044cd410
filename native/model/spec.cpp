#include <algorithm>
#include <cmath>
#include <numbers>

#include "../error.h"
#include "arch.h"
#include "model.h"

namespace lacuna {
namespace {

// The keys of one file below its architecture's prefix.
struct Keys {
  const Gguf& file;
  std::string prefix;

  std::string key(const char* name) const { return prefix + "." + name; }

  [[noreturn]] void fail(const std::string& name, const std::string& what) const {
    throw Error(Code::badGguf, file.path() + ": key '" + name + "' " + what);
  }

  int inRange(const std::string& name, int64_t value, int64_t low, int64_t high) const {
    if (value < low || value > high)
      fail(name, "is " + std::to_string(value) + "; it must be " + std::to_string(low) + " to " +
                     std::to_string(high));
    return static_cast<int>(value);
  }

  int need(const char* name, int64_t low, int64_t high) const {
    return inRange(key(name), file.needInteger(key(name)), low, high);
  }

  int get(const char* name, int64_t absent, int64_t low, int64_t high) const {
    return inRange(key(name), file.integer(key(name)).value_or(absent), low, high);
  }

  double get(const char* name, double absent) const {
    const double value = file.number(key(name)).value_or(absent);
    if (!std::isfinite(value)) fail(key(name), "is not finite");
    return value;
  }
};

// YaRN (arXiv 2309.00071): high frequencies stay, low ones are divided by the factor, a ramp
// between the two correction dimensions; cos and sin grow by 1 + 0.1 ln(factor).
void applyYarn(const Keys& keys, Rope& rope, double base, double factor, int context) {
  const int original = keys.get("rope.scaling.original_context_length",
                                static_cast<int64_t>(std::max(context, 1)), 1, 1 << 30);
  const double fast = keys.get("rope.scaling.yarn_beta_fast", 32.0);
  const double slow = keys.get("rope.scaling.yarn_beta_slow", 1.0);
  const double extrapolation = keys.get("rope.scaling.yarn_ext_factor", 1.0);
  const double attention =
      keys.get("rope.scaling.yarn_attn_factor", 1.0) * keys.get("rope.scaling.attn_factor", 1.0);
  if (!(fast > 0) || !(slow > 0) || !(base > 1))
    keys.fail(keys.key("rope.scaling.type"),
              "is yarn, which needs positive betas and a base above 1");
  const auto correction = [&](double rotations) {
    return rope.dims * std::log(original / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(base));
  };
  const double low = std::max(0.0, std::floor(correction(fast)));
  const double high = std::min(rope.dims - 1.0, std::ceil(correction(slow)));
  for (size_t i = 0; i < rope.frequencies.size(); i++) {
    const double position = (static_cast<double>(i) - low) / std::max(0.001, high - low);
    const double keep = (1 - std::clamp(position, 0.0, 1.0)) * extrapolation;
    rope.frequencies[i] *= keep + (1 - keep) / factor;
  }
  rope.magnitude =
      static_cast<float>(attention * (extrapolation == 0 ? 1.0 : 1.0 + 0.1 * std::log(factor)));
}

// Llama 3's frequency factors come as a tensor that divides each frequency.
void applyFactors(const Gguf& file, Rope& rope) {
  const TensorView* factors = file.find("rope_freqs.weight");
  if (!factors) return;
  if (factors->type != Type::f32 || factors->elements() != rope.dims / 2)
    throw Error(Code::badGguf, file.path() + ": tensor 'rope_freqs.weight' must be F32 with " +
                                   std::to_string(rope.dims / 2) + " elements");
  for (size_t i = 0; i < rope.frequencies.size(); i++) {
    float factor;
    std::copy_n(factors->data + i * sizeof(float), sizeof(float),
                reinterpret_cast<uint8_t*>(&factor));
    if (!(factor > 0) || !std::isfinite(factor))
      throw Error(Code::badGguf, file.path() +
                                     ": tensor 'rope_freqs.weight' holds a value that is "
                                     "not positive");
    rope.frequencies[i] /= factor;
  }
}

Rope readRope(const Keys& keys, const ModelSpec& spec, bool interleaved) {
  Rope rope;
  rope.interleaved = interleaved;
  rope.dims = keys.get("rope.dimension_count", int64_t{spec.headDim}, 2, spec.headDim);
  if (rope.dims % 2 != 0) keys.fail(keys.key("rope.dimension_count"), "must be even");
  const double base = keys.get("rope.freq_base", 10000.0);
  if (!(base > 0)) keys.fail(keys.key("rope.freq_base"), "must be positive");
  for (int i = 0; i < rope.dims; i += 2)
    rope.frequencies.push_back(std::pow(base, -static_cast<double>(i) / rope.dims));

  std::string kind = keys.file.string(keys.key("rope.scaling.type")).value_or("");
  double factor = keys.get("rope.scaling.factor", 1.0);
  if (kind.empty()) {  // the older way to say linear scaling
    factor = keys.get("rope.scale_linear", factor);
    kind = factor != 1 ? "linear" : "none";
  }
  if (!(factor > 0)) keys.fail(keys.key("rope.scaling.factor"), "must be positive");
  if (kind == "linear") {
    for (double& frequency : rope.frequencies) frequency /= factor;
  } else if (kind == "yarn") {
    applyYarn(keys, rope, base, factor, spec.context);
  } else if (kind != "none") {
    keys.fail(keys.key("rope.scaling.type"),
              "is '" + printable(kind) + "'; supported: none, linear, yarn");
  }
  applyFactors(keys.file, rope);
  return rope;
}

void readExperts(const Keys& keys, const Architecture& arch, ModelSpec& spec) {
  if (!arch.experts) return;
  spec.experts = keys.need("expert_count", 1, 1 << 16);
  spec.expertsUsed = keys.need("expert_used_count", 1, spec.experts);
  spec.expertFfn = keys.get("expert_feed_forward_length", int64_t{spec.ffn}, 1, 1 << 20);
  spec.renormaliseExperts =
      keys.file.boolean(keys.key("expert_weights_norm")).value_or(arch.renormaliseExperts);
  spec.ffn = 0;
}

void readTokens(const Keys& keys, const Architecture& arch, ModelSpec& spec) {
  const auto id = [&](const char* name, int64_t absent) {
    const std::string key = std::string("tokenizer.ggml.") + name;
    const auto value = keys.file.integer(key);
    if (!value) return static_cast<int32_t>(absent);
    return keys.inRange(key, *value, 0, spec.vocabulary - 1);
  };
  spec.mask = id("mask_token_id", arch.mask < spec.vocabulary ? arch.mask : -1);
  spec.bos = id("bos_token_id", -1);
  spec.eos = id("eos_token_id", -1);
  spec.eot = id("eot_token_id", -1);
  spec.pad = id("padding_token_id", -1);
}

// All four keys, or none.
void readSoftMasking(const Keys& keys, ModelSpec& spec) {
  const std::string prefix = "diffusion.soft_mask.";
  if (!keys.file.number(prefix + "scale")) return;
  const auto need = [&](const char* name, double low, double high) {
    const std::string key = prefix + name;
    const auto value = keys.file.number(key);
    if (!value) keys.fail(key, "is missing; diffusion.soft_mask.scale needs it");
    if (!(*value >= low && *value <= high))
      keys.fail(key, "is " + std::to_string(*value) + "; it must be " + std::to_string(low) +
                         " to " + std::to_string(high));
    return *value;
  };
  spec.softMasking.scale = need("scale", 0, 1);
  spec.softMasking.slope = need("slope", 0, 1e6);
  spec.softMasking.centre = need("centre", -1e6, 1e6);
  spec.softMasking.tokens = static_cast<int>(need("top_k", 1, spec.vocabulary));
}

void applyOverrides(const SpecOverrides& overrides, ModelSpec& spec) {
  if (overrides.attentionBlock >= 0) spec.attention.block = overrides.attentionBlock;
  if (overrides.logitShift >= 0) spec.logitShift = overrides.logitShift;
  if (overrides.mask >= 0) spec.mask = overrides.mask;
  if (spec.mask >= spec.vocabulary)
    throw Error(Code::invalidArgument, "maskToken is " + std::to_string(spec.mask) +
                                           "; the vocabulary has " +
                                           std::to_string(spec.vocabulary) + " tokens");
}

}  // namespace

ModelSpec readSpec(const Gguf& file, const SpecOverrides& overrides) {
  const Architecture& arch = architecture(file);
  const Keys keys{file, arch.name};
  ModelSpec spec;
  spec.architecture = arch.name;
  spec.name = file.string("general.name").value_or("");
  spec.layers = keys.need("block_count", 1, 1 << 12);
  spec.dim = keys.need("embedding_length", 1, 1 << 18);
  spec.heads = keys.need("attention.head_count", 1, 1 << 12);
  spec.kvHeads = keys.get("attention.head_count_kv", int64_t{spec.heads}, 1, spec.heads);
  if (spec.heads % spec.kvHeads != 0)
    keys.fail(keys.key("attention.head_count_kv"), "must divide the number of heads");
  spec.headDim = keys.get("attention.key_length", int64_t{spec.dim / spec.heads}, 2, 1 << 12);
  if (keys.get("attention.value_length", int64_t{spec.headDim}, 1, 1 << 12) != spec.headDim)
    keys.fail(keys.key("attention.value_length"), "must equal attention.key_length");
  spec.ffn = keys.get("feed_forward_length", int64_t{0}, 0, 1 << 20);
  spec.context = keys.get("context_length", int64_t{0}, 0, 1 << 30);
  spec.normEps = static_cast<float>(keys.get("attention.layer_norm_rms_epsilon", 1e-5));
  if (!(spec.normEps > 0))
    keys.fail(keys.key("attention.layer_norm_rms_epsilon"), "must be positive");
  if (!arch.experts && spec.ffn == 0) keys.need("feed_forward_length", 1, 1 << 20);
  readExperts(keys, arch, spec);

  const TensorView* embedding = file.find("token_embd.weight");
  if (!embedding)
    throw Error(Code::badGguf, file.path() + ": tensor 'token_embd.weight' is missing");
  if (embedding->rows > (1 << 24))
    throw Error(Code::badGguf, file.path() + ": tensor 'token_embd.weight' has too many rows");
  spec.vocabulary = static_cast<int>(embedding->rows);
  spec.tiedHead = !file.find("output.weight");
  spec.qkvBias = arch.qkvBias || file.find("blk.0.attn_q.bias");
  spec.qkNorm = arch.qkNorm || file.find("blk.0.attn_q_norm.weight");
  spec.rope = readRope(keys, spec, arch.interleavedRope);

  const auto causal = file.boolean(keys.key("attention.causal"));
  spec.attention.block = causal ? (*causal ? 1 : 0) : arch.attentionBlock;
  const std::string blockLength = "diffusion.block_length";
  if (const auto length = file.integer(blockLength))
    spec.attention.block = keys.inRange(blockLength, *length, 1, 1 << 24);
  const auto shift = file.boolean("diffusion.shift_logits");
  spec.logitShift = shift ? (*shift ? 1 : 0) : arch.logitShift;
  readTokens(keys, arch, spec);
  readSoftMasking(keys, spec);
  applyOverrides(overrides, spec);
  return spec;
}

}  // namespace lacuna
