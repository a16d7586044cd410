/** What config.json says: the family, its numbers, and the keys of the GGUF file. */
import { f32, type MetadataValue } from '../gguf/writer.js';
import { families, type Family } from './families.js';
import { unsupported, bad, isObject, show, type Config } from './folder.js';

/** Numbers of a model. */
export interface Shape {
  layers: number;
  dim: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  /** Of dense layers; 0 where there are none. */
  ffn: number;
  vocabulary: number;
  /** 0: unknown. */
  context: number;
  /** The head is the embedding; undefined: config.json does not say. */
  tied?: boolean;
  /** 0: dense. */
  experts: number;
  expertsUsed: number;
  expertFfn: number;
}

/** What replaces the family's own answer, as the load options of the same names do. */
export interface Overrides {
  /** 0 full, 1 causal, n block-causal. */
  attentionBlock?: number;
  shift?: boolean;
}

/** Throws UNSUPPORTED_ARCHITECTURE with the list of known ones. */
export function familyOf(config: Config): Family {
  const { architectures, model_type: type, quantization_config: quantised } = config.values;
  if (quantised !== undefined && quantised !== null)
    throw unsupported(
      config.path,
      'the weights are quantised (quantization_config); convert the original ones',
    );
  const listed = Array.isArray(architectures) && architectures.length > 0;
  const family = families.find(({ classes, modelTypes }) =>
    listed
      ? architectures.some((name) => classes.includes(name as string))
      : modelTypes.includes(type as string),
  );
  if (family) return family;
  const given = listed ? `architectures is ${show(architectures)}` : `model_type is ${show(type)}`;
  const known = families.flatMap(({ classes }) => classes).join(', ');
  throw unsupported(config.path, `${given}; supported are ${known}`);
}

/** Refuses what would change the arithmetic. */
export function checkAssumed(config: Config, { assumed }: Family): void {
  for (const [key, allowed] of Object.entries(assumed)) {
    const value = config.find(key)?.value;
    if (value === undefined) continue;
    const given: unknown[] = Array.isArray(value) ? value : [value];
    if (given.every((item) => allowed.includes(item))) continue;
    const right = allowed.length > 0 ? `only ${allowed.map(show).join(', ')} is` : 'it is not';
    throw unsupported(config.path, `${key} is ${show(value)}; ${right} supported`);
  }
}

export function readShape(config: Config, { keys, experts }: Family): Shape {
  const heads = config.needInteger(keys.heads);
  const dim = config.needInteger(keys.dim);
  const headDim = config.integer(keys.headDim) ?? dim / heads;
  const kvHeads = config.integer(keys.kvHeads) ?? heads;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0)
    throw bad(config.path, `${headDim} numbers a head (${dim} in ${heads} heads); must be even`);
  if (heads % kvHeads !== 0)
    throw bad(config.path, `${kvHeads} heads of keys and values must divide ${heads} heads`);
  return {
    layers: config.needInteger(keys.layers),
    ...{ dim, heads, kvHeads, headDim },
    ffn: experts ? (config.integer(keys.ffn, 0) ?? 0) : config.needInteger(keys.ffn),
    vocabulary: config.needInteger(keys.vocabulary),
    context: config.integer(keys.context) ?? 0,
    tied: config.boolean(keys.tied),
    experts: experts ? config.needInteger(keys.experts) : 0,
    expertsUsed: experts ? config.needInteger(keys.expertsUsed) : 0,
    expertFfn: experts ? config.needInteger(keys.expertFfn) : 0,
  };
}

/** Everything but the tokenizer and what belongs to the file as a whole. */
export function modelKeys(
  config: Config,
  family: Family,
  shape: Shape,
  overrides: Overrides = {},
): Record<string, MetadataValue> {
  const { architecture, experts } = family;
  const own: Record<string, MetadataValue> = {
    block_count: shape.layers,
    ...(shape.context > 0 && { context_length: shape.context }),
    embedding_length: shape.dim,
    ...(shape.ffn > 0 && { feed_forward_length: shape.ffn }),
    vocab_size: shape.vocabulary,
    'attention.head_count': shape.heads,
    'attention.head_count_kv': shape.kvHeads,
    'attention.key_length': shape.headDim,
    'attention.value_length': shape.headDim,
    'attention.layer_norm_rms_epsilon': f32(config.positive('rms_norm_eps', family.epsilon)),
    'rope.dimension_count': shape.headDim,
    ...ropeKeys(config, shape),
    ...(experts && {
      expert_count: shape.experts,
      expert_used_count: shape.expertsUsed,
      expert_feed_forward_length: shape.expertFfn,
      expert_weights_norm: config.boolean('norm_topk_prob') ?? family.renormalised ?? false,
    }),
  };
  const { causal, block, shift } = diffusionOf(config, family, overrides);
  if (causal !== undefined) own['attention.causal'] = causal;
  return {
    ...Object.fromEntries(
      Object.entries(own).map(([key, value]) => [`${architecture}.${key}`, value]),
    ),
    ...(shift !== undefined && { 'diffusion.shift_logits': shift }),
    ...(block !== undefined && { 'diffusion.block_length': block }),
    ...softMaskKeys(config),
  };
}

