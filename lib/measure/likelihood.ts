/** How probable a text is to a model: LLaDA's bound, and exact chains in any order. */
import { Random } from '../gguf/random.js';
import type { Model } from '../model.js';
import { integer, invalid, tokenIds } from '../validate.js';
import { CanvasPool, type PartlyKnown } from './canvases.js';

export interface LikelihoodOptions {
  /** Known tokens in front of the text: `[model.info.tokens.bos]`. Default: none. */
  prefix?: ArrayLike<number>;
  /** Canvases in one forward, at least 1. Default 8. */
  batch?: number;
  /** Of all random choices. Default 0. */
  seed?: number;
  signal?: AbortSignal;
}

/** In which order a chain reads a text. */
export type ReadingOrder = 'leftToRight' | 'rightToLeft' | 'confidence' | Int32Array;

/**
 * log p(x_(π_1) | prefix) + log p(x_(π_2) | prefix, x_(π_1)) + …: the exact log-probability that the model
 * gives to a text which it reads in the order π, one forward over the canvas for each token. A model
 * that was consistent would give the same for every order; masked diffusion models are not.
 *
 * `'confidence'` is the order in which the model would write: at each step the position where its most
 * probable token is most probable, whatever the text has there; ties to the left.
 *
 * Source: Du et al., "Understanding the Limitations of Diffusion LLMs through a Probabilistic
 * Perspective", for the comparison of orders. A probability below 2⁻¹⁴⁹ counts as that.
 *
 * @param tokens (n) the text; an order in figures names each of 0 … n − 1 once
 * @returns (orders) nats, each at most 0
 */
export async function chainLogLikelihood(
  model: Model,
  tokens: ArrayLike<number>,
  orders: readonly ReadingOrder[],
  options: LikelihoodOptions = {},
): Promise<Float64Array> {
  const pool = new CanvasPool(model, textOf(model, tokens), options);
  try {
    const sums = new Float64Array(orders.length);
    const fixed: { order: number; path: Int32Array }[] = [];
    for (const [order, reading] of orders.entries()) {
      if (reading === 'confidence') sums[order] = await confidenceChain(pool);
      else fixed.push({ order, path: pathOf(`orders[${order}]`, reading, pool.length) });
    }
    // Where the order is known beforehand, each term is a canvas of its own.
    const terms = fixed.flatMap(({ order, path }) =>
      [...path.keys()].map((t) => ({ order, known: path.subarray(0, t), at: path[t] })),
    );
    await pool.run(
      terms.map(({ known, at }) => ({ known, query: Int32Array.of(at) })),
      (term, nats) => {
        sums[terms[term].order] += nats[0];
      },
    );
    return sums;
  } finally {
    pool.dispose();
  }
}

async function confidenceChain(pool: CanvasPool): Promise<number> {
  const known: number[] = [];
  let sum = 0;
  while (known.length < pool.length) {
    const canvas = { known: Int32Array.from(known), query: pool.without(known) };
    await pool.run([canvas], (_, nats, probability) => {
      const best = probability.indexOf(Math.max(...probability));
      sum += nats[best];
      known.push(canvas.query[best]);
    });
  }
  return sum;
}

function pathOf(name: string, order: Exclude<ReadingOrder, 'confidence'>, n: number): Int32Array {
  const forward = Int32Array.from({ length: n }, (_, i) => i);
  if (order === 'leftToRight') return forward;
  if (order === 'rightToLeft') return forward.reverse();
  const isPermutation =
    order instanceof Int32Array &&
    order.length === n &&
    order
      .slice()
      .sort()
      .every((position, i) => position === i);
  return isPermutation
    ? order
    : invalid(name, order, `a known name, or each of 0 … ${n - 1} once in an Int32Array`);
}

