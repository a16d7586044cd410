/** Tiny random models, written as Hugging Face folders. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { floatToBfloat, floatToHalf, halfToFloat } from '../../lib/gguf/rounding.js';
import { Random } from '../../lib/gguf/random.js';
import { readFixture } from '../text/vocabulary.js';
import type { ForwardOptions, LayerName, Weight } from './forward.js';

export type Dtype = 'F32' | 'F16' | 'BF16';
export type Json = Record<string, unknown>;

/** A model: what goes into its folder, and what the forward needs. */
export interface HfModel {
  config: Json;
  weights: Map<string, Weight>;
  options: ForwardOptions;
}

export interface HfChoices {
  /** Added to config.json. */
  config?: Json;
  /** Default: the frequencies of rope_theta alone. */
  frequencies?: number[];
  attentionFactor?: number;
  block?: number;
  headDim?: number;
  /** No head: the embedding is it. */
  tied?: boolean;
  bias?: boolean;
  qkNorm?: boolean;
  experts?: { used: number; renormalised: boolean };
}

export const sizes = {
  layers: 2,
  dim: 48,
  heads: 4,
  kvHeads: 2,
  ffn: 40,
  vocabulary: 520,
  experts: 5,
};

const llama = (layer: number): Record<LayerName, string> => {
  const at = `model.layers.${layer}`;
  return {
    attentionNorm: `${at}.input_layernorm`,
    q: `${at}.self_attn.q_proj`,
    k: `${at}.self_attn.k_proj`,
    v: `${at}.self_attn.v_proj`,
    o: `${at}.self_attn.o_proj`,
    qNorm: `${at}.self_attn.q_norm`,
    kNorm: `${at}.self_attn.k_norm`,
    ffnNorm: `${at}.post_attention_layernorm`,
    gate: `${at}.mlp.gate_proj`,
    up: `${at}.mlp.up_proj`,
    down: `${at}.mlp.down_proj`,
    router: `${at}.mlp.gate`,
    experts: `${at}.mlp.experts`,
  };
};

const llada = (layer: number): Record<LayerName, string> => {
  const at = `model.transformer.blocks.${layer}`;
  return {
    attentionNorm: `${at}.attn_norm`,
    q: `${at}.q_proj`,
    k: `${at}.k_proj`,
    v: `${at}.v_proj`,
    o: `${at}.attn_out`,
    qNorm: `${at}.q_norm`,
    kNorm: `${at}.k_norm`,
    ffnNorm: `${at}.ff_norm`,
    gate: `${at}.ff_proj`,
    up: `${at}.up_proj`,
    down: `${at}.ff_out`,
    router: '',
    experts: '',
  };
};

const layouts = {
  llama: {
    names: { embedding: 'model.embed_tokens', norm: 'model.norm', head: 'lm_head', layer: llama },
    config: {
      num_hidden_layers: sizes.layers,
      hidden_size: sizes.dim,
      num_attention_heads: sizes.heads,
      num_key_value_heads: sizes.kvHeads,
      intermediate_size: sizes.ffn,
      vocab_size: sizes.vocabulary,
      max_position_embeddings: 2048,
      rms_norm_eps: 1e-6,
      rope_theta: 10_000,
      hidden_act: 'silu',
      tie_word_embeddings: false,
    } as Json,
  },
  llada: {
    names: {
      embedding: 'model.transformer.wte',
      norm: 'model.transformer.ln_f',
      head: 'model.transformer.ff_out',
      layer: llada,
    },
    config: {
      n_layers: sizes.layers,
      d_model: sizes.dim,
      n_heads: sizes.heads,
      n_kv_heads: sizes.kvHeads,
      mlp_hidden_size: sizes.ffn,
      embedding_size: sizes.vocabulary,
      vocab_size: sizes.vocabulary,
      max_sequence_length: 2048,
      rms_norm_eps: 1e-5,
      rope_theta: 500_000,
      activation_type: 'silu',
      block_type: 'llama',
      layer_norm_type: 'rms',
      rope: true,
      weight_tying: false,
      attention_layer_norm: false,
    } as Json,
  },
};

export function usualFrequencies(theta: number, headDim: number): number[] {
  return Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim));
}

