import { integer, invalid, knownKeys, number } from '../validate.js';
import type { StepResult } from '../types.js';
import { named } from './named.js';
import type { Change, Refinement } from './policy.js';

export interface ProphetOptions {
  /** Mean gaps that end the run in the first, the second and the last third. Default 7.5, 5, 2.5. */
  early?: number;
  middle?: number;
  late?: number;
  /** Watch only `count` positions from the `from`-th of the answer on. Default: the whole answer. */
  from?: number;
  count?: number;
}

/** The smallest probability that a float32 holds: what a report calls 0 is at most this. */
const tiny = 2 ** -149;

/**
 * Early exit: as soon as the model is sure of the answer as a whole, all masks get their proposals at
 * once and the run ends. Sure is a mean gap between the largest and the second largest logit over
 * the watched positions, known ones included, of at least `early` while less than 33 % of the answer
 * was known before the step, `middle` below 67 %, then `late`.
 *
 * The gap is ln(p_1 / p_2), the same at temperature 0 and with `statistics: 'model'`. Steps whose
 * forward leaves out a watched or masked position (`dualCache`, `prefixCache`) do not decide.
 * Source: Prophet (arXiv 2508.19982), `generate_earlyexit.py`. There progress counts steps of a fixed
 * schedule, which commits evenly; here known positions, which is the same for such a schedule.
 */
export function prophet(options: ProphetOptions = {}): Refinement {
  const name = 'prophet()';
  knownKeys(name, options, ['early', 'middle', 'late', 'from', 'count']);
  const gap = (key: 'early' | 'middle' | 'late', value: number) =>
    number(`${name}: ${key}`, options[key] ?? value, { min: 0 });
  const gaps = [gap('early', 7.5), gap('middle', 5), gap('late', 2.5)];
  const from = integer(`${name}: from`, options.from ?? 0, { min: 0 });
  if (options.count !== undefined) integer(`${name}: count`, options.count, { min: 1 });
  const refinement: Refinement = ({ prompt, tokens, maxTokens }) => {
    if (from >= maxTokens) invalid(`${name}: from`, from, `below maxTokens (${maxTokens})`);
    const start = prompt + from;
    const watchedIn = (canvas: Int32Array) => {
      const end = Math.min(start + (options.count ?? canvas.length), canvas.length);
      return Array.from({ length: Math.max(0, end - start) }, (_, i) => start + i);
    };
    const masksOf = (canvas: Int32Array) =>
      [...canvas.keys()].filter((position) => canvas[position] === tokens.mask);
    return {
      ask: ({ canvas }) => ({
        query: Int32Array.from(new Set([...watchedIn(canvas), ...masksOf(canvas)])).sort(),
        topK: 2,
      }),
      revise: ({ canvas }, report, decided) => {
        const watched = watchedIn(canvas);
        const masks = masksOf(canvas);
        const rows = new Map([...report.position].map((position, i) => [position, i]));
        if (![...watched, ...masks].every((position) => rows.has(position))) return undefined;
        const mean =
          watched.reduce((sum, p) => sum + gapOf(report, rows.get(p)!), 0) / watched.length;
        const answer = canvas.length - prompt;
        const progress = (answer - masks.length) / answer;
        const needed = gaps[progress < 0.33 ? 0 : progress < 0.67 ? 1 : 2];
        if (!(mean >= needed)) return undefined;
        const all = masks.map((position) => ({
          position,
          token: report.token[rows.get(position)!],
        }));
        return merged(decided, all);
      },
    };
  };
  return named('prophet', options, refinement);
}

function gapOf({ top }: StepResult, row: number): number {
  const [first, second] = top!.probability.subarray(2 * row);
  return Math.log(first / Math.max(second, tiny));
}

/** `decided` where it says something, else `others`. */
function merged(decided: readonly Change[], others: readonly Change[]): Change[] {
  const taken = new Set(decided.map(({ position }) => position));
  return [...decided, ...others.filter(({ position }) => !taken.has(position))];
}
