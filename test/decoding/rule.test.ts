import { describe, expect, test } from 'vitest';
import { philox, uniform } from '../../lib/decoding/philox.js';
import { applyRule, type Statistics } from '../../lib/decoding/rule.js';
import { native, type NativeCommit } from '../../lib/native.js';
import type { CommitRule, Select } from '../../lib/types.js';

const mask = 99;

describe('Philox4x32-10', () => {
  /** The definition in integers of any size. */
  function reference(key: [bigint, bigint], counter: bigint[]): number[] {
    let [a, b, c, d] = counter;
    let [key0, key1] = key;
    const low = 0xffffffffn;
    for (let round = 0; round < 10; round++) {
      const p0 = 0xd2511f53n * a;
      const p1 = 0xcd9e8d57n * c;
      [a, b, c, d] = [(p1 >> 32n) ^ b ^ key0, p1 & low, (p0 >> 32n) ^ d ^ key1, p0 & low];
      key0 = (key0 + 0x9e3779b9n) & low;
      key1 = (key1 + 0xbb67ae85n) & low;
    }
    return [a, b, c, d].map(Number);
  }

  test('known answers of Random123', () => {
    expect(philox(0, [0, 0, 0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    const counter = [0x243f6a88n, 0x85a308d3n, 0x13198a2en, 0x03707344n];
    expect(reference([0xa4093822n, 0x299f31d0n], counter)).toEqual([
      0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1,
    ]);
  });

  test('equals the definition for any seed and counter', () => {
    for (let i = 0; i < 500; i++) {
      const words = philox(i, [7, i, 3, 1]);
      const seed = words[0] * 0x200000 + (words[1] >>> 11); // 53 bits
      const big = BigInt(seed);
      const counter = philox(i, [8, i, 3, 1]);
      expect(philox(seed, counter)).toEqual(
        reference([big & 0xffffffffn, big >> 32n], counter.map(BigInt)),
      );
    }
  });

  test('uniform numbers are inside (0, 1), float32, and spread evenly', () => {
    const values = Array.from({ length: 4000 }, (_, i) => uniform(5, i, 3, 1));
    for (const value of values) {
      expect(value > 0 && value < 1).toBe(true);
      expect(Math.fround(value)).toBe(value);
    }
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(mean).toBeCloseTo(0.5, 1);
  });
});

/** Positions 0 … n − 1, all masked, with these probabilities. */
function commits(
  select: Select,
  probability: number[],
  entropy = probability.map(() => 0),
): number[] {
  const n = probability.length;
  const statistics = {
    position: Int32Array.from({ length: n }, (_, i) => i),
    token: Int32Array.from({ length: n }, (_, i) => 10 + i),
    probability: Float64Array.from(probability),
    margin: new Float64Array(n),
    entropy: Float64Array.from(entropy),
  };
  const score = entropy.some((h) => h > 0) ? 'negEntropy' : 'probability';
  return [...applyRule({ score, select }, new Int32Array(n).fill(mask), mask, statistics)];
}

describe('golden values', () => {
  test('threshold 0.9: two under ≥, one under >', () => {
    // 0.9 itself, as float32 on both sides
    expect(commits({ kind: 'threshold', tau: 0.9 }, [0.95, 0.9, 0.89])).toEqual([0, 1]);
    expect(commits({ kind: 'threshold', tau: 0.9, strict: true }, [0.95, 0.9, 0.89])).toEqual([0]);
  });

  test('threshold: the best one in any case', () => {
    expect(commits({ kind: 'threshold', tau: 0.9 }, [0.2, 0.5, 0.1])).toEqual([1]);
    expect(commits({ kind: 'threshold', tau: 0.9, min: 2 }, [0.2, 0.5, 0.1])).toEqual([0, 1]);
    expect(commits({ kind: 'threshold', tau: 0.9, min: 2 }, [0.95, 0.91, 0.92])).toEqual([0, 1, 2]);
  });

  test('factor 1: thresholds free, .6667, .75, .8 …', () => {
    const factor: Select = { kind: 'factor', factor: 1 };
    expect(commits(factor, [0.99, 0.9, 0.8, 0.7, 0.5])).toEqual([0, 1, 2]);
    expect(commits(factor, [0.5, 0.1])).toEqual([0]);
    expect(commits({ ...factor, literal: true }, [0.5, 0.1])).toEqual([0, 1]);
    expect(commits({ ...factor, literal: true }, [0.99, 0.9, 0.8, 0.7, 0.5])).toEqual([0, 1, 2]);
    expect(commits(factor, [0.1, 0.66, 0.67])).toEqual([2]); // rank 2 is free of nothing
    expect(commits(factor, [0.1, 0.67, 0.67])).toEqual([1, 2]);
  });

  test('entropy bound', () => {
    const h = [0.01, 0.02, 0.05, 0.3];
    const p = h.map(() => 0.5);
    expect(commits({ kind: 'entropyBound', gamma: 0.1 }, p, h)).toEqual([0, 1, 2, 3]);
    expect(commits({ kind: 'entropyBound', gamma: 0.05 }, p, h)).toEqual([0, 1, 2]);
    expect(commits({ kind: 'entropyBound', gamma: 0 }, p, h)).toEqual([0]);
  });

  test('ties go to the lower position', () => {
    expect(commits({ kind: 'topK', k: 2 }, [0.5, 0.7, 0.7, 0.7])).toEqual([1, 2]);
  });

  test('a proposed MASK uses up the quota and writes nothing', () => {
    const canvas = new Int32Array(3).fill(mask);
    const statistics = {
      position: Int32Array.of(0, 1, 2),
      token: Int32Array.of(7, mask, 8),
      probability: Float64Array.of(0.5, 0.9, 0.6),
      margin: new Float64Array(3),
      entropy: new Float64Array(3),
    };
    expect([...applyRule({ select: { kind: 'topK', k: 2 } }, canvas, mask, statistics)]).toEqual([
      2,
    ]);
    expect([...canvas]).toEqual([mask, mask, 8]);
  });
});

/** A stream of reproducible numbers. */
function numbers(seed: number) {
  let n = 0;
  const next = () => uniform(seed, n++, 0, 7);
  return {
    next,
    below: (end: number) => Math.floor(next() * end),
    chance: (p: number) => next() < p,
    pick: <T>(list: readonly T[]) => list[Math.floor(next() * list.length)],
  };
}

interface Case {
  rule: CommitRule;
  canvas: Int32Array;
  statistics: Statistics;
}

function randomSelect(random: ReturnType<typeof numbers>): Select {
  const coarse = () => random.below(9) / 8;
  switch (random.below(5)) {
    case 0:
      return { kind: 'topK', k: random.below(12) };
    case 1:
      return {
        kind: 'threshold',
        tau: random.pick([coarse(), 0.9, 0.7]),
        strict: random.chance(0.5),
        min: 1 + random.below(3),
      };
    case 2:
      return { kind: 'factor', factor: random.next() * 3, literal: random.chance(0.5) };
    case 3:
      return { kind: 'entropyBound', gamma: random.pick([0, coarse(), random.next()]) };
    default:
      return { kind: 'all' };
  }
}

function randomCase(seed: number): Case {
  const random = numbers(seed);
  const length = 1 + random.below(24);
  const grid = random.pick([4, 8, 1 << 20]); // coarse values make ties
  const value = () => Math.round(random.next() * grid) / grid;
  const canvas = Int32Array.from({ length }, () => (random.chance(0.7) ? mask : random.below(90)));
  const position = Int32Array.from(canvas.keys()).filter(() => random.chance(0.8));
  const column = (make: () => number) => Array.from(position, make);
  const begin = random.below(length + 1);
  const within = { start: begin, end: begin + random.below(length + 1 - begin) };
  return {
    canvas,
    rule: {
      score: random.pick(['probability', 'margin', 'negEntropy', 'random', 'position'] as const),
      select: randomSelect(random),
      bias: random.chance(0.4) ? Float32Array.from({ length }, () => value() - 0.5) : undefined,
      within: random.chance(0.5) ? within : undefined,
      seed: random.pick([0, seed, 2 ** 53 - 1 - seed]),
      step: random.below(1000),
    },
    statistics: {
      position,
      token: Int32Array.from(column(() => (random.chance(0.1) ? mask : random.below(90)))),
      probability: Float64Array.from(column(value)),
      margin: Float64Array.from(column(value)),
      entropy: Float64Array.from(column(() => 3 * value())),
    },
  };
}

function toNative({ rule, canvas }: Case): NativeCommit {
  const { select, within, bias } = rule;
  const fields = { k: 1, tau: 0, strict: false, min: 1, factor: 1, literal: false, gamma: 0 };
  const { kind, ...values } = select;
  return {
    ...fields,
    ...values,
    select: kind,
    score: rule.score!,
    begin: within?.start ?? 0,
    end: within?.end ?? canvas.length,
    bias: bias ?? null,
    seed: rule.seed!,
    step: rule.step!,
  };
}

test('native code and this interpreter commit the same on 10,000 random statistics', () => {
  let committed = 0;
  for (let seed = 0; seed < 10_000; seed++) {
    const given = randomCase(seed);
    const ours = given.canvas.slice();
    const theirs = given.canvas.slice();
    const expected = applyRule(given.rule, ours, mask, given.statistics);
    const actual = native().applyRule(toNative(given), theirs, mask, given.statistics);
    const where = `case ${seed}: ${JSON.stringify(given.rule)}`;
    expect([...actual], where).toEqual([...expected]);
    expect([...theirs], where).toEqual([...ours]);
    committed += expected.length;
  }
  expect(committed).toBeGreaterThan(10_000);
});
