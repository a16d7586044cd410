/** What Zipf's law says of masks far from any known token, and of filling several at once. */
import { integer, number } from '../validate.js';

const many = 1e6;

/** A vocabulary whose r-th most frequent token has the probability r^(−s) / H. */
export interface Zipf {
  s: number;
  vocabulary: number;
  /** Probability of the most frequent token, and of the second. */
  omega1: number;
  omega2: number;
  /** ω1 − ω2 */
  delta: number;
  /** What the bound tends to as n grows: ω2 / (1 − δ). */
  limit: number;
  /** Bound on the largest probability at the n-th masked position, n ≥ 1: see {@link zipf}. */
  bound(n: number): number;
  /** Of n samples drawn in parallel, each as sure as the bound allows: (Π bound)^(−1/n). */
  perplexity(n: number): number;
  /** The largest n with perplexity(n) ≤ `most`; 0 if one token is above it; Infinity: above a million. */
  largest(most: number): number;
}

/**
 * The bound of "Why mask diffusion does not work" on how sure a model can be of the n-th masked position
 * after the known text,
 *
 *     δ^(n−1) ω1 + ω2 (1 − δ^(n−1)) / (1 − δ),   δ = ω1 − ω2
 *
 * with ω1 and ω2 the two largest probabilities of a Zipf law. Far out it is that of guessing without
 * context, so that filling many positions at once has a perplexity to match.
 *
 * @param s exponent, 0 … 4; default 1.05
 * @param vocabulary tokens N, at least 2; default 150,000
 */
export function zipf(s = 1.05, vocabulary = 150_000): Zipf {
  number('zipf(): s', s, { min: 0, max: 4 });
  integer('zipf(): vocabulary', vocabulary, { min: 2, max: 1e7 });
  let total = 0;
  for (let rank = vocabulary; rank >= 1; rank--) total += rank ** -s; // small terms first
  const omega1 = 1 / total;
  const omega2 = 2 ** -s / total;
  const delta = omega1 - omega2;
  const bound = (n: number): number => {
    integer('zipf(): n', n, { min: 1 });
    const power = delta ** (n - 1);
    return power * omega1 + (omega2 * (1 - power)) / (1 - delta);
  };
  const perplexity = (n: number): number => {
    let nats = 0;
    for (let i = 1; i <= n; i++) nats -= Math.log(bound(i));
    return Math.exp(nats / integer('zipf(): n', n, { min: 1 }));
  };
  const limit = omega2 / (1 - delta);
  const largest = (most: number): number => {
    number('zipf(): perplexity', most, { min: 0 });
    if (most >= 1 / limit) return Infinity; // which it rises to
    let nats = 0;
    for (let n = 1; n <= many; n++) {
      nats -= Math.log(bound(n));
      if (Math.exp(nats / n) > most) return n - 1;
    }
    return Infinity;
  };
  return { s, vocabulary, omega1, omega2, delta, limit, bound, perplexity, largest };
}

/**
 * Perplexity of n = 1 … 8 parallel samples for s = 1.05 and N = 150,000 as the paper prints it. It does
 * not follow from the formula that is printed beside it, for which {@link zipf} gives 9.560 to 17.100.
 */
export const printedPerplexity = [
  ...[9.6618, 13.1995, 14.8584, 15.857, 16.4716, 16.9408, 17.3027, 17.6066],
] as const;
