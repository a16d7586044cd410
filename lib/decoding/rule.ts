/**
 * Interpreter of commit rules. Native code runs the rules of a generation (native/session/commit.h);
 * this says the same in other words, so that a test can hold the two together, and for sessions
 * without native code.
 */
import type { CommitRule, StepResult } from '../types.js';
import { Stream, uniform } from './philox.js';

/** What a rule reads: (n) each, one entry per reported position. */
export type Statistics = Pick<
  StepResult,
  'position' | 'token' | 'probability' | 'margin' | 'entropy'
>;

interface Candidate {
  position: number;
  token: number;
  score: number;
  entropy: number;
}

/**
 * Applies `rule` to `canvas`. Candidates are the reported positions that hold `mask`; they are
 * ranked by score, ties to the lower position. A selected candidate whose token is `mask` uses up
 * the quota and changes nothing. Arithmetic follows native code: scores in float32, sums in float64.
 *
 * @param canvas (length) token ids; written
 * @returns the positions written, ascending
 */
export function applyRule(
  rule: CommitRule,
  canvas: Int32Array,
  mask: number,
  statistics: Statistics,
): Int32Array {
  const best = ranked(rule, canvas, mask, statistics);
  const chosen = best
    .slice(0, accepted(rule, best))
    .filter((candidate) => candidate.token !== mask);
  for (const { position, token } of chosen) canvas[position] = token;
  return Int32Array.from(chosen, (candidate) => candidate.position).sort();
}

/** The candidates of `rule`, the best first. */
export function ranked(
  rule: CommitRule,
  canvas: Int32Array,
  mask: number,
  statistics: Statistics,
): Candidate[] {
  const { start, end } = rule.within ?? { start: 0, end: canvas.length };
  const candidates: Candidate[] = [];
  statistics.position.forEach((position, i) => {
    if (canvas[position] !== mask || position < start || position >= end) return;
    const score = scoreOf(rule, statistics, i) + (rule.bias?.[position] ?? 0);
    candidates.push({
      position,
      token: statistics.token[i],
      score: Number.isNaN(score) ? -Infinity : score, // NaN has no place in an order
      entropy: statistics.entropy[i],
    });
  });
  return candidates.sort((a, b) => b.score - a.score || a.position - b.position);
}

function scoreOf(rule: CommitRule, statistics: Statistics, i: number): number {
  const position = statistics.position[i];
  switch (rule.score ?? 'probability') {
    case 'probability':
      return statistics.probability[i];
    case 'margin':
      return statistics.margin[i];
    case 'negEntropy':
      return -statistics.entropy[i];
    case 'random':
      return uniform(rule.seed ?? 0, rule.step ?? 0, position, Stream.score);
    case 'position':
      return -position;
  }
}

/** How many of the best candidates the rule takes. */
function accepted({ select }: CommitRule, best: readonly Candidate[]): number {
  switch (select.kind) {
    case 'all':
      return best.length;
    case 'topK':
      return Math.min(select.k, best.length);
    case 'threshold': {
      const { tau, strict } = select;
      const passes = (score: number) => (strict ? score > tau : score >= tau);
      return prefix(best, (c, n) => n <= (select.min ?? 1) || passes(c.score));
    }
    case 'factor': {
      const { factor } = select;
      const count = prefix(best, (c, n) => n === 1 || (n + 1) * (1 - c.score) <= factor);
      return select.literal && count === best.length - 1 ? best.length : count;
    }
    case 'entropyBound': {
      const { gamma } = select;
      let sum = 0;
      let max = -Infinity;
      return prefix(best, (c) => {
        sum += c.entropy;
        max = Math.max(max, c.entropy);
        return !(sum - max > gamma); // not <=: native code goes on at NaN too
      });
    }
  }
}

/** Length of the longest prefix of which every candidate passes; n counts from 1. */
function prefix(
  best: readonly Candidate[],
  passes: (candidate: Candidate, n: number) => boolean,
): number {
  const end = best.findIndex((candidate, i) => !passes(candidate, i + 1));
  return end < 0 ? best.length : end;
}
