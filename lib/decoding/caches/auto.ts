import type { CachePlan, RunFacts } from '../policy.js';
import { blockCausalCache, isBlockCausal } from './block-causal.js';
import { dkvCache } from './dkv.js';
import { dualCache } from './dual.js';
import { noCache } from './none.js';

/** Below this many positions a full forward costs hardly more than one of a block. */
const short = 64;

/**
 * Picks a cache by the model, the canvas and the blocks, and says which and why in the result of the
 * run (`cache.name`, `cache.reason`):
 * - `blockCausalCache()` where it is exact;
 * - `noCache()` for a canvas of less than 64 positions;
 * - `dkvCache()` for an answer in one block, where prefix and dual would only freeze the prompt;
 * - else `dualCache()`.
 */
export function autoCache(): CachePlan {
  return (run) => {
    const [plan, reason] = pick(run);
    return { ...plan(run), reason };
  };
}

function pick(run: RunFacts): [CachePlan, string] {
  if (isBlockCausal(run)) {
    return [blockCausalCache(), 'exact: the blocks fit the block-causal attention'];
  }
  if (run.length < short) return [noCache(), `a canvas of ${run.length} positions is short`];
  if (run.blocks.length === 1) return [dkvCache(), 'the answer is one block'];
  return [dualCache(), `${run.blocks.length} blocks on a canvas of ${run.length} positions`];
}
