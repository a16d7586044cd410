import { integer, invalid, knownKeys, number } from '../../validate.js';
import { factsOf, named } from '../named.js';
import { Stream, uniform } from '../philox.js';
import type { CachePlan } from '../policy.js';
import { noCache } from './none.js';
import { without } from './rows.js';

export interface DpadOptions {
  /** Which of the rows that are left a forward computes. Default `noCache()`. */
  cache?: CachePlan;
  /** Standard deviations at the end of the window. Default 4. */
  sigma?: number;
  /** Factor of the density. Default 2. */
  scale?: number;
  /** Positions after the block of which some are kept. Default 256. */
  window?: number;
}

/**
 * DPad: masks far behind the block hardly matter, so most of them are left out, rows and keys. When a
 * block begins, the mask d positions after its end is kept with probability
 * scale · N(x_d; 0, 1), x_0 … x_(window − 1) going evenly from 0 to sigma, and with none beyond the
 * window. Those kept stay at their positions. The draw is a pure function of seed, block and
 * position. Works with any cache underneath.
 * Approximated: what the masks left out would have contributed.
 * Source: DPad (arXiv 2508.14148), `sampler.py`, `generate_dropout.py` (`k_sigma`, `scale`, `window`).
 */
export function dpad(options: DpadOptions = {}): CachePlan {
  const name = 'dpad()';
  knownKeys(name, options, ['cache', 'sigma', 'scale', 'window']);
  const cache = options.cache ?? noCache();
  if (typeof cache !== 'function') invalid(`${name}: cache`, cache, 'a cache, such as dualCache()');
  const sigma = number(`${name}: sigma`, options.sigma ?? 4, { min: 0 });
  const scale = number(`${name}: scale`, options.scale ?? 2, { min: 0 });
  const window = integer(`${name}: window`, options.window ?? 256, { min: 0 });

  /** Of the mask `distance` positions after the end of the block. */
  const keep = (distance: number): number => {
    if (distance >= window) return 0;
    const x = window > 1 ? (sigma * distance) / (window - 1) : 0;
    return (scale * Math.exp(-(x ** 2) / 2)) / Math.sqrt(2 * Math.PI);
  };
  const told = { ...options, ...(options.cache && { cache: factsOf(cache) }) };
  return named('dpad', told, (run) => {
    const rows = cache(run);
    const { mask } = run.tokens;
    return (state) => {
      const { block, blockForwards, canvas, range } = state;
      const dropped = new Uint8Array(canvas.length);
      for (let i = range.end; i < canvas.length; i++) {
        const kept = uniform(run.seed, block, i, Stream.suffix) < keep(i - range.end);
        dropped[i] = kept || canvas[i] !== mask ? 0 : 1; // a template may know what follows
      }
      // Rows that an earlier block left out may have no keys yet.
      const fresh = blockForwards === 0 ? { start: range.start, end: canvas.length } : undefined;
      return without(rows(state), dropped, fresh);
    };
  });
}
