/** How likely several tokens are together that were committed from one forward. */
import type { TraceStep } from '../trace.js';
import { list, number } from '../validate.js';

/** Of n tokens, what their marginal probabilities say about all of them being right together. */
export interface JointBounds {
  n: number;
  /** min p: no joint probability is above. */
  upper: number;
  /** Π p: what it is if they do not depend on each other. */
  independent: number;
  /** max(0, Σp − (n − 1)), Bonferroni: no joint probability is below. */
  lower: number;
  /** (Π p)^(−1/n) */
  perplexity: number;
}

/**
 * Bounds on the joint probability of tokens that are committed together, of which only the marginals
 * are known. Between the bounds everything is possible: a pair of 0.55 and 0.69 may go together with
 * 0.24 to 0.55, and 0.38 if independent.
 * Source: "Why mask diffusion does not work"; the bounds are those of Fréchet and Bonferroni.
 * @param p (n) probabilities 0 … 1, at least one
 */
export function jointBounds(p: ArrayLike<number>): JointBounds {
  const given = list('jointBounds(): p', p).map((value, i) =>
    number(`jointBounds(): p[${i}]`, value, { min: 0, max: 1 }),
  );
  const n = given.length;
  number('jointBounds(): number of probabilities', n, { min: 1 });
  const nats = given.reduce((sum, value) => sum + Math.log(value), 0);
  const missing = given.reduce((sum, value) => sum + (1 - value), 0); // exact for p near 1
  return {
    n,
    upper: Math.min(...given),
    independent: Math.exp(nats),
    lower: Math.max(0, 1 - missing),
    perplexity: Math.exp(-nats / n),
  };
}

/** The bounds of every step that committed tokens. Tokens that a policy wrote unproposed do not count. */
export function jointCommits(trace: readonly TraceStep[]): (JointBounds & { step: number })[] {
  return trace.flatMap(({ step, committed }) => {
    const p = committed.map(([, , probability]) => probability).filter((value) => value >= 0);
    return p.length === 0 ? [] : [{ step, ...jointBounds(p) }];
  });
}

/** Means over the steps that committed n tokens. */
export interface JointSummary extends JointBounds {
  /** How many steps did. */
  steps: number;
}

/**
 * One row for each number of tokens, ascending; the means are arithmetic, that of the perplexity
 * geometric (it is exp of the mean surprise).
 */
export function summariseJoint(commits: readonly JointBounds[]): JointSummary[] {
  const sizes = [...new Set(commits.map(({ n }) => n))].sort((a, b) => a - b);
  return sizes.map((n) => {
    const same = commits.filter((commit) => commit.n === n);
    const mean = (of: (commit: JointBounds) => number) =>
      same.reduce((sum, commit) => sum + of(commit), 0) / same.length;
    return {
      n,
      steps: same.length,
      upper: mean(({ upper }) => upper),
      independent: mean(({ independent }) => independent),
      lower: mean(({ lower }) => lower),
      perplexity: Math.exp(mean(({ perplexity }) => Math.log(perplexity))),
    };
  });
}
