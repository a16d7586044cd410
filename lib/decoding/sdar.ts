import { knownKeys, oneOf } from '../validate.js';
import type { StepResult } from '../types.js';
import { readFields, share } from './fields.js';
import { named } from './named.js';
import type { Decision, Decoder, StepState } from './policy.js';
import { evenShare } from './schedule.js';

const strategies = ['dynamic', 'static', 'sequential', 'entropyBounded'] as const;

export interface SdarOptions {
  /** Default `'dynamic'`. */
  strategy?: (typeof strategies)[number];
  /**
   * Steps of a whole block, which share out its positions; not of `'entropyBounded'`. Default: one
   * per position, so that k = 1.
   */
  steps?: number;
  /** Of `'dynamic'`: the confidence that must be exceeded. Default 0.85. */
  tau?: number;
  /** Of `'entropyBounded'`: what the sum of entropies must stay below, nats. Default 0.35. */
  epsilon?: number;
}

export const sdarFields = {
  strategy: {
    ...({ type: 'string', enum: strategies, default: 'dynamic' } as const),
    description: 'which rule of SDAR',
  },
  steps: {
    ...({ type: 'integer', minimum: 1 } as const),
    description: 'of a whole block, which share out its positions; one per position',
  },
  tau: share(0.85, 'dynamic: the confidence that must be exceeded'),
  epsilon: {
    ...({ type: 'number', default: 0.35, minimum: 0 } as const),
    description: 'entropyBounded: what the sum of entropies must stay below, nats',
  },
} as const;

/**
 * SDAR's strategies. k_s is the share of step s: ⌊B / steps⌋ of the B positions of the block, known
 * ones included, and one more in each of the first (B mod steps) steps.
 * - `'dynamic'`: all with p > tau, or the k_s best if those are fewer;
 * - `'static'`: the k_s best;
 * - `'sequential'`: the first masked position and the k_s − 1 after it;
 * - `'entropyBounded'`: the longest run of lowest H with Σ H < epsilon, at least one.
 *
 * Confidence is that of the tempered and filtered distribution. The original overwrites known tokens
 * where k_s exceeds the masks left, and its entropy is that of one number instead of the distribution;
 * both are defects and not followed. Made for `absoluteBlocks`.
 * Source: SDAR (arXiv 2510.06303), `generate.py`.
 */
export function sdar(options: SdarOptions = {}): Decoder {
  const name = 'sdar()';
  const strategy = oneOf(`${name}: strategy`, options.strategy ?? 'dynamic', strategies);
  knownKeys(`${name}, strategy ${strategy}`, options, ['strategy', ...own[strategy]]);
  const { steps: given, tau, epsilon } = readFields(name, sdarFields, options);
  const decoder: Decoder = () => (state) => {
    const share = shareOf(state, given);
    const decision: Record<typeof strategy, () => Decision> = {
      dynamic: () => rule({ kind: 'threshold', tau, strict: true, min: share }),
      static: () => rule({ kind: 'topK', k: share }),
      sequential: () => ({
        request: { ...sampled, query: firstMasks(state, share) },
        commit: everything,
      }),
      entropyBounded: () => ({ request: sampled, choose: (report) => surest(report, epsilon) }),
    };
    return decision[strategy]();
  };
  return named('sdar', options, decoder);
}

const own = {
  dynamic: ['steps', 'tau'],
  static: ['steps'],
  sequential: ['steps'],
  entropyBounded: ['epsilon'],
};
const sampled = { statistics: 'sampled' } as const;
const everything = { select: { kind: 'all' } } as const;

function rule(select: NonNullable<Decision['commit']>['select']): Decision {
  return { request: sampled, commit: { select } };
}

/** At least one, so that a block ends whatever its steps. */
function shareOf({ range, blockStep }: StepState, given: number | undefined): number {
  const size = range.end - range.start;
  const steps = Math.min(given ?? size, size);
  return Math.max(1, evenShare(size, steps, Math.min(blockStep, steps - 1)));
}

/** Of the first masked position and the `count` − 1 after it those that are masked. */
function firstMasks({ masked }: StepState, count: number): Int32Array {
  return masked.filter((position) => position < masked[0] + count);
}

function surest({ position, token, entropy }: StepResult, epsilon: number) {
  const order = [...position.keys()].sort((a, b) => entropy[a] - entropy[b] || a - b);
  let sum = 0;
  const count = order.findIndex((i) => !((sum += entropy[i]) < epsilon));
  const taken = order.slice(0, count < 0 ? order.length : Math.max(1, count));
  return taken.map((i) => ({ position: position[i], token: token[i] }));
}
