import { knownKeys, number } from '../validate.js';
import { checkBackground, frequencies, type Background } from './background.js';
import { lladaKeys, scheduled, type LladaOptions } from './low-confidence.js';
import { named } from './named.js';
import type { Decoder } from './policy.js';
import type { ScorePlan } from './scores.js';

export interface PcScoreOptions {
  /** Frequencies of tokens in ordinary text; the content of a file of `lacuna background`. */
  background: Background;
  /** How fast the weight falls along the block; 0: not at all. Default 0.25. */
  lambda?: number;
  /** The most that the content of a token can count, nats. Default 10. */
  alpha?: number;
}

/**
 * PC-Sampler's score: e^(−lambda·i) · min(−p · ln(f + 1e-9), alpha) with the probability p of the
 * proposed token, its frequency f in ordinary text, and the offset i of the position from the start
 * of the block, or from the end of the prompt if that lies in it. Trivial tokens (line breaks, end
 * of text, commas) are frequent and count little, however probable; early positions come first.
 *
 * The README gives i relative to the prompt and leaves the minus sign out; this follows the code.
 * The published lambda is 0.25, for Sudoku 0 and for Countdown 0.5 (README) or 1 (script).
 * Source: PC-Sampler (arXiv 2508.13021), `src/generate.py::pc_sampler_function`.
 */
export function pcScore(options: PcScoreOptions): ScorePlan {
  const name = 'pcScore()';
  knownKeys(name, options, ['background', 'lambda', 'alpha']);
  const background = checkBackground(options.background);
  const lambda = number(`${name}: lambda`, options.lambda ?? 0.25, { min: 0 });
  const alpha = number(`${name}: alpha`, options.alpha ?? 10, { min: 0 });
  return ({ vocabulary, prompt }) => {
    const frequency = frequencies(background, vocabulary);
    return {
      score: ({ range }, { position, token, probability }) => {
        const start = Math.max(range.start, prompt);
        return Array.from(position, (at, i) => {
          const content = -probability[i] * Math.log(frequency[token[i]] + 1e-9);
          return Math.exp(-lambda * (at - start)) * Math.min(content, alpha);
        });
      },
    };
  };
}

/**
 * PC-Sampler: each step commits the k proposals of highest `pcScore`, k by LLaDA's schedule. For
 * quality rather than speed: it keeps the model from writing the end first.
 * Source: PC-Sampler (arXiv 2508.13021), `src/generate.py::pc_sampler_function`.
 */
export function pcSampler(options: PcScoreOptions & LladaOptions): Decoder {
  const { background, lambda, alpha, ...llada } = options;
  knownKeys('pcSampler()', llada, lladaKeys);
  const score = pcScore({ background, lambda, alpha });
  const shown = { ...llada, lambda, alpha, background: { total: background.total } };
  return named('pcSampler', shown, scheduled('pcSampler()', score, llada), ['scheduled']);
}
