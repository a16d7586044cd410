/**
 * What families of models differ in, as data: how transformers names their classes, numbers and
 * tensors, and what their GGUF files say. Architectures, keys, tensor names and the order of q and k
 * rows are those of llama.cpp (conversion/ and gguf-py/gguf/constants.py there), whose files every
 * GGUF tool reads. The key diffusion.block_length is ours.
 */

/** config.json's keys of a number, the first that is there. */
type Keys = readonly string[];

export interface NumberKeys {
  layers: Keys;
  dim: Keys;
  heads: Keys;
  kvHeads: Keys;
  headDim: Keys;
  ffn: Keys;
  vocabulary: Keys;
  context: Keys;
  tied: string;
  experts: Keys;
  expertsUsed: Keys;
  expertFfn: Keys;
}

const usualKeys: NumberKeys = {
  layers: ['num_hidden_layers'],
  dim: ['hidden_size'],
  heads: ['num_attention_heads'],
  kvHeads: ['num_key_value_heads'],
  headDim: ['head_dim'],
  ffn: ['intermediate_size'],
  vocabulary: ['vocab_size'],
  context: ['max_position_embeddings'],
  tied: 'tie_word_embeddings',
  experts: ['num_experts'],
  expertsUsed: ['num_experts_per_tok'],
  expertFfn: ['moe_intermediate_size'],
};

/** GGUF tensor, without `blk.N.` and `.weight`, to the checkpoint's; {layer} and {expert} are numbers. */
export type TensorNames = Readonly<Record<string, string>>;

const attention = 'model.layers.{layer}.self_attn';
const mlp = 'model.layers.{layer}.mlp';

const usualNames: TensorNames = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
  attn_norm: 'model.layers.{layer}.input_layernorm',
  attn_q: `${attention}.q_proj`,
  attn_k: `${attention}.k_proj`,
  attn_v: `${attention}.v_proj`,
  attn_output: `${attention}.o_proj`,
  attn_q_norm: `${attention}.q_norm`,
  attn_k_norm: `${attention}.k_norm`,
  ffn_norm: 'model.layers.{layer}.post_attention_layernorm',
  ffn_gate: `${mlp}.gate_proj`,
  ffn_up: `${mlp}.up_proj`,
  ffn_down: `${mlp}.down_proj`,
  ffn_gate_inp: `${mlp}.gate`,
  ffn_gate_exps: `${mlp}.experts.{expert}.gate_proj`,
  ffn_up_exps: `${mlp}.experts.{expert}.up_proj`,
  ffn_down_exps: `${mlp}.experts.{expert}.down_proj`,
};

const block = 'model.transformer.blocks.{layer}';

/** LLaDA's code is OLMo's: github.com/ML-GSAI/LLaDA, modeling_llada.py. */
const lladaNames: TensorNames = {
  token_embd: 'model.transformer.wte',
  output_norm: 'model.transformer.ln_f',
  output: 'model.transformer.ff_out',
  attn_norm: `${block}.attn_norm`,
  attn_q: `${block}.q_proj`,
  attn_k: `${block}.k_proj`,
  attn_v: `${block}.v_proj`,
  attn_output: `${block}.attn_out`,
  ffn_norm: `${block}.ff_norm`,
  ffn_gate: `${block}.ff_proj`,
  ffn_up: `${block}.up_proj`,
  ffn_down: `${block}.ff_out`,
};

const lladaKeys: NumberKeys = {
  ...usualKeys,
  layers: ['n_layers'],
  dim: ['d_model'],
  heads: ['n_heads'],
  kvHeads: ['n_kv_heads'],
  headDim: [],
  ffn: ['mlp_hidden_size'],
  vocabulary: ['embedding_size', 'vocab_size'],
  context: ['max_sequence_length'],
  tied: 'weight_tying',
};

/**
 * Values that the arithmetic here assumes: a key that is there has one of them, an array only them.
 * What changes the arithmetic and is named elsewhere would otherwise give plausible nonsense.
 */
type Assumed = Readonly<Record<string, readonly unknown[]>>;

const usualAssumed: Assumed = {
  hidden_act: ['silu'],
  use_sliding_window: [false],
  layer_types: ['full_attention'],
  partial_rotary_factor: [1],
  mlp_bias: [false],
  use_mrope: [false],
};

const expertsAssumed: Assumed = {
  ...usualAssumed,
  decoder_sparse_step: [1],
  mlp_only_layers: [],
  moe_layer_freq: [1],
  shared_expert_intermediate_size: [0],
  moe_router_score_function: ['softmax'],
  moe_router_enable_expert_bias: [false],
  router_num_group: [1],
  router_topk_group: [1],
  routed_scaling_factor: [1],
  clip_qkv: [],
};

const lladaAssumed: Assumed = {
  activation_type: ['silu'],
  block_type: ['llama'],
  block_group_size: [1],
  layer_norm_type: ['rms'],
  layer_norm_with_affine: [true],
  rope: [true],
  alibi: [false],
  include_bias: [false],
  bias_for_layer_norm: [false],
  attention_layer_norm: [false],
  input_emb_norm: [false],
  scale_logits: [false],
  clip_qkv: [],
};

