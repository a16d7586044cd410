import { integer, knownKeys } from '../validate.js';
import { named } from './named.js';
import type { LengthPlan } from './policy.js';

/** `maxTokens` masks from the beginning. Source: LLaDA, Dream, Fast-dLLM. */
export function fixedLength(): LengthPlan {
  return named('fixedLength', {}, () => ({}));
}

/**
 * Starts short, and whenever every position is known and none ends the answer, appends more masks,
 * up to `maxTokens`. With blocks of the same size it is the semi-autoregressive generation of LLaDA:
 * block after block until end of text.
 * Source: LLaDA (arXiv 2502.09992), semi-autoregressive sampling; SDAR, LLaDA2.0.
 * @param options `initial` positions at first, default 32; `by` how many to append, default `initial`
 */
export function growUntilEos(options: { initial?: number; by?: number } = {}): LengthPlan {
  const name = 'growUntilEos()';
  knownKeys(name, options, ['initial', 'by']);
  const initial = integer(`${name}: initial`, options.initial ?? 32, { min: 1 });
  const by = integer(`${name}: by`, options.by ?? initial, { min: 1 });
  return named(
    'growUntilEos',
    options,
    ({ prompt, length, tokens }) => ({
      initial: Math.min(initial, length - prompt),
      extend: (canvas) => {
        const room = Math.min(by, length - canvas.length);
        if (room === 0) return undefined;
        return { at: canvas.length, remove: 0, tokens: new Array<number>(room).fill(tokens.mask) };
      },
    }),
    ['grows'],
  );
}
