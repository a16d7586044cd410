import { readFields } from '../fields.js';
import { named } from '../named.js';
import type { CachePlan } from '../policy.js';
import { sourceRow, union, where } from './rows.js';

export const dkvFields = {
  refresh: {
    ...({ type: 'integer', default: 8, minimum: 1 } as const),
    description: 'every n-th forward of a block is a full one',
  },
} as const;

/**
 * dKV-Cache: keys and values of a token change most when it is committed, so a row is cached one
 * forward later. A forward computes every masked row of the canvas and those that the forward before
 * it committed; the first two forwards of a block and every `refresh`-th are full ones.
 * Approximated: rows of tokens known for longer stay as they were when they were computed last.
 *
 * Unlike prefix and dual caches it does not rest on blocks: over a whole answer the rows shrink with
 * the masks left.
 * Source: dKV-Cache (arXiv 2505.15781), `llada_dkv_cache_decode.py` (`cache_reloading_step`, there
 * 4, 8 or 16). Its greedy variant, for a random order fixed in advance, is left out.
 * @param options `refresh` default 8
 */
export function dkvCache(options: { refresh?: number } = {}): CachePlan {
  const { refresh } = readFields('dkvCache()', dkvFields, options);
  return named('dkvCache', options, (run) => ({ blockForwards, canvas, changed, masked }) => {
    if (blockForwards <= 1 || blockForwards % refresh === 0) return {};
    const masks = where(canvas.length, (position) => canvas[position] === run.tokens.mask);
    const sources = masked.map((position) => sourceRow(run, position));
    return { rows: union(canvas.length, masks, changed, sources) };
  });
}
