/** How sure a share is that was counted in a sample. */

/**
 * Wilson's score interval of a share: the range of true shares that would make the counted one no
 * surprise. Unlike the normal approximation it is honest near 0 and 1.
 * Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
 *
 * @param z half-width in standard deviations; default 1.96, 95 %
 * @returns [low, high], [0, 1] for a sample of none
 */
export function wilson(right: number, samples: number, z = 1.96): [number, number] {
  if (samples === 0) return [0, 1];
  const share = right / samples;
  const scale = 1 + z ** 2 / samples;
  const centre = (share + z ** 2 / (2 * samples)) / scale;
  const spread = (share * (1 - share)) / samples + z ** 2 / (4 * samples ** 2);
  const half = (z * Math.sqrt(spread)) / scale;
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}

/** A counted share: `right` of `samples`. */
export interface Counted {
  right: number;
  samples: number;
}

/**
 * The difference of two independent shares, a − b, and its interval.
 * Source: R. G. Newcombe, "Interval estimation for the difference between independent proportions"
 * (1998), method 10, of two Wilson intervals.
 *
 * @param z as for `wilson`
 */
export function shareDifference(
  a: Counted,
  b: Counted,
  z = 1.96,
): { difference: number; interval: [number, number] } {
  const [p, q] = [a.right / a.samples, b.right / b.samples];
  const [pLow, pHigh] = wilson(a.right, a.samples, z);
  const [qLow, qHigh] = wilson(b.right, b.samples, z);
  const difference = p - q;
  const below = Math.hypot(p - pLow, qHigh - q);
  const above = Math.hypot(pHigh - p, q - qLow);
  return { difference, interval: [difference - below, difference + above] };
}
