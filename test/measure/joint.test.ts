import { describe, expect, test } from 'vitest';
import { jointBounds, jointCommits, summariseJoint } from '../../lib/measure/joint.js';
import { printedPerplexity, zipf } from '../../lib/measure/zipf.js';
import { Random } from '../../lib/gguf/random.js';
import type { TraceStep } from '../../lib/trace.js';

describe('bounds on a joint probability', () => {
  test('of the toy experiment', () => {
    const { n, upper, independent, lower, perplexity } = jointBounds([0.55, 0.69]);
    expect([n, upper]).toEqual([2, 0.55]);
    expect(independent).toBeCloseTo(0.3795, 12);
    expect(lower).toBeCloseTo(0.24, 12);
    expect(perplexity).toBeCloseTo(0.3795 ** -0.5, 12);
  });

  test('they hold for random joint distributions of three pairs, and are in order', () => {
    const random = new Random(3);
    for (let trial = 0; trial < 200; trial++) {
      const weights = Array.from({ length: 8 }, () => random.uniform() ** 4);
      const total = weights.reduce((a, b) => a + b);
      const marginal = (bit: number) =>
        weights.reduce((sum, w, i) => sum + ((i >> bit) & 1 ? w / total : 0), 0);
      const joint = weights[7] / total;
      const { upper, independent, lower } = jointBounds([0, 1, 2].map(marginal));
      expect(joint).toBeLessThanOrEqual(upper + 1e-12);
      expect(joint).toBeGreaterThanOrEqual(lower - 1e-12);
      expect(independent).toBeLessThanOrEqual(upper);
      expect(independent).toBeGreaterThanOrEqual(lower);
    }
  });

  test('nothing, and what is no probability', () => {
    expect(() => jointBounds([])).toThrow(/number of probabilities must be a number of at least 1/);
    expect(() => jointBounds([1.5])).toThrow(/p\[0\] must be a number from 0 to 1/);
  });

  test('of a trace: steps without proposals are left out, means by number of tokens', () => {
    const step = (number: number, p: number[]): TraceStep => ({
      ...{ step: number, block: 0, forwards: 1, canvases: 1, rows: 1, refresh: true, stable: 0 },
      committed: p.map((probability, i) => [i, 5, probability]),
    });
    const commits = jointCommits([
      step(0, [0.5, 0.8]),
      step(1, []),
      step(2, [NaN]),
      step(3, [0.25, NaN]),
      step(4, [1, 0.1]),
    ]);
    expect(commits.map(({ step, n }) => [step, n])).toEqual([
      [0, 2],
      [3, 1],
      [4, 2],
    ]);
    const [one, two] = summariseJoint(commits);
    expect([one.steps, one.upper, one.perplexity]).toEqual([1, 0.25, 4]);
    expect(two).toMatchObject({ n: 2, steps: 2 });
    expect(two.upper).toBeCloseTo(0.3, 12);
    expect(two.independent).toBeCloseTo(0.25, 12);
    expect(two.lower).toBeCloseTo(0.2, 12);
    expect(two.perplexity).toBeCloseTo((0.4 * 0.1) ** -0.25, 12);
  });
});

describe("Zipf's law", () => {
  const law = zipf(1.05, 150_000);

  test('perplexity of n parallel samples', () => {
    const expected = [9.56, 13.045, 14.701, 15.617, 16.194, 16.59, 16.879, 17.1];
    const own = expected.map((_, i) => Number(law.perplexity(i + 1).toFixed(3)));
    expect(own).toEqual(expected);
    // What the paper prints does not follow from its formula: all of it is 1 to 3 % above.
    printedPerplexity.forEach((printed, i) => {
      expect(printed / own[i]).toBeGreaterThan(1.01);
      expect(printed / own[i]).toBeLessThan(1.031);
    });
  });

  test('probabilities add up, the bound falls to its limit', () => {
    const { omega1, omega2, delta, limit } = zipf(1, 3);
    expect(omega1).toBeCloseTo(6 / 11, 12);
    expect(omega2).toBeCloseTo(3 / 11, 12);
    expect(delta).toBeCloseTo(3 / 11, 12);
    expect(limit).toBeCloseTo(3 / 8, 12);
    expect(zipf(1, 3).bound(1)).toBe(omega1);
    expect(zipf(1, 3).bound(2)).toBeCloseTo(delta * omega1 + omega2, 12);
    expect(law.bound(60)).toBeCloseTo(law.limit, 15);
    for (let n = 1; n < 12; n++) expect(law.bound(n + 1)).toBeLessThanOrEqual(law.bound(n));
  });

  test('the largest n under a perplexity', () => {
    expect([9, 10, 14, 16.2, 17.1].map((most) => law.largest(most))).toEqual([0, 1, 2, 5, 8]);
    expect(law.largest(1 / law.limit)).toBe(Infinity);
  });

  test('bad arguments', () => {
    expect(() => zipf(-1)).toThrow(/s must be a number from 0 to 4/);
    expect(() => zipf(1, 1)).toThrow(/vocabulary must be an integer from 2/);
    expect(() => law.bound(0)).toThrow(/n must be an integer of at least 1/);
  });
});
