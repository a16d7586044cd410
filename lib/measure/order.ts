/** In which order a generation filled its answer: how close to left to right, and a map of it. */
import type { GenerationResult } from '../generation.js';
import { invalid, integer, knownKeys, list, oneOf } from '../validate.js';

/** What `commitOrder` needs of a result. */
export type OrderedRun = Pick<GenerationResult, 'trace' | 'shape' | 'prompt'>;

/**
 * The step of the run in which each position of the answer got its final token; −1 where it is still
 * masked, and for text that was given. A token that was taken back counts by its last commit, an edit counts as a commit, and
 * positions that a splice moved keep their step; those that it inserted have none until committed.
 *
 * @returns (length of the answer, at most maxTokens)
 */
export function commitSteps({ trace, shape, prompt }: OrderedRun): Int32Array {
  let steps = shape.initial.map(() => -1);
  const start = prompt.length;
  for (const { step, committed, edited = [], remasked = [], splices = [] } of trace) {
    for (const [position] of [...committed, ...edited]) steps[position - start] = step;
    for (const position of remasked) steps[position - start] = -1;
    for (const { at, remove, tokens } of splices.toReversed()) {
      const known = tokens.map((token) => (token === shape.mask ? -1 : step));
      steps.splice(at - start, remove, ...known);
    }
    steps = steps.slice(0, shape.capacity);
  }
  return Int32Array.from(steps.slice(0, shape.maxTokens));
}

/** What becomes of tokens that were committed in the same step, which the definitions leave open. */
const tieRules = ['leftToRight', 'never'] as const;

export interface ArnessOptions {
  /** The k to measure, each at least 1. Default 1 … 8. */
  ks?: readonly number[];
  /**
   * Tokens of one step: `'leftToRight'` (default) orders them so, which is the most that can be said
   * for them; `'never'` lets a token that was committed with others count for nothing.
   */
  ties?: (typeof tieRules)[number];
}

/** AR-ness@k, each value 0 … 1. */
export interface Arness {
  k: number;
  /** (1/T) Σ_t 1[{p_(t−1), …, p_(t−k)} = {p_t − 1, …, p_t − k}]: left to right gives (T − k)/T. */
  localLiteral: number;
  /** 1/(T − k) Σ_(t>k) 1[p_(t−j) = p_t − j for j = 1 … k]: left to right gives 1. NaN for T ≤ k. */
  localOrdered: number;
  /** (1/T) Σ_t 1[p_t is among the k leftmost masks before step t]: left to right gives 1. */
  global: number;
}

/**
 * How far an order p_1 … p_T of filling T positions is that of an autoregressive model. Local: a token
 * comes right after its k left neighbours; global: it is one of the k leftmost that were missing.
 *
 * Source: DiffuCoder (arXiv 2506.20639), section 4.1 and appendix A.2, one token a step. Its text asks
 * for equal sets and divides by T (`localLiteral`), the caption of its figure 3 for a consecutive
 * sequence (`localOrdered`, divided by the T − k steps where it is possible): both are given.
 *
 * @param steps (n) when each position was filled, as of `commitSteps`; −1 is left out
 */
export function arness(steps: ArrayLike<number>, options: ArnessOptions = {}): Arness[] {
  knownKeys('arness()', options, ['ks', 'ties']);
  const ks = list('arness(): ks', options.ks ?? [1, 2, 3, 4, 5, 6, 7, 8]).map((k, i) =>
    integer(`arness(): ks[${i}]`, k, { min: 1 }),
  );
  const ties = oneOf('arness(): ties', options.ties ?? 'leftToRight', tieRules);
  const step = Array.from(steps);
  const order = [...step.keys()].filter((p) => step[p] >= 0);
  order.sort((a, b) => step[a] - step[b] || a - b);
  const together = new Map<number, number>();
  for (const p of order) together.set(step[p], (together.get(step[p]) ?? 0) + 1);
  const counts = order.map((p) => ties === 'leftToRight' || together.get(step[p]) === 1);
  const ranks = leftRanks(order);
  return ks.map((k) => {
    const share = (hits: (t: number) => boolean, of: number) =>
      order.reduce((sum, _, t) => sum + (counts[t] && hits(t) ? 1 : 0), 0) / of;
    const T = order.length;
    return {
      k,
      localLiteral: share((t) => t >= k && followsAsSet(order, t, k), T),
      localOrdered: T > k ? share((t) => t >= k && followsInOrder(order, t, k), T - k) : NaN,
      global: share((t) => ranks[t] < k, T),
    };
  });
}

/** How many positions left of each were still missing when it was filled. */
function leftRanks(order: readonly number[]): number[] {
  return order.map((p, t) => order.slice(t).filter((other) => other < p).length);
}

function followsAsSet(order: readonly number[], t: number, k: number): boolean {
  return order.slice(t - k, t).every((p) => p < order[t] && p >= order[t] - k);
}

function followsInOrder(order: readonly number[], t: number, k: number): boolean {
  return order.slice(t - k, t).every((p, i) => p === order[t] - k + i);
}

/** (rows × columns) shares of runs; each column of a full map sums to 1. */
export interface OrderMap {
  /** Bins of time: the rank of a token among those of its run, earliest first. */
  rows: number;
  /** Bins of position, from left to right. */
  columns: number;
  share: Float64Array;
}

/**
 * When which part of an answer was filled, over several runs: cell (r, c) is the share of the tokens in
 * position bin c that were filled in time bin r. Left to right is a diagonal. Time is the rank in the
 * run and not the step, so that runs with different numbers of steps compare; tokens of one step share
 * their mean rank.
 *
 * @param runs of `commitSteps`
 */
export function orderMap(
  runs: readonly ArrayLike<number>[],
  { rows = 16, columns = 16 }: { rows?: number; columns?: number } = {},
): OrderMap {
  integer('orderMap(): rows', rows, { min: 1 });
  integer('orderMap(): columns', columns, { min: 1 });
  if (runs.length === 0) invalid('orderMap(): runs', runs, 'at least one run');
  const cells = new Float64Array(rows * columns);
  const totals = new Float64Array(columns);
  for (const run of runs) {
    const ranks = meanRanks(run);
    ranks.forEach((rank, position) => {
      const column = Math.min(Math.floor((position / run.length) * columns), columns - 1);
      const row = Math.min(Math.floor(rank * rows), rows - 1);
      cells[row * columns + column]++;
      totals[column]++;
    });
  }
  return { rows, columns, share: cells.map((n, i) => (n === 0 ? 0 : n / totals[i % columns])) };
}

/** Position to its rank as a part of 1; positions without a step are left out. */
function meanRanks(steps: ArrayLike<number>): Map<number, number> {
  const filled = Array.from(steps, (step, position) => ({ step, position })).filter(
    ({ step }) => step >= 0,
  );
  const before = (step: number) => filled.filter((other) => other.step < step).length;
  const same = (step: number) => filled.filter((other) => other.step === step).length;
  return new Map(
    filled.map(({ step, position }) => [
      position,
      (before(step) + (same(step) - 1) / 2) / filled.length,
    ]),
  );
}
