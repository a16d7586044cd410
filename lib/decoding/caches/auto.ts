import { because } from '../named.js';
import type { CachePlan, RunFacts } from '../policy.js';
import { blockCausalCache, isBlockCausal } from './block-causal.js';
import { dkvCache } from './dkv.js';
import { dualCache } from './dual.js';
import { noCache } from './none.js';

/** Below this many positions a full forward costs hardly more than one of a block. */
const short = 64;

/**
 * What `cache: 'auto'` stands for:
 * - `blockCausalCache()` where it is exact;
 * - `noCache()` for a canvas of less than 64 positions;
 * - `dkvCache()` for an answer in one block, where prefix and dual would only freeze the prompt;
 * - else `dualCache()`.
 */
export function pickCache(run: Pick<RunFacts, 'attentionBlock' | 'blocks' | 'length'>): CachePlan {
  const { blocks, length } = run;
  if (isBlockCausal(run)) {
    return because('exact: the blocks fit the block-causal attention', blockCausalCache());
  }
  if (length < short) return because(`a canvas of ${length} positions is short`, noCache());
  if (blocks.length === 1) return because('the answer is one block', dkvCache());
  return because(`${blocks.length} blocks on a canvas of ${length} positions`, dualCache());
}
