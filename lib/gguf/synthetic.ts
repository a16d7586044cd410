import { LacunaError } from '../errors.js';
import { byteTokens } from './byte-tokens.js';
import { sensitive } from './mixes.js';
import { Random, WeightPool, randomData } from './random.js';
import { fileTypes, tensorTypes, type FileType, type TensorType } from './types.js';
import { f32, writeGguf, type GgufTensor, type MetadataValue } from './writer.js';

/** What a family of models fixes, as its files say it. */
interface Family {
  ropeBase: number;
  epsilon: number;
  bias?: boolean;
  qkNorm?: boolean;
  experts?: boolean;
  /** Written as {arch}.attention.causal. */
  causal: boolean;
  /** Written as diffusion.shift_logits, unless undefined. */
  shiftLogits?: boolean;
  /** Head size is written as {arch}.attention.key_length. */
  keyLength?: boolean;
}

const families = {
  llada: { ropeBase: 500_000, epsilon: 1e-5, causal: false, shiftLogits: false },
  dream: { ropeBase: 1_000_000, epsilon: 1e-6, causal: false, bias: true },
  'llada-moe': {
    ropeBase: 50_000,
    epsilon: 1e-5,
    causal: false,
    shiftLogits: false,
    qkNorm: true,
    experts: true,
  },
  rnd1: {
    ropeBase: 1_000_000,
    epsilon: 1e-6,
    causal: false,
    qkNorm: true,
    experts: true,
    keyLength: true,
  },
  llama: { ropeBase: 10_000, epsilon: 1e-5, causal: true },
  qwen2: { ropeBase: 1_000_000, epsilon: 1e-6, causal: true, bias: true },
  qwen3: { ropeBase: 1_000_000, epsilon: 1e-6, causal: true, qkNorm: true, keyLength: true },
  qwen3moe: {
    ropeBase: 1_000_000,
    epsilon: 1e-6,
    causal: true,
    qkNorm: true,
    experts: true,
    keyLength: true,
  },
} satisfies Record<string, Family>;

export type SyntheticArchitecture = keyof typeof families;

export const syntheticArchitectures = Object.keys(families) as SyntheticArchitecture[];

/** Numbers of a model, as in the paper or configuration of a real one. */
export interface SyntheticShape {
  architecture: SyntheticArchitecture;
  layers: number;
  dim: number;
  heads: number;
  /** Default: heads. */
  kvHeads?: number;
  /** Default: dim / heads. */
  headDim?: number;
  /** Of the dense layers; mixtures of experts write it and do not use it. */
  ffn: number;
  /** Tokens; the last four are bos, eos, eot and mask. */
  vocabulary: number;
  /** Default 4 for the architectures that have experts. */
  experts?: number;
  /** Default 2. */
  expertsUsed?: number;
  /** Default: ffn. */
  expertFfn?: number;
  /** Trained length in tokens; default 4096. */
  context?: number;
}

/** {@link SyntheticShape} and what the file looks like. */
export interface SyntheticOptions extends SyntheticShape {
  /**
   * Of all matrices; default Q8_0. Rows that are no multiple of its block size become Q8_0 or F32.
   * Norms, biases and routers are F32, as in real files. `Q4_K_M` mixes Q4_K and Q6_K.
   */
  type?: FileType;
  /** Default 1. */
  seed?: number;
  /** Default: none. `frequencyFactors` (headDim / 2) become the tensor rope_freqs.weight. */
  ropeScaling?: {
    type: 'linear' | 'yarn';
    factor: number;
    originalContext?: number;
    /** On cos and sin, besides what YaRN itself puts there. */
    attentionFactor?: number;
    frequencyFactors?: readonly number[];
  };
  /** Written as diffusion.soft_mask.{top_k, scale, slope, centre}; what is left out is not. */
  softMask?: { k?: number; scale?: number; slope?: number; centre?: number };
  /** No output.weight: the head is the embedding. Default false. */
  tied?: boolean;
  /** Adds a byte-level tokenizer without merges; the vocabulary must be at least 260. Default false. */
  tokenizer?: boolean;
}

/** Shapes by name. */
export const syntheticShapes = {
  tiny: { architecture: 'llada', layers: 2, dim: 64, heads: 2, ffn: 96, vocabulary: 512 },
  'bench-16x1024': {
    architecture: 'llada',
    layers: 16,
    dim: 1024,
    heads: 16,
    ffn: 2816,
    vocabulary: 126_464,
  },
  'llada-8b': {
    architecture: 'llada',
    layers: 32,
    dim: 4096,
    heads: 32,
    ffn: 12_288,
    vocabulary: 126_464,
  },
  'dream-7b': {
    architecture: 'dream',
    layers: 28,
    dim: 3584,
    heads: 28,
    kvHeads: 4,
    ffn: 18_944,
    vocabulary: 152_064,
  },
} satisfies Record<string, SyntheticShape>;

export type SyntheticShapeName = keyof typeof syntheticShapes;

/** What {@link writeSynthetic} wrote. */
export interface SyntheticFile {
  path: string;
  bytes: number;
  parameters: number;
}

