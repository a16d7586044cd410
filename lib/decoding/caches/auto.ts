import { because } from '../named.js';
import type { CachePlan, RunFacts } from '../policy.js';
import { blockCausalCache, isBlockCausal } from './block-causal.js';
import { dkvCache } from './dkv.js';
import { dualCache } from './dual.js';
import { noCache } from './none.js';

/** As in dInfer; of the cheap caches the one whose proposals are closest to those of no cache. */
const vicinity = { around: 16, warmUp: 4 };

/**
 * What `cache: 'auto'` stands for. Fidelity counts more than the last factor of speed:
 * - `blockCausalCache()` where it is exact;
 * - `dualCache()` for blocks that the model ends;
 * - `dkvCache()` for an answer in one block, where prefix and dual would only freeze the prompt;
 * - `noCache()` if a block and 16 rows on either side are more than half of the canvas;
 * - else `dualCache({ around: 16, warmUp: 4 })`.
 */
export function pickCache(
  run: Pick<RunFacts, 'attentionBlock' | 'blocks' | 'length'> & { adapts: boolean },
): CachePlan {
  const { blocks, length, adapts } = run;
  if (isBlockCausal(run) && !adapts) {
    return because('exact: the blocks fit the block-causal attention', blockCausalCache());
  }
  if (adapts) return because('the model ends the blocks', dualCache());
  if (blocks.length === 1) return because('the answer is one block', dkvCache());
  const rows = Math.max(...blocks.map(({ start, end }) => end - start)) + 2 * vicinity.around;
  const share = `a block and its vicinity are ${rows} of ${length} positions`;
  return because(share, 2 * rows > length ? noCache() : dualCache(vicinity));
}
