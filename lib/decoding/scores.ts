/** What ranks proposals: the scores of native code, right to left, and scores of the caller's own. */
import { invalid } from '../validate.js';
import type { CommitRule, Score, Select, StepResult } from '../types.js';
import type { Ask, Change, Decision, RunFacts, StepState } from './policy.js';
import { applyRule, type Statistics } from './rule.js';

/** A score that native code does not have. */
export interface ScorePolicy {
  /** Statistics beyond the proposals and their probability, margin and entropy. */
  ask?: Ask;
  /** (n) One for each reported position. The highest is committed first, ties to the lower position. */
  score(state: StepState, report: StepResult): ArrayLike<number>;
}
export type ScorePlan = (run: RunFacts) => ScorePolicy;

/**
 * - `'probability'` of the proposed token;
 * - `'margin'`: largest minus second largest probability;
 * - `'negEntropy'`: −H;
 * - `'random'`: uniform, by seed, step and position;
 * - `'position'`: left to right; `'rightToLeft'`;
 * - a function: any other.
 */
export type AnyScore = Score | 'rightToLeft' | ScorePlan;

const names = ['probability', 'margin', 'negEntropy', 'random', 'position', 'rightToLeft'] as const;

/** Throws `INVALID_ARGUMENT`. */
export function checkScore(name: string, score: unknown): AnyScore {
  if (typeof score === 'function') return score as ScorePlan;
  if ((names as readonly unknown[]).includes(score)) return score as AnyScore;
  return invalid(name, score, `one of ${names.join(', ')}, or a function`);
}

export type Ranking = (state: StepState, select: Select, request?: Decision['request']) => Decision;

/** Decisions that select by `score`: as a rule where native code has the score, else by choice. */
export function ranking(run: RunFacts, score: AnyScore): Ranking {
  if (score === 'rightToLeft') {
    // Native code scores by −position.
    const bias = Float32Array.from({ length: run.length }, (_, position) => 2 * position);
    return (_, select, request) => ({ request, commit: { score: 'position', bias, select } });
  }
  if (typeof score === 'string') {
    return (_, select, request) => ({ request, commit: { score, select } });
  }
  const policy = score(run);
  return (state, select, request) => ({
    request: { ...request, ...policy.ask },
    choose: (report) => {
      const probability = Float64Array.from(policy.score(state, report));
      return selected({ select }, state, run.tokens.mask, { ...report, probability });
    },
  });
}

/** What `rule` commits in the active block, in ascending order of position. */
export function selected(
  rule: CommitRule,
  { canvas, range }: StepState,
  mask: number,
  statistics: Statistics,
): Change[] {
  const after = canvas.slice();
  const written = applyRule({ ...rule, within: range }, after, mask, statistics);
  return Array.from(written, (position) => ({ position, token: after[position] }));
}
