import { knownKeys } from '../validate.js';
import { readFields } from './fields.js';
import type { Decision, Decoder, RunFacts } from './policy.js';
import { named } from './named.js';
import { commitCounts, stepsPerBlock, type CommitSchedule } from './schedule.js';
import { checkScore, ranking, type AnyScore } from './scores.js';

/** Options that `lowConfidence` and `randomOrder` share. */
export interface LladaOptions {
  /**
   * Steps of the whole run, shared among the blocks. Default: the generate option `steps`, else one
   * per position of the answer.
   */
  steps?: number;
  /** How a block's commits are spread over its steps. Default `'even'`, as in the original. */
  schedule?: CommitSchedule;
  /** Never propose end of text (the original's `logits_eos_inf`). Default false. */
  logitsEosInf?: boolean;
  /**
   * Commit end of text and end of turn last: they may be chosen, but their confidence is 0 (the
   * original's `confidence_eos_eot_inf`). Default false.
   */
  confidenceEosEotInf?: boolean;
  /**
   * Reproduce the original's defects: MASK may be proposed, which uses up the quota and leaves a
   * mask in the answer; `confidenceEosEotInf` at temperature > 0 concerns end of turn only.
   * Default false: neither.
   */
  literal?: boolean;
}

export const lladaFields = {
  steps: {
    ...({ type: 'integer', minimum: 1 } as const),
    description: 'of the whole run, shared among the blocks; one per position',
  },
  logitsEosInf: {
    ...({ type: 'boolean', default: false } as const),
    description: 'never propose end of text',
  },
  confidenceEosEotInf: {
    ...({ type: 'boolean', default: false } as const),
    description: 'commit end of text and end of turn last',
  },
  literal: {
    ...({ type: 'boolean', default: false } as const),
    description: "reproduces the original's defect: MASK may be proposed",
  },
} as const;

export const countFields = {
  k: {
    ...({ type: 'integer', default: 1, minimum: 1 } as const),
    description: 'tokens committed in a step',
  },
} as const;

export interface LowConfidenceOptions extends LladaOptions {
  /** What confidence is. Default `'probability'`, as in the original. */
  score?: AnyScore;
}

/**
 * LLaDA's low-confidence remasking: each step commits the k most confident proposals of the active
 * block. k follows a fixed schedule per block: with M masks and s steps ⌊M/s⌋, and one more in the
 * first (M mod s) steps. Confidence is the untempered softmax, whatever the temperature.
 * Source: LLaDA (arXiv 2502.09992), `generate.py`, `remasking='low_confidence'`.
 *
 * Throws `INVALID_ARGUMENT` if there are fewer steps than blocks.
 */
export function lowConfidence(options: LowConfidenceOptions = {}): Decoder {
  const name = 'lowConfidence()';
  knownKeys(name, options, [...lladaKeys, 'score']);
  const score = checkScore(`${name}: score`, options.score ?? 'probability');
  return named('lowConfidence', options, scheduled(name, score, options), ['scheduled']);
}

/**
 * LLaDA's random order: like `lowConfidence`, but positions are drawn uniformly by the seed.
 * Source: LLaDA (arXiv 2502.09992), `generate.py`, `remasking='random'`.
 */
export function randomOrder(options: LladaOptions = {}): Decoder {
  const name = 'randomOrder()';
  knownKeys(name, options, lladaKeys);
  return named('randomOrder', options, scheduled(name, 'random', options), ['scheduled']);
}

/**
 * The k best proposals of the active block in every step, without a schedule.
 * @param options `k` default 1; `score` default `'probability'`
 */
export function topK(options: { k?: number; score?: AnyScore } = {}): Decoder {
  const name = 'topK()';
  const { score: given = 'probability', ...others } = options;
  const score = checkScore(`${name}: score`, given);
  const { k } = readFields(name, countFields, others);
  const decoder: Decoder = (run) => {
    const rank = ranking(run, score);
    return (state) => rank(state, { kind: 'topK', k });
  };
  return named('topK', options, decoder);
}

/**
 * The first k masked positions of the active block in every step: the order of autoregressive
 * models, and with one token per step their result on a causal model.
 * @param options `k` default 1
 */
export function leftToRight(options: { k?: number } = {}): Decoder {
  readFields('leftToRight()', countFields, options);
  return named('leftToRight', options, topK({ ...options, score: 'position' }));
}

/**
 * The last k masked positions of the active block in every step.
 * Source: one of the fixed orders of ParallelBench (arXiv 2510.04767) and of Du et al., "Understanding
 * the Limitations of Diffusion LLMs through a Probabilistic Perspective".
 * @param options `k` default 1
 */
export function rightToLeft(options: { k?: number } = {}): Decoder {
  readFields('rightToLeft()', countFields, options);
  return named('rightToLeft', options, topK({ ...options, score: 'rightToLeft' }));
}

/** Names of the options that they share. */
export const lladaKeys = [...Object.keys(lladaFields), 'schedule'];

/** LLaDA's loop: a schedule says how many, the score which. */
export function scheduled(name: string, score: AnyScore, options: LladaOptions): Decoder {
  const { steps: given, logitsEosInf, confidenceEosEotInf, literal, schedule } = options;
  const own = { steps: given, logitsEosInf, confidenceEosEotInf, literal };
  readFields(name, lladaFields, own);
  const share = commitCounts(schedule ?? 'even');
  return (run) => {
    const steps = stepsPerBlock(run, name, given);
    const rank = ranking(run, score);
    const request = tokenSets(run, own);
    return (state) => {
      const { block, blockStep, blockMasks } = state;
      const planned = steps?.[block] ?? blockMasks;
      if (blockStep >= planned) return undefined;
      const k = share(blockMasks, planned, blockStep);
      return k === 0 ? {} : rank(state, { kind: 'topK', k }, request);
    };
  };
}

function tokenSets({ tokens, temperature }: RunFacts, options: LladaOptions): Decision['request'] {
  const { logitsEosInf, confidenceEosEotInf, literal = false } = options;
  const { eos, eot } = tokens;
  const unscored = literal && temperature > 0 ? [eot] : [eos, eot];
  return {
    suppress: logitsEosInf ? present([eos]) : undefined,
    unscored: confidenceEosEotInf ? present(unscored) : undefined,
    allowMask: literal,
  };
}

function present(tokens: (number | undefined)[]): Int32Array {
  return Int32Array.from(new Set(tokens.filter((token) => token !== undefined))).sort();
}