/**
 * Block-causal files say attention.causal as well, so that readers that do not know the block length
 * take them for the autoregressive models they were made from.
 */
function diffusionOf(config: Config, family: Family, { attentionBlock, shift }: Overrides) {
  const block =
    attentionBlock ?? (family.block && (config.integer(family.block.key) ?? family.block.absent));
  const blockCausal = block !== undefined && block > 1;
  return {
    causal: block === undefined ? family.causal : block > 0,
    block: blockCausal ? block : undefined,
    shift: shift ?? family.shift,
  };
}

/** rope_theta and rope_scaling; since transformers 5 both are in rope_parameters. */
function ropeOf(config: Config): { theta: number; scaling?: Config; kind: string } {
  const parameters = config.object('rope_parameters');
  const off = config.find('rope_scaling')?.value === false; // as RND1 says it
  const scaling = parameters ?? (off ? undefined : config.object('rope_scaling'));
  const kind = scaling?.find(['rope_type', 'type'])?.value ?? 'default';
  if (typeof kind !== 'string') throw bad(config.path, `type of rope scaling is ${show(kind)}`);
  const theta = config.positive('rope_theta', parameters ? NaN : 10_000, parameters);
  return { theta, scaling, kind };
}

function ropeKeys(config: Config, shape: Shape): Record<string, MetadataValue> {
  const { theta, scaling, kind } = ropeOf(config);
  const base = { 'rope.freq_base': f32(theta) };
  if (!scaling || kind === 'default' || kind === 'llama3') return base;
  if (kind !== 'linear' && kind !== 'yarn')
    throw unsupported(
      scaling.path,
      `type is ${show(kind)}; supported are default, linear, yarn and llama3`,
    );
  const factor = scaling.positive('factor', NaN);
  const keys = { ...base, 'rope.scaling.type': kind, 'rope.scaling.factor': f32(factor) };
  if (kind === 'linear') return keys;
  for (const key of ['mscale', 'mscale_all_dim'])
    if (scaling.find(key)) throw unsupported(scaling.path, `${key} is not supported`);
  if (scaling.boolean('truncate') === false)
    throw unsupported(scaling.path, 'truncate is false; only true is supported');
  const original = scaling.integer('original_max_position_embeddings') ?? shape.context;
  if (original === 0) throw bad(scaling.path, 'original_max_position_embeddings is missing');
  // In GGUF the factor on cos and sin multiplies YaRN's own one; in transformers it replaces it.
  const usual = 1 + 0.1 * Math.log(Math.max(1, factor));
  const attention = scaling.positive('attention_factor', usual) / (1 + 0.1 * Math.log(factor));
  return {
    ...keys,
    'rope.scaling.original_context_length': original,
    ...(attention !== 1 && { 'rope.scaling.yarn_attn_factor': f32(attention) }),
    'rope.scaling.yarn_beta_fast': f32(scaling.positive('beta_fast', 32)),
    'rope.scaling.yarn_beta_slow': f32(scaling.positive('beta_slow', 1)),
  };
}

/**
 * (headDim / 2) What Llama 3 divides each frequency by (rope_freqs.weight): 1 for short wavelengths,
 * `factor` for long ones, a ramp between; undefined without that scaling. Source: transformers,
 * modeling_rope_utils.py.
 */
export function frequencyFactors(
  config: Config,
  { architecture }: Family,
  shape: Shape,
): Float32Array | undefined {
  const { theta, scaling, kind } = ropeOf(config);
  if (!scaling || kind !== 'llama3') return undefined;
  if (architecture !== 'llama')
    throw unsupported(scaling.path, `llama3 is supported for llama, not for ${architecture}`);
  const factor = scaling.positive('factor', NaN);
  const low = scaling.positive('low_freq_factor', 1);
  const high = scaling.positive('high_freq_factor', 4);
  const original = scaling.positive('original_max_position_embeddings', 8192);
  if (high <= low) throw bad(scaling.path, 'high_freq_factor must be above low_freq_factor');
  return Float32Array.from({ length: shape.headDim / 2 }, (_, i) => {
    const turns = original / (2 * Math.PI * theta ** ((2 * i) / shape.headDim));
    if (turns > high) return 1;
    if (turns < low) return factor;
    const smooth = (turns - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/** What a model trained with soft masks learned; config.json has the keys of the GGUF file. */
function softMaskKeys(config: Config): Record<string, MetadataValue> {
  const given = config.find('soft_mask')?.value;
  if (given === undefined) return {};
  const names = ['top_k', 'scale', 'slope', 'centre'];
  if (!isObject(given) || names.some((name) => typeof given[name] !== 'number'))
    throw bad(
      config.path,
      `soft_mask is ${show(given)}, must have the numbers ${names.join(', ')}`,
    );
  const { top_k: k, ...numbers } = given as Record<string, number>;
  if (!Number.isInteger(k) || k < 1) throw bad(config.path, `soft_mask.top_k is ${k}`);
  const key = (name: string): string => `diffusion.soft_mask.${name}`;
  return {
    [key('top_k')]: k,
    ...Object.fromEntries(names.slice(1).map((name) => [key(name), f32(numbers[name])])),
  };
}
