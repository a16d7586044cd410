import { knownKeys, number } from '../validate.js';
import { named } from './named.js';
import { Stream, uniform } from './philox.js';
import type { Refinement } from './policy.js';

/**
 * Random initialisation: before the first step each masked position becomes a random token with
 * probability `share`, drawn uniformly from the vocabulary without MASK and the tokens that end an
 * answer. A uniform-noise model (SEDD) starts so everywhere and can change any token later; a masked
 * model was never trained on such noise and takes the tokens for text. They stay unless a policy
 * takes back or edits known tokens: `editTokens`, `wino`, `remask`.
 *
 * Source: as the critics of masked decoding describe it after SEDD (arXiv 2310.16834); for
 * experiments, not for better text. `share: 0` changes nothing.
 * @param options `share` 0 … 1, default 0.1
 */
export function randomStart(options: { share?: number } = {}): Refinement {
  const name = 'randomStart()';
  knownKeys(name, options, ['share']);
  const share = number(`${name}: share`, options.share ?? 0.1, { min: 0, max: 1 });
  const refinement: Refinement = ({ seed, vocabulary, tokens, ends }) => {
    const excluded = [...new Set([tokens.mask, ...ends])].sort((a, b) => a - b);
    const tokenAt = (position: number) => {
      const drawn = uniform(seed, 0, position, Stream.startToken);
      const rank = Math.floor(drawn * (vocabulary - excluded.length));
      return excluded.reduce((token, other) => (token >= other ? token + 1 : token), rank);
    };
    return {
      begin: (canvas) =>
        [...canvas.keys()]
          .filter((position) => canvas[position] === tokens.mask)
          .filter((position) => uniform(seed, 0, position, Stream.start) < share)
          .map((position) => ({ position, token: tokenAt(position) })),
    };
  };
  return named('randomStart', options, refinement);
}
