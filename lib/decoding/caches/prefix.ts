import { readFields } from '../fields.js';
import { named } from '../named.js';
import type { CachePlan } from '../policy.js';
import { refreshFields, refreshing, type RefreshOptions } from './refresh.js';
import { sourceRow } from './rows.js';

/**
 * A full forward when a block begins, which also commits; then the block and all that follows it.
 * Approximated: the rows before the block stay as they were at the last full forward, while tokens
 * are committed after them. With full attention they would change with every commit.
 * Source: Fast-dLLM (arXiv 2505.22618), `generate_with_prefix_cache`, which has no `refresh`.
 */
export function prefixCache(options: RefreshOptions = {}): CachePlan {
  const due = refreshing(readFields('prefixCache()', refreshFields, options));
  return named('prefixCache', options, (run) => (state) => {
    if (due(state)) return {};
    return { rows: { start: sourceRow(run, state.range.start), end: state.canvas.length } };
  });
}
