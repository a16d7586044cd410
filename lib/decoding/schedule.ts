import { LacunaError } from '../errors.js';
import { alphaOf, type Alpha } from './alpha.js';
import type { RunFacts } from './policy.js';

/**
 * How many tokens step `i` of `steps` commits so that all steps together commit `total`:
 * ⌊total / steps⌋, and one more in each of the first (total mod steps) steps.
 * Source: LLaDA, `generate.py::get_num_transfer_tokens`.
 */
export function evenShare(total: number, steps: number, i: number): number {
  return Math.floor(total / steps) + (i < total % steps ? 1 : 0);
}

/**
 * How many tokens each step commits: `'even'`, as in LLaDA; `'dilated'`: few at first, when little is
 * known, many in the middle, few at the end, where what is left depends on each other; or as many as
 * a masking schedule leaves known, `'cosine'` being that of MaskGIT (few first, most at the end).
 */
export type CommitSchedule = 'even' | 'dilated' | Alpha;

/**
 * How many of `total` tokens step `i` of `steps` commits; all steps together commit `total`. With
 * share f(u) known after the share u of the steps it is the difference of the rounded total · f:
 * `'dilated'` f(u) = (1 − cos πu) / 2, a masking schedule f(u) = α(1 − u).
 * Throws `INVALID_ARGUMENT`.
 * Source: MaskGIT (arXiv 2202.04200) for counts by α; the dilated curve is ours.
 */
export function commitCounts(
  schedule: CommitSchedule,
): (total: number, steps: number, i: number) => number {
  if (schedule === 'even') return evenShare;
  const known = schedule === 'dilated' ? halfWave : knownShare(schedule);
  return (total, steps, i) => {
    // The margin lets halves round up, however the cosine was rounded.
    const near = (x: number) => Math.floor(x + 0.5 + 1e-9);
    const after = (done: number) => (done >= steps ? total : near(total * known(done / steps)));
    return after(i + 1) - after(i);
  };
}

function halfWave(u: number): number {
  return (1 - Math.cos(Math.PI * u)) / 2;
}

function knownShare(alpha: Alpha): (u: number) => number {
  const at = alphaOf(alpha);
  return (u) => (u === 0 ? 0 : at(1 - u));
}

/**
 * Steps for each block of a run: `steps` (default: the limit of the run) shared in proportion to the
 * blocks' masks, at least one each. Blocks of one size whose number divides `steps` get the same, as
 * in LLaDA. `undefined` if nobody says how many: then each block takes one step per mask.
 *
 * Throws `INVALID_ARGUMENT` if there are fewer steps than blocks, more than the run's limit, or if
 * the canvas grows, so that nobody knows what to share them among.
 */
export function stepsPerBlock(run: RunFacts, name: string, steps?: number): number[] | undefined {
  const planned = plannedSteps(run, name, steps);
  if (planned === undefined) return undefined;
  if (run.policies.length.traits.includes('grows')) {
    throw new LacunaError(
      'INVALID_ARGUMENT',
      `${name}: steps must be left out with length: ${run.policies.length.name}(); how many ` +
        'positions they are for is not known in advance',
    );
  }
  const masks = run.blocks.map(({ start, end }) => end - Math.max(start, run.prompt));
  let masksLeft = masks.reduce((sum, count) => sum + count, 0);
  let stepsLeft = planned;
  if (stepsLeft < masks.length) {
    throw new LacunaError(
      'INVALID_ARGUMENT',
      `${name}: ${stepsLeft} steps cannot fill ${masks.length} blocks; give at least one step per ` +
        'block, or larger blocks',
    );
  }
  return masks.map((count, block) => {
    const spare = stepsLeft - (masks.length - 1 - block);
    const share = Math.min(Math.ceil((stepsLeft * count) / masksLeft), spare);
    masksLeft -= count;
    stepsLeft -= share;
    return share;
  });
}

function plannedSteps(run: RunFacts, name: string, steps: number | undefined): number | undefined {
  if (steps !== undefined && run.steps !== undefined && steps > run.steps) {
    throw new LacunaError(
      'INVALID_ARGUMENT',
      `${name}: its ${steps} steps are more than the ${run.steps} of the generate option steps; ` +
        'give one of the two',
    );
  }
  return steps ?? run.steps;
}

/**
 * (steps + 1) times from 1 down to `eps`, evenly spaced, in float32 like the original's
 * `torch.linspace`, so that truncated counts come out the same.
 * Source: Dream, `generation_utils.py`.
 */
export function timesteps(steps: number, eps: number): Float32Array {
  const end = Math.fround(eps);
  const step = Math.fround(Math.fround(end - 1) / steps);
  // torch counts from the nearer end.
  const half = Math.floor((steps + 1) / 2);
  return Float32Array.from({ length: steps + 1 }, (_, i) =>
    i < half ? 1 + Math.fround(step * i) : end - Math.fround(step * (steps - i)),
  );
}

/**
 * Share of the masked positions that is revealed on the way from time `i` to time `i + 1`: 1 − s/t;
 * all of them in the last step.
 */
export function transferRate(times: Float32Array, i: number): number {
  if (i >= times.length - 2) return 1;
  return Math.fround(1 - Math.fround(times[i + 1] / times[i]));
}
