import type { StepResult } from '../types.js';
import { readFields, share, statisticsField } from './fields.js';
import { named } from './named.js';
import { Stream, uniform } from './philox.js';
import type { Change, Decoder, StepState } from './policy.js';
import { selected } from './scores.js';

export interface KlassOptions {
  /** Confidence that is needed, 0 … 1. Default 0.9. */
  tau?: number;
  /** What each of the last KL divergences must stay below, nats. Default 0.01. */
  kappa?: number;
  /** How many divergences are looked at. Default 2. */
  history?: number;
  /** Require more than `tau`, as for LLaDA (default true), or at least `tau`, as for Dream. */
  strict?: boolean;
  /** Which of the stable positions are committed. Default `'all'`; the others commit one. */
  pick?: (typeof picks)[number];
  /** How many of the most confident are committed if no position is stable. Default 1. */
  fallback?: number;
  /** As in `threshold`. Default `'model'`. */
  statistics?: 'model' | 'sampled';
}

const picks = ['all', 'maxConfidence', 'minKl', 'random'] as const;

export const klassFields = {
  tau: share(0.9, 'confidence that is needed'),
  kappa: {
    ...({ type: 'number', default: 0.01, minimum: 0 } as const),
    description: 'what each of the last KL divergences must stay below, nats',
  },
  history: {
    ...({ type: 'integer', default: 2, minimum: 1 } as const),
    description: 'how many divergences are looked at',
  },
  strict: { type: 'boolean', default: true, description: 'more than tau instead of at least' },
  pick: {
    ...({ type: 'string', enum: picks, default: 'all' } as const),
    description: 'which of the stable positions are committed',
  },
  fallback: {
    ...({ type: 'integer', default: 1, minimum: 1 } as const),
    description: 'how many are committed if no position is stable',
  },
  statistics: statisticsField,
} as const;

/**
 * KLASS: commits the proposals that are both confident (p > tau) and stable: the last `history`
 * divergences KL(p_t ‖ p_(t−1)) of their position were all below `kappa`. If there are none, the
 * `fallback` most confident. A position's first report counts as unstable, so nothing is stable before
 * step `history`. As in the code, positions beyond the active block are watched too, as far as the
 * cache computes them, so that a block may begin with stable ones. With a cache that leaves
 * them out (`dualCache`) nothing is stable before the `history`-th forward of a block.
 *
 * Published for LLaDA, blocks of 64: GSM8K 0.6 / 0.015, MATH 0.6 / 0.01, HumanEval 0.9 / 0.01,
 * MBPP 0.7 / 0.01; for Dream 0.8 … 0.9 / 0.001 … 0.005 with `strict: false`.
 * Source: KLASS (arXiv 2511.05664), `src/model/llada_klass.py`; its step count for the fallback is
 * the number of tokens, hence 1.
 */
export function klass(options: KlassOptions = {}): Decoder {
  const given = readFields('klass()', klassFields, options);
  const { tau, kappa, history, strict, pick, fallback, statistics } = given;

  const decoder: Decoder = ({ prompt, tokens: { mask }, seed }) => {
    const streaks = new Streaks(kappa);
    return (state) => ({
      request: { query: masks(state, prompt, mask), kl: true, statistics },
      choose: (report) => {
        const streak = streaks.note(state, report);
        const { probability, kl } = report;
        const passes = (i: number) => (strict ? probability[i] > tau : probability[i] >= tau);
        const { start, end } = state.range;
        const stable = [...report.position.keys()].filter((i) => {
          const at = report.position[i];
          return at >= start && at < end && streak(at) >= history && passes(i);
        });
        if (stable.length === 0) {
          return selected({ select: { kind: 'topK', k: fallback } }, state, mask, report);
        }
        const rank = {
          all: () => 0,
          maxConfidence: (i: number) => probability[i],
          minKl: (i: number) => -kl![i],
          random: (i: number) => uniform(seed, state.step, report.position[i], Stream.score),
        }[pick];
        const best = stable.sort((a, b) => rank(b) - rank(a) || a - b);
        return (pick === 'all' ? stable : best.slice(0, 1)).map((i) => changeOf(report, i));
      },
    });
  };
  return named('klass', options, decoder, ['remembers']);
}

/** For how many steps in a row each position's KL has stayed below `kappa`. */
class Streaks {
  readonly #kappa: number;
  #length = 0;
  readonly #streak = new Map<number, number>();

  constructor(kappa: number) {
    this.#kappa = kappa;
  }

  note({ canvas }: StepState, { position, kl }: StepResult): (position: number) => number {
    if (canvas.length !== this.#length) this.#streak.clear(); // positions may have moved
    this.#length = canvas.length;
    position.forEach((at, i) => {
      this.#streak.set(at, kl![i] < this.#kappa ? (this.#streak.get(at) ?? 0) + 1 : 0);
    });
    return (at) => this.#streak.get(at) ?? 0;
  }
}

/** Masked positions of the whole answer from the active block on. */
function masks({ canvas, range }: StepState, prompt: number, mask: number): Int32Array {
  const positions: number[] = [];
  for (let i = Math.max(prompt, range.start); i < canvas.length; i++) {
    if (canvas[i] === mask) positions.push(i);
  }
  return Int32Array.from(positions);
}

function changeOf({ position, token }: StepResult, i: number): Change {
  return { position: position[i], token: token[i] };
}