/**
 * Writes a model of a named shape with random weights, with the keys and tensors that real files of
 * its architecture have. The same options give the same bytes. Weights are normal with standard
 * deviation 1/√columns (the head 3/√columns, so that some tokens stand out), norms near 1. Large
 * models are streamed: 490 MB take about two seconds.
 *
 * @throws LacunaError INVALID_ARGUMENT, FILE_ERROR
 */
export async function writeSynthetic(
  path: string,
  options: SyntheticOptions,
): Promise<SyntheticFile> {
  checkOptions(options);
  const tensors = fill(plan(options), options.seed ?? 1);
  const bytes = await writeGguf(path, { metadata: metadata(options), tensors });
  const parameters = tensors.reduce((sum, { shape }) => sum + elements(shape), 0);
  return { path, bytes, parameters };
}

const elements = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

function checkOptions(options: SyntheticOptions): void {
  const { dim, heads, vocabulary, tokenizer, type = 'Q8_0', architecture } = options;
  const fail = (message: string): never => {
    throw new LacunaError('INVALID_ARGUMENT', message);
  };
  if (!Object.hasOwn(families, architecture))
    fail(`architecture is ${architecture}, must be one of ${syntheticArchitectures.join(', ')}`);
  if (!fileTypes.includes(type)) fail(`type is ${type}, must be one of ${fileTypes.join(', ')}`);
  if (options.headDim === undefined && dim % heads !== 0)
    fail(`dim (${dim}) must be a multiple of heads (${heads}), or headDim given`);
  if (heads % (options.kvHeads ?? heads) !== 0)
    fail(`heads (${heads}) must be a multiple of kvHeads (${options.kvHeads})`);
  const least = tokenizer ? 260 : 8;
  if (vocabulary < least) fail(`vocabulary is ${vocabulary}, must be at least ${least}`);
}

function metadata(options: SyntheticOptions): Record<string, MetadataValue> {
  const { architecture: arch, heads, vocabulary, ropeScaling } = options;
  const family: Family = families[arch];
  const headDim = options.headDim ?? options.dim / heads;
  const own: Record<string, MetadataValue> = {
    context_length: options.context ?? 4096,
    embedding_length: options.dim,
    block_count: options.layers,
    feed_forward_length: options.ffn,
    vocab_size: vocabulary,
    'attention.head_count': heads,
    'attention.head_count_kv': options.kvHeads ?? heads,
    'attention.layer_norm_rms_epsilon': f32(family.epsilon),
    'attention.causal': family.causal,
    'rope.freq_base': f32(family.ropeBase),
    'rope.dimension_count': headDim,
  };
  if (family.keyLength || headDim * heads !== options.dim) {
    own['attention.key_length'] = headDim;
    own['attention.value_length'] = headDim;
  }
  if (family.experts) {
    own['expert_count'] = options.experts ?? 4;
    own['expert_used_count'] = options.expertsUsed ?? 2;
    own['expert_feed_forward_length'] = options.expertFfn ?? options.ffn;
  }
  if (ropeScaling) {
    own['rope.scaling.type'] = ropeScaling.type;
    own['rope.scaling.factor'] = f32(ropeScaling.factor);
    if (ropeScaling.originalContext !== undefined)
      own['rope.scaling.original_context_length'] = ropeScaling.originalContext;
    if (ropeScaling.attentionFactor !== undefined)
      own['rope.scaling.attn_factor'] = f32(ropeScaling.attentionFactor);
  }
  return {
    'general.architecture': arch,
    'general.name': `synthetic-${arch}`,
    ...Object.fromEntries(Object.entries(own).map(([key, value]) => [`${arch}.${key}`, value])),
    ...(family.shiftLogits === undefined ? {} : { 'diffusion.shift_logits': family.shiftLogits }),
    ...softMaskKeys(options.softMask),
    ...(options.tokenizer ? byteTokens(vocabulary) : {}),
    'tokenizer.ggml.bos_token_id': vocabulary - 4,
    'tokenizer.ggml.eos_token_id': vocabulary - 3,
    'tokenizer.ggml.eot_token_id': vocabulary - 2,
    'tokenizer.ggml.mask_token_id': vocabulary - 1,
  };
}

function softMaskKeys({ k, ...numbers }: NonNullable<SyntheticOptions['softMask']> = {}) {
  const key = (name: string) => `diffusion.soft_mask.${name}`;
  const given = Object.entries(numbers).filter(([, value]) => value !== undefined);
  return {
    ...(k !== undefined && { [key('top_k')]: k }),
    ...Object.fromEntries(given.map(([name, value]) => [key(name), f32(value)])),
  };
}

/** A tensor before its data: normal numbers, or given ones. */
interface Planned {
  name: string;
  type: TensorType;
  shape: readonly number[];
  sigma: number;
  mean?: number;
  values?: readonly number[];
}