export type GgufArchitecture =
  'llada' | 'dream' | 'llada-moe' | 'rnd1' | 'llama' | 'qwen2' | 'qwen3' | 'qwen3moe';

export interface Family {
  /** `general.architecture`. */
  architecture: GgufArchitecture;
  /** `architectures` of config.json. */
  classes: readonly string[];
  /** `model_type` of config.json, where that has no architectures. */
  modelTypes: readonly string[];
  keys: NumberKeys;
  names: TensorNames;
  assumed: Assumed;
  /** Norm epsilon where config.json has none, as the original code has it. */
  epsilon: number;
  /** q and k rows are put in the order for rope over neighbouring pairs. */
  interleaved?: true;
  bias?: true;
  qkNorm?: true;
  experts?: true;
  /** Where config.json has no norm_topk_prob: expert weights are scaled to sum 1. */
  renormalised?: boolean;
  /** Written as {arch}.attention.causal. */
  causal?: boolean;
  /** Written as diffusion.shift_logits: row i − 1 predicts token i. */
  shift?: boolean;
  /** Written as diffusion.block_length: the key of config.json, and what it is where that is absent. */
  block?: { key: string; absent: number };
  /** The mask token where no configuration names it: its text, or else its id in the original. */
  mask?: { texts: readonly string[]; id: number };
}

const qwen3 = {
  keys: usualKeys,
  names: usualNames,
  assumed: usualAssumed,
  epsilon: 1e-6,
  qkNorm: true,
} as const;
const qwen3moe = { ...qwen3, assumed: expertsAssumed, experts: true } as const;
const qwen2 = { ...qwen3, qkNorm: undefined, bias: true } as const;
const sdar = {
  shift: false,
  block: { key: 'block_size', absent: 4 },
  mask: { texts: ['<|MASK|>'], id: 151_669 },
} as const;

export const families: readonly Family[] = [
  {
    architecture: 'llada', // LLaDA, LLaDA 1.5, d3LLM-LLaDA
    classes: ['LLaDAModelLM'],
    modelTypes: ['llada'],
    keys: lladaKeys,
    names: lladaNames,
    assumed: lladaAssumed,
    epsilon: 1e-5,
    interleaved: true,
    causal: false,
    shift: false,
    mask: { texts: ['<|mdm_mask|>'], id: 126_336 },
  },
  {
    architecture: 'dream', // Dream, Dream-Coder, DiffuCoder, d3LLM-Dream
    classes: ['DreamModel'],
    modelTypes: ['Dream', 'dream'],
    ...qwen2,
    causal: false,
    shift: true,
    mask: { texts: ['<|mask|>'], id: 151_666 },
  },
  {
    architecture: 'llada-moe',
    classes: ['LLaDAMoEModelLM', 'LLaDAMoEModel'],
    modelTypes: ['llada_moe', 'lladamoe'],
    ...qwen3moe,
    keys: {
      ...usualKeys,
      ffn: ['dense_intermediate_size'],
      expertFfn: ['expert_intermediate_size'],
    },
    epsilon: 1e-5,
    renormalised: false,
    causal: false,
    shift: false,
    mask: { texts: ['<|mask|>'], id: 156_895 },
  },
  {
    architecture: 'rnd1',
    classes: ['RND1LM', 'RND1'],
    modelTypes: ['rnd1'],
    ...qwen3moe,
    renormalised: true,
    causal: false,
    shift: true,
    mask: { texts: ['<|mask|>'], id: 151_669 }, // an id without a text in Qwen3's tokenizer
  },
  {
    architecture: 'qwen3',
    classes: ['SDARForCausalLM'],
    modelTypes: ['sdar'],
    ...qwen3,
    ...sdar,
  },
  {
    architecture: 'qwen3moe',
    classes: ['SDARMoeForCausalLM'],
    modelTypes: ['sdar_moe'],
    ...qwen3moe,
    ...sdar,
    renormalised: true,
  },
  {
    architecture: 'qwen2', // Fast-dLLM v2
    classes: ['Fast_dLLM_QwenForCausalLM'],
    modelTypes: ['Fast_dLLM_Qwen'],
    ...qwen2,
    shift: true,
    block: { key: 'bd_size', absent: 32 },
    mask: { texts: ['|<MASK>|'], id: 151_665 },
  },
  {
    architecture: 'llama',
    classes: ['LlamaForCausalLM', 'LLaMAForCausalLM'],
    modelTypes: ['llama'],
    keys: usualKeys,
    names: usualNames,
    assumed: usualAssumed,
    epsilon: 1e-6,
    interleaved: true,
  },
  { architecture: 'qwen2', classes: ['Qwen2ForCausalLM'], modelTypes: ['qwen2'], ...qwen2 },
  { architecture: 'qwen3', classes: ['Qwen3ForCausalLM'], modelTypes: ['qwen3'], ...qwen3 },
  {
    architecture: 'qwen3moe',
    classes: ['Qwen3MoeForCausalLM'],
    modelTypes: ['qwen3_moe'],
    ...qwen3moe,
    renormalised: false,
  },
];
