/** Lossless speculation: guesses of what the next steps write, computed along with the present one. */
import { integer, knownKeys } from '../validate.js';
import { named } from './named.js';
import type { Change, Speculation } from './policy.js';

export interface SelfDraftOptions {
  /** Steps ahead; each adds a canvas to a forward. Default 4. */
  depth?: number;
  /**
   * Beside each canvas of the chain, so many in which another of the next best proposals was
   * committed in its stead. Default 0: a chain.
   */
  alternatives?: number;
}

/**
 * Self-speculative decoding, for decoders that commit one token a step by its probability: the
 * proposals of the last forward, most probable first, are the draft of the next steps. The canvases
 * with the first 1, 2 … `depth` of them filled in are computed together with the present one; a step
 * whose canvas is among them takes that result and makes no forward. A token is committed only if the
 * decoder itself chooses it from a forward of the canvas before it, so the result is that without
 * speculation, token for token.
 *
 * "Losslessly" holds as far as a forward over several canvases gives what a forward over one gives;
 * and with a cache that is not exact it means: what the same cache gives without speculation. At
 * temperature > 0 the result is the same too, as noise belongs to a step and a position, but guesses
 * are seldom right.
 * Source: SSD (arXiv 2510.04147), greedy chain. No code was published: acceptance follows the paper's
 * description; the alternatives are the order-swapping leaves of its tree. Unlike there a draft does
 * not reach into a block of which nothing was reported yet.
 */
export function selfDraft(options: SelfDraftOptions = {}): Speculation {
  const name = 'selfDraft()';
  knownKeys(name, options, ['depth', 'alternatives']);
  const depth = integer(`${name}: depth`, options.depth ?? 4, { min: 1 });
  const alternatives = integer(`${name}: alternatives`, options.alternatives ?? 0, { min: 0 });
  const plan: Speculation = () => (state, report) => {
    const masked = new Set(state.masked);
    const ranked = [...report.position.keys()]
      .filter((i) => masked.has(report.position[i]))
      .sort((a, b) => report.probability[b] - report.probability[a])
      .map((i): Change[] => [{ position: report.position[i], token: report.token[i] }]);
    const chain = ranked.slice(0, depth);
    const leaves = chain.flatMap((_, i) =>
      ranked.slice(i + 1, i + 1 + alternatives).map((other) => [...chain.slice(0, i), other]),
    );
    return [chain, ...leaves];
  };
  return named('selfDraft', options, plan, ['speculates']);
}

/**
 * FreeDave: the draft is what the decoder itself would write in the next `depth` steps if the model
 * went on saying what it said in the last forward. So it also follows decoders that commit several
 * tokens a step, or by another score. Verification is that of `selfDraft`, and so is the guarantee;
 * the original also accepts a canvas that holds only some of a step's tokens, and then makes other
 * steps than without it: here a canvas must be the one that the step leads to.
 * Source: FreeDave (arXiv 2510.00294), `generation/core.py`.
 * @param options `depth` steps ahead, default 4
 */
export function freeDave(options: { depth?: number } = {}): Speculation {
  const name = 'freeDave()';
  knownKeys(name, options, ['depth']);
  const depth = integer(`${name}: depth`, options.depth ?? 4, { min: 1 });
  const plan: Speculation = () => async (_, __, draft) => {
    const path: Change[][] = [];
    while (path.length < depth) {
      const changes = await draft(path);
      if (changes.length === 0) break;
      path.push(changes);
    }
    return [path];
  };
  return named('freeDave', options, plan, ['speculates']);
}