function plan(options: SyntheticOptions): Planned[] {
  const { dim, vocabulary, type = 'Q8_0', ropeScaling } = options;
  const matrix = (name: string, shape: readonly number[], gain = 1): Planned => ({
    name: `${name}.weight`,
    type: fitting(typeOf(type, name, options.layers), shape[0]),
    shape,
    sigma: gain / Math.sqrt(shape[0]),
  });
  const tensors = [matrix('token_embd', [dim, vocabulary]), norm('output_norm', dim)];
  if (!options.tied) tensors.push(matrix('output', [dim, vocabulary], 3));
  const factors = ropeScaling?.frequencyFactors;
  if (factors)
    tensors.push({
      name: 'rope_freqs.weight',
      type: 'F32',
      shape: [factors.length],
      sigma: 0,
      values: factors,
    });
  for (let layer = 0; layer < options.layers; layer++)
    tensors.push(...planLayer(options, `blk.${layer}.`, matrix));
  return tensors;
}

const norm = (name: string, n: number): Planned => ({
  name: `${name}.weight`,
  type: 'F32',
  shape: [n],
  sigma: 0.1,
  mean: 1,
});

function planLayer(
  options: SyntheticOptions,
  block: string,
  matrix: (name: string, shape: readonly number[]) => Planned,
): Planned[] {
  const { architecture, dim, heads, ffn } = options;
  const family: Family = families[architecture];
  const headDim = options.headDim ?? dim / heads;
  const q = heads * headDim;
  const kv = (options.kvHeads ?? heads) * headDim;
  const tensors = [
    norm(`${block}attn_norm`, dim),
    matrix(`${block}attn_q`, [dim, q]),
    matrix(`${block}attn_k`, [dim, kv]),
    matrix(`${block}attn_v`, [dim, kv]),
    matrix(`${block}attn_output`, [q, dim]),
    norm(`${block}ffn_norm`, dim),
  ];
  const bias = (name: string, n: number): Planned => ({
    name: `${block}${name}.bias`,
    type: 'F32',
    shape: [n],
    sigma: 0.1,
  });
  if (family.bias) tensors.push(bias('attn_q', q), bias('attn_k', kv), bias('attn_v', kv));
  if (family.qkNorm)
    tensors.push(norm(`${block}attn_q_norm`, headDim), norm(`${block}attn_k_norm`, headDim));
  if (!family.experts)
    return tensors.concat(
      matrix(`${block}ffn_gate`, [dim, ffn]),
      matrix(`${block}ffn_up`, [dim, ffn]),
      matrix(`${block}ffn_down`, [ffn, dim]),
    );
  const experts = options.experts ?? 4;
  const expertFfn = options.expertFfn ?? ffn;
  return tensors.concat(
    { ...matrix(`${block}ffn_gate_inp`, [dim, experts]), type: 'F32' },
    matrix(`${block}ffn_gate_exps`, [dim, expertFfn, experts]),
    matrix(`${block}ffn_up_exps`, [dim, expertFfn, experts]),
    matrix(`${block}ffn_down_exps`, [expertFfn, dim, experts]),
  );
}

/** As the mix of that name; its rules that ask for the whole model do not matter here. */
function typeOf(type: FileType, name: string, layers: number): TensorType {
  if (type !== 'Q4_K_M') return type;
  if (name === 'output') return 'Q6_K';
  const [, layer, matrix] = /^blk\.(\d+)\.(.*)$/.exec(name) ?? [];
  const finer = ['attn_v', 'ffn_down', 'ffn_down_exps'].includes(matrix);
  return finer && sensitive(Number(layer), layers) ? 'Q6_K' : 'Q4_K';
}

function fitting(type: TensorType, cols: number): TensorType {
  const fits = (wanted: TensorType): boolean => cols % tensorTypes[wanted].blockSize === 0;
  return fits(type) ? type : fits('Q8_0') ? 'Q8_0' : 'F32';
}

/** Elements of a pool: above this, weights repeat. */
const poolLimit = 1 << 20;

function fill(planned: readonly Planned[], seed: number): GgufTensor[] {
  const random = new Random(seed);
  const small = (tensor: Planned): boolean => tensor.type === 'F32' && tensor.shape.length === 1;
  const key = ({ type, sigma }: Planned): string => `${type} ${sigma}`;
  const wanted = new Map<string, number>();
  for (const tensor of planned)
    if (!small(tensor))
      wanted.set(key(tensor), (wanted.get(key(tensor)) ?? 0) + elements(tensor.shape));
  const pools = new Map<string, WeightPool>();
  return planned.map((tensor) => {
    const { name, type, shape, sigma, mean, values } = tensor;
    const n = elements(shape);
    if (values)
      return { name, type, shape, data: new Uint8Array(Float32Array.from(values).buffer) };
    if (small(tensor)) return { name, type, shape, data: randomData(type, n, sigma, random, mean) };
    let pool = pools.get(key(tensor));
    if (!pool) {
      const size = Math.min(poolLimit, wanted.get(key(tensor))!);
      pool = new WeightPool(type, size, sigma, random.bits());
      pools.set(key(tensor), pool);
    }
    const source = pool;
    return { name, type, shape, data: () => source.take(n) };
  });
}