/** An order drawn uniformly: each of 0 … n − 1 once. */
export function randomReadingOrder(n: number, random: Random): Int32Array {
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random.uniform() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

export interface LikelihoodBound {
  /** Nats: the bound, or the estimate of it. */
  logLikelihood: number;
  /** Of the estimate, by the spread of the samples; NaN for a single one, 0 for all masks. */
  standardError: number;
  /** Canvases computed. */
  samples: number;
}

/**
 * LLaDA's lower bound on a text's log-likelihood, the quantity that masked diffusion is trained on:
 *
 *     E_l [ (n / l) Σ_(i masked) log p(x_i | what is not masked) ],   l uniform in 1 … n,
 *
 * with l positions masked, drawn uniformly: a Monte-Carlo estimate of the mean of `chainLogLikelihood`
 * over all n! orders. The counts are stratified: `samples` of them evenly spaced over 1 … n from a random
 * first one, so that all amounts of masking get their share. `'all'` sums over all 2ⁿ − 1 masks instead,
 * for up to 12 tokens, and is exact.
 *
 * Source: LLaDA (arXiv 2502.09992), `get_log_likelihood.py` and equation 6; there 128 samples, stratified
 * in each batch, here over all of them.
 *
 * @param tokens (n) the text
 * @param options `samples` masks to draw, default 128
 */
export async function likelihoodBound(
  model: Model,
  tokens: ArrayLike<number>,
  options: LikelihoodOptions & { samples?: number | 'all' } = {},
): Promise<LikelihoodBound> {
  const { samples = 128, ...others } = options;
  if (samples !== 'all') integer('samples', samples, { min: 1 });
  const pool = new CanvasPool(model, textOf(model, tokens), others);
  try {
    const random = new Random(others.seed ?? 0);
    const masks = samples === 'all' ? allMasks(pool.length) : drawn(pool.length, samples, random);
    const values = new Float64Array(masks.length); // each times the number of masks: their mean counts
    await pool.run(masks, (i, nats) => {
      values[i] = nats.reduce((a, b) => a + b, 0) * masks[i].weight * masks.length;
    });
    const { mean, error } = meanOf(values);
    const standardError = samples === 'all' ? 0 : error;
    return { logLikelihood: mean, standardError, samples: masks.length };
  } finally {
    pool.dispose();
  }
}

/** A canvas of the bound; the weights of all make Σ weight · Σ log p the bound. */
type Masks = PartlyKnown & { weight: number };

function drawn(n: number, samples: number, random: Random): Masks[] {
  const first = random.uniform();
  return Array.from({ length: samples }, (_, i) => {
    const count = 1 + Math.floor(((first + i / samples) % 1) * n);
    const order = randomReadingOrder(n, random);
    const known = order.slice(count);
    return { known, query: order.slice(0, count).sort(), weight: n / count / samples };
  });
}

const mostExact = 12; // tokens: 4095 masks

function allMasks(n: number): Masks[] {
  integer("number of tokens for samples: 'all'", n, { max: mostExact });
  const choices = Array.from({ length: n + 1 }, (_, l) => binomial(n, l));
  return Array.from({ length: 2 ** n - 1 }, (_, i) => {
    const masked = (position: number) => ((i + 1) >> position) & 1;
    const positions = Int32Array.from({ length: n }, (_, position) => position);
    const query = positions.filter((position) => masked(position));
    const known = positions.filter((position) => !masked(position));
    return { known, query, weight: 1 / (query.length * choices[query.length]) };
  });
}

function binomial(n: number, k: number): number {
  let value = 1;
  for (let i = 1; i <= k; i++) value = (value * (n - k + i)) / i;
  return value;
}

function meanOf(values: Float64Array): { mean: number; error: number } {
  const n = values.length;
  const mean = values.reduce((a, b) => a + b, 0) / n;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  return { mean, error: Math.sqrt(variance / n) };
}

function textOf(model: Model, tokens: ArrayLike<number>): Int32Array {
  const ids = tokenIds('tokens', tokens, model.info.vocabulary);
  integer('number of tokens', ids.length, { min: 1 });
  const mask = model.info.tokens.mask;
  if (ids.some((id) => id === mask)) invalid('tokens', tokens, 'without MASK');
  return ids;
}

/** log of the mean of e^x. */
export function logMeanExp(values: ArrayLike<number>): number {
  const all = Array.from(values);
  const largest = Math.max(...all);
  const sum = all.reduce((total, value) => total + Math.exp(value - largest), 0);
  return largest + Math.log(sum / all.length);
}
