/** Masking schedules against values computed by hand from their formulas. */
import { expect, test } from 'vitest';
import { alphaOf, revealRate, type Alpha } from '../../lib/decoding/index.js';

test.each<[Alpha, number[]]>([
  // at t = 0, 0.25, 0.5, 1
  ['linear', [1, 0.75, 0.5, 0]],
  ['cosine', [1, 0.6173165676, 0.2928932188, 0]],
  ['cosineNoise', [1, 0.9238795325, 0.7071067812, 0]],
  [{ kind: 'polynomial' }, [1, 0.9375, 0.75, 0]],
  [{ kind: 'polynomial', exponent: 0.5 }, [1, 0.5, 0.2928932188, 0]],
  // b = 1e-3, 5.6234e-3, 3.1623e-2, 1: with max 1 it does not reach 0
  [
    { kind: 'geometric', min: 1e-3, max: 1 },
    [0.9990004998, 0.9943923685, 0.9688719943, 0.3678794412],
  ],
])('%j', (alpha, expected) => {
  const at = alphaOf(alpha);
  [0, 0.25, 0.5, 1].forEach((t, i) => expect(at(t)).toBeCloseTo(expected[i], 9));
});

test('every schedule falls from knowing all to knowing nothing', () => {
  const all: Alpha[] = [
    'linear',
    'cosine',
    'cosineNoise',
    { kind: 'polynomial' },
    { kind: 'geometric' },
  ];
  for (const alpha of all) {
    const values = Array.from({ length: 101 }, (_, i) => alphaOf(alpha)(i / 100));
    expect(values[0]).toBeCloseTo(1, 4);
    expect(values[100]).toBeCloseTo(0, 8);
    values.slice(1).forEach((value, i) => expect(value).toBeLessThanOrEqual(values[i]));
  }
});

test('eps keeps both ends away from 1 and 0', () => {
  const at = alphaOf('linear', 1e-4);
  expect(at(0)).toBeCloseTo(1 - 1e-4, 12);
  expect(at(1)).toBeCloseTo(1e-4, 12);
  expect(at(0.5)).toBeCloseTo(0.5, 12);
});

test('the rate of revealing: linear from 1 to ½ half of the masks, then all', () => {
  expect(revealRate(0, 0.5)).toBe(0.5);
  expect(revealRate(0.5, 1)).toBe(1);
  expect(revealRate(0.25, 0.5)).toBeCloseTo(1 / 3, 12);
  expect(revealRate(1, 1)).toBe(1); // nothing is masked any more
});

test.each<[unknown, RegExp]>([
  ['log', /alpha must be one of "linear", "cosine", "cosineNoise"/],
  [{ kind: 'exponential' }, /alpha.kind must be polynomial or geometric/],
  [{ kind: 'polynomial', exponent: 0 }, /alpha: exponent/],
  [{ kind: 'polynomial', k: 2 }, /unknown option "k"/],
  [{ kind: 'geometric', min: 3, max: 2 }, /alpha: min/],
])('%j is refused', (alpha, message) => {
  expect(() => alphaOf(alpha as Alpha)).toThrow(message);
});
