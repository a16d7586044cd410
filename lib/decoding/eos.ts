import { named } from './named.js';
import type { Refinement } from './policy.js';

/**
 * As soon as an end of text or turn is committed, the masks behind it become end of text: later
 * forwards see an answer that ends there, and with `stopAtEos: false` they are not worked on.
 * `stopAtEos` (the default of `generate`) ends the run without it.
 * Source: d3LLM; dInfer does it when the block is full.
 */
export function fillAfterEos(): Refinement {
  const refinement: Refinement = ({ prompt, tokens, ends }) => ({
    revise: ({ canvas }, _, decided) => {
      const next = canvas.slice();
      for (const { position, token } of decided) next[position] = token;
      const end = next.findIndex((token, position) => position >= prompt && ends.has(token));
      if (end < 0) return undefined;
      const token = tokens.eos ?? next[end];
      const kept = decided.filter(({ position, token }) => position < end || token !== tokens.mask);
      const filled = [...canvas.keys()]
        .slice(end + 1)
        .filter((position) => canvas[position] === tokens.mask && next[position] === tokens.mask)
        .map((position) => ({ position, token }));
      return [...kept, ...filled];
    },
  });
  return named('fillAfterEos', {}, refinement, ['fillsEnd']);
}
