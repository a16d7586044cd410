import { integer, knownKeys, number, oneOf } from '../validate.js';
import { alphaOf, revealRate, type Alpha } from './alpha.js';
import { named } from './named.js';
import { Stream, uniform } from './philox.js';
import type { Decision, Decoder, RunFacts, StepState } from './policy.js';
import { stepsPerBlock } from './schedule.js';

export interface AncestralOptions {
  /** Which share is known at which time. Default `'linear'`. */
  alpha?: Alpha;
  /** Keeps α inside `eps` … 1 − `eps`. Default 0; MD4: 1e-4. */
  eps?: number;
  /** Times evenly spaced, or t → cos(π/2 · (1 − t)), denser at the end of the answer's making. Default `'uniform'`. */
  grid?: 'uniform' | 'cosine';
  /** The last time. Default 1e-5, as in MDLM. */
  end?: number;
  /**
   * Sampling steps of the run, shared among the blocks, each of which then has one step more for what
   * is left. Default: the generate option `steps`, which counts these too, else one per position.
   */
  steps?: number;
}

/**
 * Ancestral sampling of a masked diffusion process: from time t to s < t every masked position gets a
 * token with probability (α_s − α_t) / (1 − α_t), each by itself and whatever the model thinks of it;
 * the token is drawn from the model's distribution without MASK. At the end what is left gets its most
 * probable token.
 *
 * Exact in law for temperature 1 (the generate option; 0 draws only the places). The originals draw
 * place and token at once, or reuse the distribution of a step that changed nothing; here a step that
 * changes nothing costs no forward, which is the same in law. Gumbel noise is not truncated as in the
 * float32 sampling of the original.
 *
 * MDLM: `alpha: 'linear'`, 128 steps. MD4: `eps: 1e-4, grid: 'cosine', end: 0`, 1000 steps, `topP`
 * 0.98 in one variant.
 * Source: MDLM (arXiv 2406.07524), `diffusion.py`, `ddpm_cache`; MD4 (arXiv 2406.04329), `md4.py`.
 */
export function ancestral(options: AncestralOptions = {}): Decoder {
  const name = 'ancestral()';
  knownKeys(name, options, ['alpha', 'eps', 'grid', 'end', 'steps']);
  const at = alphaOf(options.alpha ?? 'linear', options.eps ?? 0);
  const grid = oneOf(`${name}: grid`, options.grid ?? 'uniform', ['uniform', 'cosine']);
  const end = number(`${name}: end`, options.end ?? 1e-5, { min: 0, max: 0.5 });
  const { steps } = options;
  if (steps !== undefined) integer(`${name}: steps`, steps, { min: 1 });
  const decoder: Decoder = (run) => {
    const planned = stepsPerBlock(run, name, steps && steps + run.blocks.length);
    return (state) => {
      const { block, blockStep, blockMasks } = state;
      const sampling = (planned?.[block] ?? blockMasks + 1) - 1;
      if (blockStep > sampling) return undefined;
      if (blockStep === sampling) return removal(run);
      const time = (i: number) => {
        const t = 1 - (i / sampling) * (1 - end);
        return at(grid === 'cosine' ? Math.cos((Math.PI / 2) * (1 - t)) : t);
      };
      return transition(run, state, revealRate(time(blockStep), time(blockStep + 1)));
    };
  };
  return named('ancestral', options, decoder, ['scheduled']);
}

function transition({ seed, tokens }: RunFacts, state: StepState, rate: number): Decision {
  const query = state.masked.filter(
    (position) => uniform(seed, state.step, position, Stream.transfer) < rate,
  );
  if (query.length === 0) return {};
  const suppress = Int32Array.of(tokens.mask); // out of the softmax too
  return { request: { query, suppress }, commit: { select: { kind: 'all' } } };
}

/** The most probable token whatever the temperature. */
function removal({ tokens }: RunFacts): Decision {
  return {
    request: { suppress: Int32Array.of(tokens.mask), topK: 1 },
    choose: ({ position, top }) =>
      Array.from(position, (at, i) => ({ position: at, token: top!.token[i] })),
  };
}
