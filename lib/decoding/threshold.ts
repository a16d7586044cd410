import type { CommitRule } from '../types.js';
import { readFields, share, statisticsField } from './fields.js';
import { named } from './named.js';
import type { Decoder } from './policy.js';

export interface ThresholdOptions {
  /** Confidence that suffices, 0 … 1. Default 0.9. */
  tau?: number;
  /** Require more than `tau` instead of at least `tau`. Default false. */
  strict?: boolean;
  /** The `min` most confident proposals are committed in any case. Default 1. */
  min?: number;
  /**
   * Confidence by the model's own softmax (`'model'`, default, as Fast-dLLM does) or by the tempered
   * and filtered distribution that the token is drawn from (`'sampled'`, as LLaDA2.0 and SDAR do).
   */
  statistics?: 'model' | 'sampled';
}

export const thresholdFields = {
  tau: share(0.9, 'confidence that suffices'),
  strict: { type: 'boolean', default: false, description: 'more than tau instead of at least' },
  min: {
    ...({ type: 'integer', default: 1, minimum: 1 } as const),
    description: 'so many of the surest are committed in any case',
  },
  statistics: statisticsField,
} as const;

/**
 * Commits every proposal of the active block with p ≥ tau, and the best one in any case.
 * Source: Fast-dLLM (arXiv 2505.22618), `threshold`, tau 0.9. With `strict: true` and
 * `statistics: 'sampled'` it is the rule of LLaDA2.0 (tau 0.95) and SDAR's `low_confidence_dynamic`
 * (tau 0.85), one step per block position.
 */
export function threshold(options: ThresholdOptions = {}): Decoder {
  const { tau, strict, min, statistics } = readFields('threshold()', thresholdFields, options);
  const commit: CommitRule = { select: { kind: 'threshold', tau, strict, min } };
  return named('threshold', options, () => () => ({ request: { statistics }, commit }));
}

export const factorFields = {
  factor: {
    ...({ type: 'number', default: 1, minimum: 0 } as const),
    description: 'more commits more tokens in a step',
  },
  literal: {
    ...({ type: 'boolean', default: false } as const),
    description: 'as the original code: the last proposal too when it alone fails',
  },
} as const;

/**
 * Commits the longest run of best proposals in which the n-th satisfies (n + 1)(1 − p_n) ≤ factor,
 * and the best one in any case: the more tokens at once, the surer each must be.
 * Source: Fast-dLLM (arXiv 2505.22618), `factor`.
 * @param options `factor` default 1; `literal` (default false): like the original code, also accept
 *   the last proposal when it alone fails
 */
export function factor(options: { factor?: number; literal?: boolean } = {}): Decoder {
  const { factor: value, literal } = readFields('factor()', factorFields, options);
  const commit: CommitRule = { select: { kind: 'factor', factor: value, literal } };
  return named('factor', options, () => () => ({ commit }));
}

export interface EntropyBoundOptions {
  /** In `unit`. Default 0.1; published: 0.01 to 0.15 nats, 1 bit. */
  gamma?: number;
  /** Default `'nats'`. */
  unit?: 'nats' | 'bits';
  /** What estimates how wrong a proposal may be, and so the order. Default `'negEntropy'`. */
  proxy?: 'negEntropy' | 'probability' | 'margin';
}

export const entropyBoundFields = {
  gamma: {
    ...({ type: 'number', default: 0.1, minimum: 0 } as const),
    description: 'bound on the joint entropy of a step: more commits more',
  },
  unit: { type: 'string', enum: ['nats', 'bits'], default: 'nats', description: 'of gamma' },
  proxy: {
    type: 'string',
    enum: ['negEntropy', 'probability', 'margin'],
    default: 'negEntropy',
    description: 'what estimates how wrong a proposal may be',
  },
} as const;

/**
 * Commits the proposals of lowest entropy as long as Σ H − max H ≤ gamma: a bound on how much the
 * tokens committed together may depend on each other. At least one.
 * Source: EB-Sampler (arXiv 2505.24857), as four reimplementations have it (PC-Sampler, DUS in bits,
 * SGLang, diffusers); the other two proxies are named by the paper only.
 */
export function entropyBound(options: EntropyBoundOptions = {}): Decoder {
  const given = readFields('entropyBound()', entropyBoundFields, options);
  const { unit, proxy: score } = given;
  const gamma = unit === 'bits' ? given.gamma * Math.LN2 : given.gamma;
  const commit: CommitRule = { score, select: { kind: 'entropyBound', gamma } };
  return named('entropyBound', options, () => () => ({ commit }));
}
