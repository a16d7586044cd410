import { number } from '../validate.js';
import { readFields, share } from './fields.js';
import { named } from './named.js';
import type { Decoder } from './policy.js';
import { selected } from './scores.js';

export interface LocalLeapOptions {
  /** Confidence that makes a position an anchor, and that suffices anywhere. Default 0.9. */
  kappa?: number;
  /** Confidence that suffices near an anchor; at most `kappa`. Default 0.75. */
  tau?: number;
  /** How far from an anchor that is, in positions. Default 4. */
  radius?: number;
}

export const localLeapFields = {
  kappa: share(0.9, 'confidence that makes an anchor, and suffices anywhere'),
  tau: {
    ...({ type: 'number', minimum: 0, maximum: 1 } as const),
    description: 'confidence that suffices near an anchor; 0.75, or kappa if that is less',
  },
  radius: {
    ...({ type: 'integer', default: 4, minimum: 0 } as const),
    description: 'how far from an anchor that is, in positions',
  },
} as const;

/**
 * LocalLeap: a threshold that is lower near confident positions. Masked positions with p ≥ kappa are
 * anchors; those at most `radius` from one are committed with p ≥ tau, the others with p ≥ kappa, and
 * the best in any case. Without an anchor it is `threshold({ tau: kappa })`.
 * Source: LocalLeap (arXiv 2510.07081); the rule as a third-party copy has it, the authors' code was
 * not at hand.
 */
export function localLeap(options: LocalLeapOptions = {}): Decoder {
  const name = 'localLeap()';
  const { kappa, radius } = readFields(name, localLeapFields, options);
  const tau = number(`${name}: tau`, options.tau ?? Math.min(0.75, kappa), { min: 0, max: kappa });
  const decoder: Decoder = ({ tokens }) => {
    return (state) => ({
      choose: (report) => {
        const { position, token, probability } = report;
        const anchors = position.filter((_, i) => probability[i] >= kappa);
        if (anchors.length === 0) {
          return selected({ select: { kind: 'topK', k: 1 } }, state, tokens.mask, report);
        }
        const near = (at: number) => anchors.some((anchor) => Math.abs(anchor - at) <= radius);
        return [...position.keys()]
          .filter((i) => probability[i] >= (near(position[i]) ? tau : kappa))
          .map((i) => ({ position: position[i], token: token[i] }));
      },
    });
  };
  return named('localLeap', options, decoder);
}
