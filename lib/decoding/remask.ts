import { integer, knownKeys, number } from '../validate.js';
import type { StepResult } from '../types.js';
import { named } from './named.js';
import type { Change, Refinement } from './policy.js';

export interface RemaskOptions {
  /** Tokens taken back in a round, at least 1. Default 1. */
  k?: number;
  /** Rounds for each block, at least 1. Default 1. */
  rounds?: number;
  /** The first round is in the step that brings the block to this share of known masks. Default 7/8. */
  after?: number;
  /** Only tokens committed with a probability below this are taken back, 0 … 1. Default 1. */
  below?: number;
}

/**
 * Low-confidence remasking that takes tokens back: when the share `after` of the positions that were
 * masked as the block began is known, each of the next `rounds` steps turns the `k` tokens that were
 * committed with the lowest probability into masks again, ties to the lower position. The decoder
 * commits them anew, now with the rest of the block around them. The most probable token of the
 * step itself is spared, so that no round leaves the canvas as it was.
 *
 * A block takes at most k · rounds forwards more. For decoders without a schedule: one that shares
 * out its steps in advance (`lowConfidence`) has none left for what comes back, and is refused.
 * Source: ParallelBench (arXiv 2510.04767), which inserts revision steps at 7/8 of a block that
 * remask the one token of lowest stored confidence; it found no improvement over greedy decoding.
 * LLaDA's own "remasking" takes nothing back: it names what is left masked.
 */
export function remask(options: RemaskOptions = {}): Refinement {
  const name = 'remask()';
  knownKeys(name, options, ['k', 'rounds', 'after', 'below']);
  const k = integer(`${name}: k`, options.k ?? 1, { min: 1 });
  const rounds = integer(`${name}: rounds`, options.rounds ?? 1, { min: 1 });
  const after = number(`${name}: after`, options.after ?? 7 / 8, { min: 0, max: 1 });
  const below = number(`${name}: below`, options.below ?? 1, { min: 0, max: 1 });
  const refinement: Refinement = ({ tokens }) => {
    let memory = { block: -1, rounds: 0, stored: new Map<number, number>() };
    return {
      ask: ({ masked }) => ({ query: masked }),
      revise: ({ block, blockMasks, masked, canvas }, report, decided) => {
        if (memory.block !== block) memory = { block, rounds: 0, stored: new Map() };
        const { stored } = memory;
        const committed = confidences(decided, report);
        for (const [position, p] of committed) stored.set(position, p);
        const settled = blockMasks - masked.length + committed.size;
        if (memory.rounds === rounds || settled < after * blockMasks) return undefined;
        const spared = [...committed].reduce((a, b) => (b[1] > a[1] ? b : a), [-1, -1])[0];
        const others = new Set(decided.map(({ position }) => position));
        const known = (position: number) =>
          committed.has(position) || (canvas[position] !== tokens.mask && !others.has(position));
        const back = [...stored]
          .filter(([position, p]) => position !== spared && p < below && known(position))
          .sort(([a, p], [b, q]) => p - q || a - b)
          .slice(0, k)
          .map(([position]) => position);
        if (back.length === 0) return undefined;
        memory.rounds++;
        for (const position of back) stored.delete(position);
        return [
          ...decided.filter(({ position }) => !back.includes(position)),
          ...back
            .filter((position) => !committed.has(position))
            .map((position) => ({ position, token: tokens.mask })),
        ];
      },
    };
  };
  return named('remask', options, refinement, ['revises', 'remasks', 'remembers', 'tracks']);
}

/** Probability of each proposal that was committed. */
function confidences(
  decided: readonly Change[],
  { position, token, probability }: StepResult,
): Map<number, number> {
  const written = new Map(decided.map((change) => [change.position, change.token]));
  return new Map(
    [...position].flatMap((place, i): [number, number][] =>
      written.get(place) === token[i] ? [[place, probability[i]]] : [],
    ),
  );
}
