/** Looks on while a generation runs: what the model thinks of positions that are still masked. */
import { named } from '../decoding/named.js';
import type { Refinement } from '../decoding/policy.js';

/** Of one canvas position, when it was last reported. */
export interface Seen {
  probability: number;
  /** Nats. */
  entropy: number;
  /** Of the most probable token over the second. */
  margin: number;
  /** The most probable tokens, first the most probable; empty unless asked for. */
  top: { token: number; probability: number }[];
}

/**
 * A refinement that changes nothing, and what it sees by canvas position. Positions must stay where
 * they are.
 * @param k most probable tokens to keep of each, in the active block
 * @param ahead look at all masked positions of the canvas, not only at those of the active block
 */
export function observer(
  k: number,
  ahead = false,
): { refinement: Refinement; seen: Map<number, Seen> } {
  const seen = new Map<number, Seen>();
  const refinement: Refinement = ({ prompt, tokens: { mask } }) => ({
    ask: ({ masked, canvas }) => ({
      query: ahead ? masks(canvas, prompt, mask) : masked,
      ...(k > 0 && { topK: k }),
    }),
    revise: ({ range }, { position, probability, entropy, margin, top }) => {
      position.forEach((at, i) => {
        const near = at >= range.start && at < range.end;
        const list = Array.from({ length: near ? (top?.k ?? 0) : 0 }, (_, j) => ({
          token: top!.token[i * k + j],
          probability: top!.probability[i * k + j],
        }));
        seen.set(at, {
          ...{ probability: probability[i], entropy: entropy[i], margin: margin[i] },
          top: list,
        });
      });
      return undefined;
    },
  });
  return { refinement: named('observe', { k }, refinement), seen };
}

function masks(canvas: Int32Array, from: number, mask: number): Int32Array {
  const found: number[] = [];
  for (let i = from; i < canvas.length; i++) if (canvas[i] === mask) found.push(i);
  return Int32Array.from(found);
}
