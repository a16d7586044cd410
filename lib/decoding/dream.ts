import type { Score } from '../types.js';
import type { Decision, Decoder, RunFacts, StepState } from './policy.js';
import { readFields } from './fields.js';
import { named } from './named.js';
import { Stream, gumbel, uniform } from './philox.js';
import { stepsPerBlock, timesteps, transferRate } from './schedule.js';

const scores = {
  maskgit_plus: 'probability',
  topk_margin: 'margin',
  entropy: 'negEntropy',
} as const satisfies Record<string, Score>;

export interface DreamOptions {
  /** Default `'entropy'`, as in Dream's examples (its configuration says `'origin'`). */
  alg?: 'origin' | keyof typeof scores;
  /**
   * Steps of the run, shared among the blocks. Default: the generate option `steps`, else one per
   * position of the answer (the original: 512).
   */
  steps?: number;
  /** > 0 draws the positions by softmax(confidence / algTemp) instead of taking the best. Default 0. */
  algTemp?: number;
  /** Last time of the schedule. Default 1e-3. */
  eps?: number;
  /**
   * Reproduce the original's defect: MASK may be proposed, which uses up the quota and leaves a mask
   * in the answer. Default false.
   */
  literal?: boolean;
}

export const dreamFields = {
  alg: {
    type: 'string',
    enum: ['origin', 'maskgit_plus', 'topk_margin', 'entropy'],
    default: 'entropy',
    description: 'what comes first',
  },
  steps: {
    ...({ type: 'integer', minimum: 1 } as const),
    description: 'of the run, shared among the blocks; one per position',
  },
  algTemp: {
    ...({ type: 'number', default: 0, minimum: 0 } as const),
    description: 'randomness of the order',
  },
  eps: {
    ...({ type: 'number', default: 1e-3, minimum: 1e-6, maximum: 0.5 } as const),
    description: 'last time of the schedule',
  },
  literal: {
    ...({ type: 'boolean', default: false } as const),
    description: "reproduces the original's defect: MASK may be proposed",
  },
} as const;

/**
 * Dream's sampler. Times t_0 … t_S go evenly from 1 to eps; step i reveals the share
 * r_i = 1 − t_(i+1)/t_i of the m masks left, all of them in the last step:
 * - `origin`: each masked position independently with probability r_i;
 * - `maskgit_plus`, `topk_margin`, `entropy`: the ⌊m·r_i⌋ positions of highest p, largest margin
 *   p_1 − p_2, or lowest entropy, on the tempered and filtered distribution. With `algTemp` they are
 *   drawn without replacement instead.
 *
 * Steps that reveal nothing make no forward. Made for the whole answer as one block; with several
 * blocks each runs the schedule by itself.
 * Source: Dream 7B (arXiv 2508.15487), `generation_utils.py`.
 */
export function dream(options: DreamOptions = {}): Decoder {
  const name = 'dream()';
  const given = readFields(name, dreamFields, options);
  const { alg, algTemp, eps, literal: allowMask } = given;
  const decoder: Decoder = (run) => {
    const planned = stepsPerBlock(run, name, options.steps);
    const grids = new Map<number, Float32Array>(); // steps -> times
    return (state) => {
      const { block, blockStep, blockMasks, masked } = state;
      const steps = planned?.[block] ?? blockMasks;
      if (blockStep >= steps) return undefined;
      const times = grids.get(steps) ?? timesteps(steps, eps);
      grids.set(steps, times);
      const rate = transferRate(times, blockStep);
      const request = { statistics: 'sampled', allowMask } as const;
      if (alg === 'origin') return transfer(run, state, rate, request);
      const k = Math.trunc(Math.fround(masked.length * rate));
      if (k === 0) return {};
      const bias = algTemp > 0 ? positionNoise(run, state, algTemp) : undefined;
      return { request, commit: { score: scores[alg], bias, select: { kind: 'topK', k } } };
    };
  };
  return named('dream', options, decoder, ['scheduled']);
}

/** `origin`: the positions do not depend on the model, so only theirs are reported. */
function transfer(
  run: RunFacts,
  { masked, step }: StepState,
  rate: number,
  request: NonNullable<Decision['request']>,
): Decision {
  const query = masked.filter(
    (position) => uniform(run.seed, step, position, Stream.transfer) < rate,
  );
  if (query.length === 0) return {};
  return { request: { ...request, query }, commit: { select: { kind: 'all' } } };
}

/**
 * Ranking by confidence + algTemp · Gumbel draws without replacement from softmax(confidence /
 * algTemp): the Gumbel-top-k trick (arXiv 1903.06059).
 */
function positionNoise(run: RunFacts, { masked, step }: StepState, algTemp: number): Float32Array {
  const bias = new Float32Array(run.length);
  for (const position of masked) {
    bias[position] = algTemp * gumbel(run.seed, step, position, Stream.order);
  }
  return bias;
}
