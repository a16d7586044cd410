import { readFields } from '../fields.js';
import { named } from '../named.js';
import type { CachePlan } from '../policy.js';
import { refreshFields, refreshing, type RefreshOptions } from './refresh.js';
import { sourceRow } from './rows.js';

export interface DualCacheOptions extends RefreshOptions {
  /**
   * Rows on either side of the block that are computed with it: dInfer's vicinity refresh, there 16
   * with `warmUp: 4`. Default 0.
   */
  around?: number;
}

export const dualFields = {
  ...refreshFields,
  around: {
    ...({ type: 'integer', default: 0, minimum: 0 } as const),
    description: 'rows on either side of the block that are computed with it',
  },
} as const;

/**
 * A full forward when a block begins, which also commits; then only the rows of the block, and
 * `around` it. Approximated: all other rows stay as they were at the last full forward, those
 * before the block and the masks after it.
 * Source: Fast-dLLM (arXiv 2505.22618), `generate_with_dual_cache`; `around` and `warmUp`: dInfer
 * (arXiv 2510.08666), `VicinityCacheDiffusionLLM`.
 */
export function dualCache(options: DualCacheOptions = {}): CachePlan {
  const { around, ...rest } = readFields('dualCache()', dualFields, options);
  const due = refreshing(rest);
  return named('dualCache', options, (run) => (state) => {
    if (due(state)) return {};
    const { canvas, range } = state;
    const first = Math.min(range.start - around, sourceRow(run, range.start));
    const end = Math.min(range.end + around, canvas.length);
    return { rows: { start: Math.max(0, first), end } };
  });
}
