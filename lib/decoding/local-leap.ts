import { integer, knownKeys, number } from '../validate.js';
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

/**
 * LocalLeap: a threshold that is lower near confident positions. Masked positions with p ≥ kappa are
 * anchors; those at most `radius` from one are committed with p ≥ tau, the others with p ≥ kappa, and
 * the best in any case. Without an anchor it is `threshold({ tau: kappa })`.
 * Source: LocalLeap (arXiv 2510.07081); the rule as a third-party copy has it, the authors' code was
 * not at hand.
 */
export function localLeap(options: LocalLeapOptions = {}): Decoder {
  const name = 'localLeap()';
  knownKeys(name, options, ['kappa', 'tau', 'radius']);
  const kappa = number(`${name}: kappa`, options.kappa ?? 0.9, { min: 0, max: 1 });
  const tau = number(`${name}: tau`, options.tau ?? Math.min(0.75, kappa), { min: 0, max: kappa });
  const radius = integer(`${name}: radius`, options.radius ?? 4, { min: 0 });
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
