import { readFields, share } from '../fields.js';
import type { Range } from '../../types.js';
import { named } from '../named.js';
import type { CachePlan, StepState } from '../policy.js';
import { sourceRow, union, where } from './rows.js';

export interface DllmCacheOptions {
  /** The rows of the prompt are computed every `prompt` forwards. Default 50. */
  prompt?: number;
  /** Those of the answer every `response` forwards. Default 7. */
  response?: number;
  /** Share of the answer's rows that the forwards in between compute, 0 … 1. Default 0.25. */
  ratio?: number;
}

export const dllmFields = {
  prompt: {
    ...({ type: 'integer', default: 50, minimum: 1 } as const),
    description: 'the rows of the prompt are computed every so many forwards',
  },
  response: {
    ...({ type: 'integer', default: 7, minimum: 1 } as const),
    description: 'those of the answer',
  },
  ratio: share(0.25, "share of the answer's rows that the forwards in between compute"),
} as const;

/**
 * dLLM-Cache: the prompt is computed anew rarely, the answer often, and in between only the
 * ⌊ratio · L⌋ of the answer's L rows whose values drifted most.
 *
 * Not the original in two respects, because rows are chosen here before a forward and once for all
 * layers:
 * - The original computes fresh values (V) of all rows in every layer and takes the rows of least
 *   cosine similarity to the cached ones. A row that no layer has chosen yet only differs there if
 *   its token changed, so drift spreads from committed tokens through the rows chosen so far. Here it
 *   is estimated by that cause: a row's drift is Σ 1 / (1 + distance) over the tokens committed since
 *   it was computed last.
 * - Positions that may be committed are predicted afresh in every forward (the original reuses the
 *   old prediction of a row that is not chosen), and so are rows whose token changed. They count
 *   towards the share; where they are more, they are computed nevertheless.
 *
 * Approximated: all other rows stay as they were when they were computed last.
 * Source: dLLM-Cache (arXiv 2506.06295), `cache_hook_LLaDA.py`; defaults as for LLaDA-Instruct on
 * GSM8K.
 */
export function dllmCache(options: DllmCacheOptions = {}): CachePlan {
  const { prompt, response, ratio } = readFields('dllmCache()', dllmFields, options);
  return named(
    'dllmCache',
    options,
    (run) => {
      const drift = new Float64Array(run.length); // since a row was computed last
      // Positions that move or are new have no keys yet.
      const { traits } = run.policies.length;
      const moves = traits.includes('grows') || traits.includes('inserts');
      let last: { step: number; rows: Int32Array } | undefined;
      const choose = ({
        forwards,
        blockForwards,
        canvas,
        changed,
        masked,
      }: StepState): Int32Array => {
        const { length } = canvas;
        for (const from of changed) {
          for (let i = 0; i < length; i++) drift[i] += 1 / (1 + Math.abs(i - from));
        }
        const anew = moves && blockForwards === 0;
        const part = anew || forwards % prompt === 0 ? { start: 0, end: run.prompt } : none;
        const answer = { start: run.prompt, end: length };
        const needed = union(
          length,
          changed,
          masked.map((position) => sourceRow(run, position)),
        );
        if (anew || forwards % response === 0) return union(length, part, needed, answer);
        const count = Math.floor(ratio * (length - run.prompt));
        return union(length, part, needed, mostDrifted(drift, needed, answer, count));
      };
      return (state) => {
        if (last?.step !== state.step) {
          last = { step: state.step, rows: choose(state) };
          for (const row of last.rows) drift[row] = 0;
        }
        return { rows: last.rows };
      };
    },
    ['remembers'],
  );
}

const none = new Int32Array();

/** Rows of the answer with the largest drift, as many as `share` leaves beside those needed. */
function mostDrifted(
  drift: Float64Array,
  needed: Int32Array,
  { start, end }: Range,
  share: number,
): Int32Array {
  const taken = new Set(needed);
  const others = where(end, (i) => i >= start && drift[i] > 0 && !taken.has(i));
  return others
    .sort((a, b) => drift[b] - drift[a] || a - b)
    .slice(0, Math.max(0, share - taken.size));
}
