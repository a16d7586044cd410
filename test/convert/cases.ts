/** The classes that `convert` knows, each as a random folder of little weights. */
import { sizes, type HfChoices } from './folders.js';

export interface Case {
  hfClass: string;
  choices?: HfChoices;
  architecture: string;
  /** Of the file: attention block, logit shift and mask token. */
  spec: { attentionBlock: number; logitShift: number; mask: number };
}

const diffusion = (logitShift: number, attentionBlock = 0) => ({
  ...{ attentionBlock, logitShift, mask: 511 },
});
const qwen3 = { qkNorm: true, headDim: 16 };
const experts = { used: 2, renormalised: true };

export const cases: Case[] = [
  { hfClass: 'LLaDAModelLM', architecture: 'llada', spec: diffusion(0) },
  {
    hfClass: 'DreamModel',
    choices: { bias: true },
    architecture: 'dream',
    spec: diffusion(1),
  },
  {
    hfClass: 'LLaDAMoEModelLM',
    choices: {
      qkNorm: true,
      experts: { used: 2, renormalised: false },
      config: {
        expert_intermediate_size: sizes.ffn,
        moe_layer_freq: [1, 1],
        mask_token_id: 510, // as the default of its configuration class: the end token
        norm_topk_prob: null,
      },
    },
    architecture: 'llada-moe',
    spec: diffusion(0),
  },
  {
    hfClass: 'RND1LM',
    choices: { ...qwen3, experts, config: { rope_scaling: false, norm_topk_prob: null } },
    architecture: 'rnd1',
    spec: diffusion(1),
  },
  {
    hfClass: 'SDARForCausalLM',
    choices: { ...qwen3, block: 4, config: { block_size: 4 } },
    architecture: 'qwen3',
    spec: diffusion(0, 4),
  },
  {
    hfClass: 'SDARMoeForCausalLM',
    choices: { ...qwen3, experts, block: 8, config: { block_size: 8 } },
    architecture: 'qwen3moe',
    spec: diffusion(0, 8),
  },
  {
    hfClass: 'Fast_dLLM_QwenForCausalLM',
    choices: { bias: true, block: 16, config: { bd_size: 16 } },
    architecture: 'qwen2',
    spec: diffusion(1, 16),
  },
  {
    hfClass: 'LlamaForCausalLM',
    choices: { block: 1 },
    architecture: 'llama',
    spec: diffusion(1, 1),
  },
  {
    hfClass: 'Qwen2ForCausalLM',
    choices: { bias: true, tied: true, block: 1, config: { tie_word_embeddings: true } },
    architecture: 'qwen2',
    spec: diffusion(1, 1),
  },
  {
    hfClass: 'Qwen3ForCausalLM',
    choices: { ...qwen3, block: 1 },
    architecture: 'qwen3',
    spec: diffusion(1, 1),
  },
  {
    hfClass: 'Qwen3MoeForCausalLM',
    choices: { ...qwen3, experts: { used: 3, renormalised: false }, block: 1 },
    architecture: 'qwen3moe',
    spec: diffusion(1, 1),
  },
];

export const tokens = Array.from(
  { length: 20 },
  (_, i) => (i * i * 31 + 7 * i + 3) % sizes.vocabulary,
);
