import { invalid, knownKeys, number, oneOf } from '../validate.js';

/**
 * A masking schedule α: at time t a position is known with probability α(t), which falls from 1 at
 * t = 0 (the finished text) to 0 at t = 1 (nothing but masks). Generation goes from t = 1 to t = 0.
 *
 * | Schedule                                       | α(t)                            | Source |
 * | ---------------------------------------------- | ------------------------------- | ------ |
 * | `'linear'`                                     | 1 − t                           | MD4; MDLM (log-linear) |
 * | `'cosine'`                                     | 1 − cos(π/2 · (1 − t))          | MD4 |
 * | `'cosineNoise'`                                | cos(π/2 · t)                    | MDLM, cosine noise |
 * | `{ kind: 'polynomial', exponent }`             | 1 − t^exponent                  | MD4 |
 * | `{ kind: 'geometric', min, max }`              | exp(−min^(1 − t) · max^t)       | MD4 (paper); MDLM |
 *
 * `exponent` > 0, default 2. `min` default 1e-5, `max` default 20: with a `max` below about 10 the
 * schedule does not begin with nothing but masks, as α(1) = exp(−max). MD4's released code lacks the
 * geometric one; its paper's constants could not be verified, so these are ours.
 *
 * Sources: MDLM (arXiv 2406.07524), `noise_schedule.py`; MD4 (arXiv 2406.04329), `md4.py`.
 */
export type Alpha =
  | 'linear'
  | 'cosine'
  | 'cosineNoise'
  | { kind: 'polynomial'; exponent?: number }
  | { kind: 'geometric'; min?: number; max?: number };

/**
 * α as a function of t in 0 … 1. Throws `INVALID_ARGUMENT`.
 * @param eps α is squeezed into `eps` … 1 − `eps`, as (1 − 2·eps)·α + eps. Default 0; MD4: 1e-4
 */
export function alphaOf(alpha: Alpha, eps = 0): (t: number) => number {
  const margin = number('alpha: eps', eps, { min: 0, max: 0.5 });
  const exact = exactAlpha(alpha);
  return (t) => (1 - 2 * margin) * exact(t) + margin;
}

function exactAlpha(alpha: Alpha): (t: number) => number {
  if (typeof alpha !== 'object') {
    switch (oneOf('alpha', alpha, ['linear', 'cosine', 'cosineNoise'])) {
      case 'linear':
        return (t) => 1 - t;
      case 'cosine':
        return (t) => 1 - Math.cos((Math.PI / 2) * (1 - t));
      case 'cosineNoise':
        return (t) => Math.cos((Math.PI / 2) * t);
    }
  }
  switch (alpha.kind) {
    case 'polynomial': {
      knownKeys('alpha', alpha, ['kind', 'exponent']);
      const exponent = number('alpha: exponent', alpha.exponent ?? 2, { min: 1e-3, max: 1e3 });
      return (t) => 1 - t ** exponent;
    }
    case 'geometric': {
      knownKeys('alpha', alpha, ['kind', 'min', 'max']);
      const max = number('alpha: max', alpha.max ?? 20, { min: 1e-12, max: 1e6 });
      const min = number('alpha: min', alpha.min ?? 1e-5, { min: 1e-12, max });
      return (t) => Math.exp(-(min ** (1 - t)) * max ** t);
    }
    default:
      return invalid('alpha.kind', (alpha as { kind: unknown }).kind, 'polynomial or geometric');
  }
}

/**
 * The probability that a position masked at time t is known at the earlier time s < t:
 * (α_s − α_t) / (1 − α_t).
 */
export function revealRate(alphaT: number, alphaS: number): number {
  return alphaT >= 1 ? 1 : (alphaS - alphaT) / (1 - alphaT);
}
