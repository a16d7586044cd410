/** How often tokens occur in ordinary text: what PC-Sampler holds against the trivial ones. */
import { integer, invalid, knownKeys, object, tokenIds } from '../validate.js';

/** Counts of tokens in a text, as `lacuna background` writes them to a JSON file. */
export interface Background {
  kind: 'background';
  /** Tokens in the model's vocabulary; counts of another vocabulary mean nothing. */
  vocabulary: number;
  /** Tokens counted. */
  total: number;
  /** Token id: how often it occurred. Those that did not are left out. */
  counts: Record<string, number>;
}

/** Counts tokens. @param vocabulary how many there are in all */
export function countTokens(texts: Iterable<ArrayLike<number>>, vocabulary: number): Background {
  const counts = new Float64Array(vocabulary);
  let total = 0;
  for (const text of texts) {
    for (const token of tokenIds('tokens', text, vocabulary)) counts[token]++;
    total += text.length;
  }
  const seen = [...counts.entries()].filter(([, count]) => count > 0);
  return { kind: 'background', vocabulary, total, counts: Object.fromEntries(seen) };
}

/**
 * (vocabulary) Frequency of each token: count / total, and 1 / total for those that did not occur.
 * Throws `INVALID_ARGUMENT` unless `value` is a background of a vocabulary of that size.
 * Source: PC-Sampler (arXiv 2508.13021), `utils/calculate_p_baseline.py`.
 */
export function frequencies(value: unknown, vocabulary: number): Float64Array {
  const { vocabulary: size, total, counts } = checkBackground(value);
  if (size !== vocabulary) {
    invalid('background.vocabulary', size, `${vocabulary}, as this model's`);
  }
  const frequency = new Float64Array(vocabulary).fill(1 / total);
  for (const [token, count] of Object.entries(counts)) frequency[Number(token)] = count / total;
  return frequency;
}

/** Throws `INVALID_ARGUMENT`. */
export function checkBackground(value: unknown): Background {
  const { kind } = object('background', value);
  if (kind !== 'background') invalid('background.kind', kind, '"background"');
  knownKeys('background', value, ['kind', 'vocabulary', 'total', 'counts']);
  const { vocabulary, total, counts } = value as Background;
  integer('background.vocabulary', vocabulary, { min: 1 });
  integer('background.total', total, { min: 1 });
  for (const [token, count] of Object.entries(object('background.counts', counts))) {
    integer('background.counts: token', Number(token), { min: 0, max: vocabulary - 1 });
    integer(`background.counts[${token}]`, count, { min: 0, max: total });
  }
  return value as Background;
}
