/** The likelihood of a whole text, piece by piece: the bound, and chains in several orders. */
import { Random } from '../gguf/random.js';
import type { Model } from '../model.js';
import { integer, list, oneOf } from '../validate.js';
import { chunksOf } from './chunks.js';
import {
  chainLogLikelihood,
  likelihoodBound,
  logMeanExp,
  randomReadingOrder,
  type LikelihoodOptions,
} from './likelihood.js';

export const readingOrders = ['leftToRight', 'rightToLeft', 'confidence', 'random'] as const;

export interface TextLikelihoodOptions extends LikelihoodOptions {
  /** Tokens of a piece; default 64. */
  length?: number;
  /** Pieces to score at most. Default: all. */
  chunks?: number;
  /** Masks of the bound for each piece; 0: no bound. Default 128. */
  samples?: number;
  /** Which chains; default all four, which takes a forward for each token and order. */
  orders?: readonly (typeof readingOrders)[number][];
  /** Orders that `'random'` draws for each piece. Default 4. */
  randomOrders?: number;
  /** After each piece. */
  onChunk?: (done: number, of: number) => void;
}

/** Of the whole text, nats: divide by `tokens` or `characters`. */
export interface TextLikelihood {
  tokens: number;
  characters: number;
  chunks: number;
  /** LLaDA's bound; `standardError` of its estimate. */
  bound?: { logLikelihood: number; standardError: number };
  /**
   * Exact chains. For `'random'` the mean of the logarithms over the orders drawn, which estimates the
   * bound, and the logarithm of the mean: the likelihood under a random order that nobody is told.
   */
  chains: { order: (typeof readingOrders)[number]; logLikelihood: number; logOfMean?: number }[];
}

/**
 * How probable a text is to the model, cut into pieces that know nothing of each other. Characters are
 * Unicode code points, so that models with different tokenizers compare: `validation bound per
 * character` is −bound / characters.
 */
export async function textLikelihood(
  model: Model,
  text: string,
  options: TextLikelihoodOptions = {},
): Promise<TextLikelihood> {
  const { length, chunks, samples, orders, randomOrders, onChunk, ...others } = options;
  const count = integer('samples', samples ?? 128, { min: 0 });
  const draws = integer('randomOrders', randomOrders ?? 4, { min: 1 });
  const names = list('orders', orders ?? readingOrders).map((order, i) =>
    oneOf(`orders[${i}]`, order, readingOrders),
  );
  const most = integer('chunks', chunks ?? Number.MAX_SAFE_INTEGER, { min: 1 });
  const pieces = chunksOf(model, text, length ?? 64).slice(0, most);
  const sum = (of: (i: number) => number) => pieces.reduce((total, _, i) => total + of(i), 0);
  const chains = names.map((order) => ({ order, logLikelihood: 0, logOfMean: 0 }));
  const bound = { logLikelihood: 0, variance: 0 };
  const random = new Random(options.seed ?? 0);
  for (const [i, { tokens }] of pieces.entries()) {
    const seed = random.bits();
    if (count > 0) {
      const found = await likelihoodBound(model, tokens, { ...others, seed, samples: count });
      bound.logLikelihood += found.logLikelihood;
      bound.variance += found.standardError ** 2;
    }
    for (const chain of chains) {
      const paths =
        chain.order === 'random'
          ? Array.from({ length: draws }, () => randomReadingOrder(tokens.length, random))
          : [chain.order];
      const nats = await chainLogLikelihood(model, tokens, paths, others);
      chain.logLikelihood += nats.reduce((a, b) => a + b, 0) / nats.length;
      chain.logOfMean += logMeanExp(nats);
    }
    onChunk?.(i + 1, pieces.length);
  }
  const { logLikelihood, variance } = bound;
  return {
    tokens: sum((i) => pieces[i].tokens.length),
    characters: sum((i) => pieces[i].characters),
    chunks: pieces.length,
    ...(count > 0 && { bound: { logLikelihood, standardError: Math.sqrt(variance) } }),
    chains: chains.map(({ order, logLikelihood, logOfMean }) => ({
      ...{ order, logLikelihood },
      ...(order === 'random' && { logOfMean }),
    })),
  };
}
