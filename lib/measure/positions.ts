/** What a model says of masks by their distance from the known text, in one forward. */
import type { Model } from '../model.js';
import { wholeAnswer } from '../decoding/blocks.js';
import { topK } from '../decoding/low-confidence.js';
import { checkOptions, planOf } from '../plan.js';
import type { PlainPrompt } from '../prompt.js';
import type { StepResult } from '../types.js';
import { abortSignal, boolean, integer, invalid, knownKeys, list } from '../validate.js';

export interface PositionOptions {
  /** Masks after each prompt. Default 64. */
  masks?: number;
  /** Begin with the begin-of-text token, for prompts that are texts. Default: as the file says. */
  bos?: boolean;
  /** Prompts in one forward. Default 4. */
  batch?: number;
  signal?: AbortSignal;
}

/** Means over the prompts. */
export interface MaskPosition {
  /** 1: right after the prompt. */
  n: number;
  /** Probability of the most probable token. */
  probability: number;
  /** Nats. */
  entropy: number;
}

/** What is proposed at masks of like distance: the same few tokens, the farther the more so. */
export interface DistanceBand {
  /** Masks from the n-th to the n-th, inclusive. */
  from: number;
  to: number;
  /** Proposals in the band, over all prompts. */
  proposals: number;
  /** Different tokens among them. */
  distinct: number;
  /** The most frequent proposals, and their share of all. */
  top: { token: number; text: string; share: number }[];
}

export interface PositionCurve {
  prompts: number;
  /** (masks) */
  positions: MaskPosition[];
  /** Distances 1, 2, 3–4, 5–8, 9–16 …: each band as long as all before it. */
  bands: DistanceBand[];
}

const listed = 3; // tokens of a band

/**
 * One forward over each prompt with `masks` masks behind it: how sure the model is of each of them, and
 * which tokens it proposes. The bound to compare the first with is `zipf().bound(n)`; that distant masks
 * all propose the same tokens is what "Why mask diffusion does not work" calls homogenisation.
 *
 * The most probable token of a mask is that of the model itself; MASK is none.
 */
export async function positionCurve(
  model: Model,
  prompts: readonly PlainPrompt[],
  options: PositionOptions = {},
): Promise<PositionCurve> {
  knownKeys('positionCurve()', options, ['masks', 'bos', 'batch', 'signal']);
  const masks = integer('masks', options.masks ?? 64, { min: 1 });
  const batch = integer('batch', options.batch ?? 4, { min: 1 });
  if (options.bos !== undefined) boolean('bos', options.bos);
  abortSignal('signal', options.signal);
  if (list('prompts', prompts).length === 0) invalid('prompts', prompts, 'at least one prompt');
  const sums = Array.from({ length: masks }, (_, i) => ({ n: i + 1, probability: 0, entropy: 0 }));
  const proposals: number[][] = sums.map(() => []);
  for (let first = 0; first < prompts.length; first += batch) {
    const some = prompts.slice(first, first + batch);
    for (const { probability, entropy, token } of await reports(model, some, masks, options)) {
      sums.forEach((sum, i) => {
        sum.probability += probability[i] / prompts.length;
        sum.entropy += entropy[i] / prompts.length;
        proposals[i].push(token[i]);
      });
    }
  }
  return { prompts: prompts.length, positions: sums, bands: bandsOf(model, proposals) };
}

/** One report for each prompt, of its masks from left to right. */
async function reports(
  model: Model,
  prompts: readonly PlainPrompt[],
  masks: number,
  { bos, signal }: PositionOptions,
): Promise<StepResult[]> {
  const canvases = prompts.map((prompt) => {
    const given = { maxTokens: masks, blocks: wholeAnswer(), decode: topK(), bos };
    return planOf(model, prompt, checkOptions(model, given)).view.prompt; // it checks the length too
  });
  const sessions = canvases.map((known) => {
    const session = model.createSession({ length: known.length + masks });
    session.set(0, known);
    return session;
  });
  try {
    const items = sessions.map((session, i) => {
      const start = canvases[i].length;
      return { session, query: { start, end: start + masks } };
    });
    return await model.step(items, signal ? { signal } : {});
  } finally {
    for (const session of sessions) session.dispose();
  }
}

/** @param proposals (masks) those of all prompts */
function bandsOf(model: Model, proposals: readonly number[][]): DistanceBand[] {
  const bands: DistanceBand[] = [];
  for (let from = 1, to = 1; from <= proposals.length; from = to + 1, to = 2 * (from - 1)) {
    const end = Math.min(to, proposals.length);
    const tokens = proposals.slice(from - 1, end).flat();
    const counts = new Map<number, number>();
    for (const token of tokens) counts.set(token, (counts.get(token) ?? 0) + 1);
    const ranked = [...counts].sort(([a, n], [b, m]) => m - n || a - b).slice(0, listed);
    const top = ranked.map(([token, n]) => ({
      ...{ token, text: model.tokenizer.token(token), share: n / tokens.length },
    }));
    bands.push({ from, to: end, proposals: tokens.length, distinct: counts.size, top });
  }
  return bands;
}
