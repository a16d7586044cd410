/** Looks on while a generation runs: what the model thinks of positions that are still masked. */
import { named } from '../decoding/named.js';
import type { Refinement } from '../decoding/policy.js';

/** Of one canvas position, when it was last reported. */
export interface Seen {
  probability: number;
  /** The most probable tokens, first the most probable; empty unless asked for. */
  top: { token: number; probability: number }[];
}

/**
 * A refinement that changes nothing, and what it sees by canvas position. Positions must stay where
 * they are.
 * @param k most probable tokens to keep of each
 */
export function observer(k: number): { refinement: Refinement; seen: Map<number, Seen> } {
  const seen = new Map<number, Seen>();
  const refinement: Refinement = () => ({
    ask: ({ masked }) => ({ query: masked, ...(k > 0 && { topK: k }) }),
    revise: (_, { position, probability, top }) => {
      position.forEach((at, i) => {
        const list = Array.from({ length: top?.k ?? 0 }, (_, j) => ({
          token: top!.token[i * k + j],
          probability: top!.probability[i * k + j],
        }));
        seen.set(at, { probability: probability[i], top: list });
      });
      return undefined;
    },
  });
  return { refinement: named('observe', { k }, refinement), seen };
}