/** A model of the class with random weights. */
export function hfModel(hfClass: string, seed: number, choices: HfChoices = {}): HfModel {
  const layout = hfClass === 'LLaDAModelLM' ? layouts.llada : layouts.llama;
  const { layers, dim, heads, kvHeads } = sizes;
  const headDim = choices.headDim ?? dim / heads;
  const config: Json = {
    architectures: [hfClass],
    ...layout.config,
    ...(choices.headDim && { head_dim: headDim }),
    ...(choices.experts && {
      num_experts: sizes.experts,
      num_experts_per_tok: choices.experts.used,
      moe_intermediate_size: sizes.ffn,
      norm_topk_prob: choices.experts.renormalised,
    }),
    ...choices.config,
  };
  const options: ForwardOptions = {
    ...{ layers, dim, heads, kvHeads, headDim },
    epsilon: config.rms_norm_eps as number,
    frequencies: choices.frequencies ?? usualFrequencies(config.rope_theta as number, headDim),
    attentionFactor: choices.attentionFactor ?? 1,
    block: choices.block ?? 0,
    experts: choices.experts,
    names: layout.names,
  };
  return { config, options, weights: randomWeights(options, choices, new Random(seed)) };
}

function randomWeights(
  { layers, dim, heads, kvHeads, headDim, names }: ForwardOptions,
  { bias, qkNorm, experts, tied }: HfChoices,
  random: Random,
): Map<string, Weight> {
  const weights = new Map<string, Weight>();
  const add = (name: string, shape: number[], sigma: number, mean = 0): void => {
    const values = random.normals(shape.reduce((a, b) => a * b)).map((x) => mean + sigma * x);
    weights.set(name, { shape, values });
  };
  const matrix = (name: string, rows: number, columns: number, gain = 1): void =>
    add(`${name}.weight`, [rows, columns], gain / Math.sqrt(columns));
  const vector = (name: string, n: number): void => add(`${name}.weight`, [n], 0.2, 1);
  const { ffn, vocabulary } = sizes;
  matrix(names.embedding, vocabulary, dim, 4);
  vector(names.norm, dim);
  if (!tied) matrix(names.head, vocabulary, dim, 2);
  for (let layer = 0; layer < layers; layer++) {
    const own = names.layer(layer);
    vector(own.attentionNorm, dim);
    vector(own.ffnNorm, dim);
    const rows = { q: heads * headDim, k: kvHeads * headDim, v: kvHeads * headDim };
    for (const part of ['q', 'k', 'v'] as const) {
      matrix(own[part], rows[part], dim, 1.5);
      if (bias) add(`${own[part]}.bias`, [rows[part]], 0.3);
    }
    matrix(own.o, dim, heads * headDim);
    if (qkNorm) for (const name of [own.qNorm, own.kNorm]) vector(name, headDim);
    const mlp = (at: { gate: string; up: string; down: string }): void => {
      matrix(at.gate, ffn, dim);
      matrix(at.up, ffn, dim);
      matrix(at.down, dim, ffn);
    };
    if (experts) {
      matrix(own.router, sizes.experts, dim, 2);
      for (let e = 0; e < sizes.experts; e++) {
        const at = `${own.experts}.${e}`;
        mlp({ gate: `${at}.gate_proj`, up: `${at}.up_proj`, down: `${at}.down_proj` });
      }
    } else mlp(own);
  }
  return weights;
}

/** The numbers as the type has them, which become those of the model too. */
function encode(weight: Weight, dtype: Dtype): Uint8Array {
  if (dtype === 'F32') return new Uint8Array(weight.values.slice().buffer);
  const words = Uint16Array.from(weight.values, dtype === 'F16' ? floatToHalf : floatToBfloat);
  weight.values = Float32Array.from(words, (word) =>
    dtype === 'F16' ? halfToFloat(word) : new Float32Array(Uint32Array.of(word << 16).buffer)[0],
  );
  return new Uint8Array(words.buffer);
}

/** Any header, and data. */
export function safetensors(header: unknown, data: Uint8Array): Uint8Array {
  const text = new TextEncoder().encode(
    typeof header === 'string' ? header : JSON.stringify(header),
  );
  const out = new Uint8Array(8 + text.length + data.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true);
  out.set(text, 8);
  out.set(data, 8 + text.length);
  return out;
}

