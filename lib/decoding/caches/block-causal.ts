import { LacunaError } from '../../errors.js';
import type { Range } from '../../types.js';
import { named } from '../named.js';
import type { CachePlan, RunFacts } from '../policy.js';
import { noCache } from './none.js';
import { sourceRow } from './rows.js';

/**
 * Exact K/V for block-causal models: rows never see later blocks, so only the active block is
 * computed. The first forward of a block also computes what was written before it since its last
 * forward: the end of the block before, known text of a template, at first the prompt. The originals
 * spend a forward of its own on that.
 * Source: SDAR, `generate.py`; LLaDA2.0 technical report.
 *
 * Refuses (`INVALID_ARGUMENT`) models with full attention, and blocks that cut an attention block
 * in two: use `absoluteBlocks(n)`.
 */
export function blockCausalCache(): CachePlan {
  return named('blockCausalCache', {}, (run) => {
    refuse(run);
    // The last row of a causal block predicts the token after the block, and no row in it sees it.
    const unused = run.attentionBlock === 1 && run.logitShift === 1 ? 1 : 0;
    const n = run.attentionBlock;
    return (state) => {
      const { blockForwards, range } = state; // not `stale`, which a step ahead does not know
      const source = sourceRow(run, range.start);
      const first = () => Math.min(source, Math.floor(state.stale / n) * n);
      const start = blockForwards === 0 ? first() : source;
      const end = Math.max(start + 1, range.end - unused);
      return { rows: { start, end }, visible: range.end };
    };
  });
}

/** The fastest plan that approximates nothing: `blockCausalCache()` where it fits, else `noCache()`. */
export function exactCache(): CachePlan {
  return named('exactCache', {}, (run) =>
    (isBlockCausal(run) && !adapts(run) ? blockCausalCache() : noCache())(run),
  );
}

type BlockFacts = Pick<RunFacts, 'attentionBlock' | 'blocks' | 'length'>;

function adapts({ policies }: RunFacts): boolean {
  return policies.blocks.traits.includes('adapts');
}

/** Whether `blockCausalCache()` takes these blocks, if they are all that there will be. */
export function isBlockCausal(run: BlockFacts): boolean {
  return run.attentionBlock > 0 && cutBlock(run) === undefined;
}

/** A block of the plan that begins or ends inside an attention block. */
function cutBlock({ attentionBlock: n, blocks, length }: BlockFacts): Range | undefined {
  return blocks.find(({ start, end }) => start % n !== 0 || (end % n !== 0 && end !== length));
}

function refuse(run: RunFacts): void {
  const n = run.attentionBlock;
  if (n === 0) {
    throw new LacunaError(
      'INVALID_ARGUMENT',
      'cache: blockCausalCache() needs a model with block-causal attention, but this one attends to ' +
        'the whole canvas; use noCache(), prefixCache() or dualCache()',
    );
  }
  if (adapts(run)) {
    throw new LacunaError(
      'INVALID_ARGUMENT',
      `cache: blockCausalCache() needs blocks that are known in advance, but ` +
        `${run.policies.blocks.name}() lets the model end them; use absoluteBlocks(${n})`,
    );
  }
  const cut = cutBlock(run);
  if (cut === undefined) return;
  throw new LacunaError(
    'INVALID_ARGUMENT',
    `cache: blockCausalCache() needs blocks on multiples of the model's attention block ${n}, but ` +
      `one goes from ${cut.start} to ${cut.end}; use absoluteBlocks(${n})`,
  );
}
