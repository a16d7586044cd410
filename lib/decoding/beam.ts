import type { Score, StepResult } from '../types.js';
import { readFields } from './fields.js';
import { named } from './named.js';
import type { Change, Decoder } from './policy.js';
import { ranked } from './rule.js';

export interface BeamOptions {
  /** Positions that are decided together, at least 1. Default 4. */
  depth?: number;
  /** Hypotheses kept, and tokens tried for each position, at least 1. Default 4. */
  width?: number;
  /** Which positions of the active block: the `depth` best by this score. Default `'probability'`. */
  score?: Score;
}

const scores = ['probability', 'margin', 'negEntropy', 'random', 'position'] as const;

export const beamFields = {
  depth: {
    ...({ type: 'integer', default: 4, minimum: 1 } as const),
    description: 'positions that are decided together',
  },
  width: {
    ...({ type: 'integer', default: 4, minimum: 1, maximum: 256 } as const),
    description: 'hypotheses kept, and tokens tried for each position',
  },
  score: {
    ...({ type: 'string', enum: scores, default: 'probability' } as const),
    description: 'which positions: the best by this score',
  },
} as const;

/** Tokens for some of the positions, and the logarithm of their joint probability. */
interface Hypothesis {
  changes: Change[];
  logProbability: number;
}

/**
 * Joint search: the proposals of one forward are best each by itself; together they may be unlikely.
 * The `depth` best masked positions x_1, x_2 … are filled one after another, in the order of their
 * score, by a beam search for the largest
 *
 *     log p(x_1 | canvas) + log p(x_2 | canvas, x_1) + …
 *
 * Each of the `width` hypotheses becomes a canvas of its own, all of them computed in one forward; all
 * tokens of the best one are committed. As many forwards as one token at a time takes, each but the
 * first of a step over `width` canvases. All hypotheses fill the same positions, so that their
 * probabilities compare; `width: 1` is the greedy chain.
 *
 * It searches, it does not sample: `temperature` plays no part. MASK is never tried; ties go to the
 * hypothesis that was ahead, then to the token of lower number.
 * Source: ours, after beam search as used with autoregressive models.
 */
export function beam(options: BeamOptions = {}): Decoder {
  const { depth, width, score } = readFields('beam()', beamFields, options);
  const decoder: Decoder = ({ tokens: { mask }, vocabulary, seed }) => {
    const topK = Math.min(width + 1, vocabulary); // MASK may be among them
    return ({ canvas, range, step }) => ({
      request: { topK },
      choose: async (report, look) => {
        const rule = { score, select: { kind: 'all' }, within: range, seed, step } as const;
        const best = ranked(rule, canvas, mask, report).slice(0, depth);
        let kept: Hypothesis[] = [{ changes: [], logProbability: 0 }];
        let reports = [report];
        for (const [i, { position }] of best.entries()) {
          const ask = { query: Int32Array.of(position), topK };
          if (i > 0) reports = await look(kept.map(({ changes }) => ({ changes, ask })));
          kept = kept
            .flatMap((hypothesis, j) => extended(hypothesis, position, reports[j], width, mask))
            .sort((a, b) => b.logProbability - a.logProbability)
            .slice(0, width);
        }
        return kept[0].changes;
      },
    });
  };
  return named('beam', options, decoder, ['looks']);
}

/** `hypothesis` with each of the `width` most probable tokens at `position`. */
function extended(
  { changes, logProbability }: Hypothesis,
  position: number,
  report: StepResult,
  width: number,
  mask: number,
): Hypothesis[] {
  const row = report.position.indexOf(position);
  const { k, token, probability } = report.top!;
  const listed = Array.from({ length: k }, (_, i) => row * k + i)
    .filter((cell) => token[cell] !== mask && probability[cell] > 0)
    .slice(0, width)
    .map((cell) => ({ token: token[cell], p: probability[cell] }));
  // Nothing but MASK is probable: the proposal is what may be committed at all.
  const tokens = listed.length > 0 ? listed : [{ token: report.token[row], p: tiny }];
  return tokens.map(({ token, p }) => ({
    changes: [...changes, { position, token }],
    logProbability: logProbability + Math.log(p),
  }));
}

/** The smallest probability that a report holds. */
const tiny = 2 ** -149;
