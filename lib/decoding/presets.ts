/** Settings that belong together, under one name. */
import type { GenerateOptions } from '../plan.js';
import { oneOf } from '../validate.js';
import { absoluteBlocks, blocks, wholeAnswer } from './blocks.js';
import { exactCache } from './caches/block-causal.js';
import { dualCache } from './caches/dual.js';
import { dream } from './dream.js';
import { growUntilEos } from './length.js';
import { lowConfidence } from './low-confidence.js';
import { sdar } from './sdar.js';
import { factor, threshold } from './threshold.js';
import { wino } from './wino.js';

export interface Preset {
  about: string;
  /** What it sets; everything else has its default. */
  options: Readonly<
    Pick<GenerateOptions, 'decode' | 'blocks' | 'cache' | 'length' | 'refine' | 'speculate'>
  >;
}

/**
 * Presets by name, for the option `preset` and for `lacuna run --preset`. Those named after a model or
 * a method have its published settings.
 */
export const presets = {
  llada: {
    about: 'one token a forward, the most probable first, blocks of 32 (LLaDA)',
    options: { decode: lowConfidence(), blocks: blocks(32), cache: exactCache() },
  },
  dream: {
    about: "lowest entropy first over the whole answer, at Dream's times",
    options: { decode: dream({ alg: 'entropy' }), blocks: wholeAnswer(), cache: exactCache() },
  },
  'fast-dllm': {
    about: 'all tokens of at least 0.9, blocks of 32, dual cache (Fast-dLLM)',
    options: { decode: threshold({ tau: 0.9 }), blocks: blocks(32), cache: dualCache() },
  },
  sdar: {
    about: 'all tokens above 0.85, absolute blocks of 4 (SDAR)',
    options: { decode: sdar(), blocks: absoluteBlocks(4), cache: exactCache() },
  },
  llada2: {
    about: 'all tokens above 0.95, absolute blocks of 32 (LLaDA2.0)',
    options: {
      decode: threshold({ tau: 0.95, strict: true, statistics: 'sampled' }),
      blocks: absoluteBlocks(32),
      cache: exactCache(),
    },
  },
  wino: {
    about: 'drafts above 0.6, takes back what stands below 0.9, blocks of 128 (WINO)',
    options: { decode: wino(), blocks: blocks(128), cache: exactCache() },
  },
  'semi-ar': {
    about: 'blocks of 8, one token a forward, appended until the text ends',
    options: {
      decode: lowConfidence(),
      blocks: blocks(8),
      cache: exactCache(),
      length: growUntilEos({ initial: 8 }),
    },
  },
  quality: {
    about: 'one token a forward, blocks of 8, nothing approximated',
    options: { decode: lowConfidence(), blocks: blocks(8), cache: exactCache() },
  },
  fast: {
    about: 'the more tokens at once the surer they are, blocks of 32, the cache that suits',
    options: { decode: factor(), blocks: blocks(32), cache: 'auto' },
  },
} as const satisfies Record<string, Preset>;

export type PresetName = keyof typeof presets;
export const presetNames = Object.keys(presets) as PresetName[];

/** The options of the preset, over which those given have their way. Throws `INVALID_ARGUMENT`. */
export function withPreset({ preset, ...options }: GenerateOptions): GenerateOptions {
  if (preset === undefined) return options;
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const { options: set } = presets[oneOf('preset', preset, presetNames)];
  return { ...set, ...(Object.fromEntries(given) as GenerateOptions) };
}