function writeShard(path: string, entries: [string, Weight][], dtype: Dtype): void {
  const header: Json = { __metadata__: { format: 'pt' } };
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const [name, weight] of entries) {
    const bytes = encode(weight, dtype);
    header[name] = { dtype, shape: weight.shape, data_offsets: [at, at + bytes.length] };
    parts.push(bytes);
    at += bytes.length;
  }
  writeFileSync(path, safetensors(header, Buffer.concat(parts)));
}

/** The folder of a model; `shards` > 1: with an index, the tensors dealt out in turn. */
export function writeFolder(
  folder: string,
  model: HfModel,
  { dtype = 'F32', shards = 1, files = {} } = {},
): string {
  mkdirSync(folder, { recursive: true });
  const entries = [...model.weights];
  if (shards === 1) writeShard(join(folder, 'model.safetensors'), entries, dtype as Dtype);
  else {
    const file = (i: number): string =>
      `model-0000${(i % shards) + 1}-of-0000${shards}.safetensors`;
    for (let i = 0; i < shards; i++)
      writeShard(
        join(folder, file(i)),
        entries.filter((_, at) => at % shards === i),
        dtype as Dtype,
      );
    const map = Object.fromEntries(entries.map(([name], at) => [name, file(at)]));
    files = { 'model.safetensors.index.json': { metadata: {}, weight_map: map }, ...files };
  }
  const all = {
    'config.json': model.config,
    'tokenizer.json': tokenizerJson(),
    'tokenizer_config.json': tokenizerConfig,
    ...files,
  };
  for (const [name, value] of Object.entries(all))
    if (value !== undefined)
      writeFileSync(join(folder, name), typeof value === 'string' ? value : JSON.stringify(value));
  return folder;
}

const tok512 = readFixture<{ vocab: string[]; merges: [string, string][] }>('tok512.json');

/** Words as tokenizer.json files of the families have them, by the name that GGUF gives them. */
export const splits = {
  'gpt-2': { pattern: undefined, nfc: false, whole: false },
  'llama-bpe': {
    pattern: String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    nfc: false,
    whole: true,
  },
  qwen2: {
    pattern: String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    nfc: true,
    whole: false,
  },
  'llada-moe': {
    pattern: String.raw`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`,
    nfc: false,
    whole: false,
  },
};

const added = (id: number, content: string, special: boolean): Json => ({
  ...{ id, content, special },
  ...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
});

/** 509 ordinary tokens, then start, end and mask, and what Qwen and others add. */
export const addedTokens = [
  added(509, '<|startoftext|>', true),
  added(510, '<|endoftext|>', true),
  added(511, '<|mask|>', true),
  added(512, '<|im_end|>', true),
  added(513, '<think>', false),
  added(514, '<|fim_prefix|>', false),
];

export function tokenizerJson(pre: keyof typeof splits = 'qwen2', changes: Json = {}): Json {
  const { pattern, nfc, whole } = splits[pre];
  const level = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };
  const split = { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false };
  return {
    version: '1.0',
    added_tokens: addedTokens,
    normalizer: nfc ? { type: 'NFC' } : null,
    pre_tokenizer:
      pattern === undefined
        ? { ...level, use_regex: true }
        : { type: 'Sequence', pretokenizers: [split, { ...level, use_regex: false }] },
    post_processor: null,
    decoder: { ...level, use_regex: true },
    model: {
      ...{ type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null },
      ...{ end_of_word_suffix: null, fuse_unk: false, byte_fallback: false, ignore_merges: whole },
      vocab: Object.fromEntries(tok512.vocab.slice(0, 509).map((text, id) => [text, id])),
      merges: tok512.merges.map((pair) => pair.join(' ')),
    },
    ...changes,
  };
}

export const chatTemplate =
  '{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}';

export const tokenizerConfig: Json = {
  bos_token: '<|startoftext|>',
  eos_token: { content: '<|endoftext|>', special: true },
  pad_token: '<|endoftext|>',
  mask_token: '<|mask|>',
  chat_template: chatTemplate,
};
