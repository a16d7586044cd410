/** The rules by which a claim counts as reproduced, on numbers made for them. */
import { expect, test } from 'vitest';
// @ts-expect-error: a script without types
import { claims as untyped } from '../../scripts/findings/claims.mjs';
import { wilson } from '../../lib/measure/interval.js';

const claims = untyped as {
  title: string;
  find: (results: object) => { verdict: string; why: string; rows: string[][] };
}[];
const claim = (title: RegExp) => claims.find((one) => title.test(one.title))!;

const score = (right: number, samples = 100) => ({
  ...{ right, samples, accuracy: right / samples, interval: wilson(right, samples) },
  ...{ tokens: 400, forwards: 400, canvases: 400, tokensPerForward: 1 },
});
const point = (task: string, value: number, right: number) => ({
  ...{ task, strategy: 'confidence', value, temperature: 0 },
  ...score(right),
});

test('parallelism hurts: all but two tasks, and only where there is something to lose', () => {
  const { find } = claim(/hurts/);
  const holds = [
    ...[point('copy', 1, 99), point('copy', 4, 98), point('sort', 1, 97), point('sort', 4, 40)],
    ...[point('latin', 1, 20), point('latin', 4, 30)], // cannot do it anyway
  ];
  expect(find({ curves: holds })).toMatchObject({ verdict: 'reproduced' });
  const other = [...holds, point('reverse', 1, 99), point('reverse', 4, 99)];
  const found = find({ curves: other });
  expect(found.verdict).toBe('not reproduced');
  expect(found.why).toContain('reverse');
  expect(find({ curves: [point('copy', 1, 3), point('copy', 4, 2)] }).verdict).toBe('not testable');
});

test('training in reverse: significant, or not', () => {
  const { find } = claim(/reverse-order/);
  expect(find({}).verdict).toBe('not testable');
  const row = (reverse: number) => [
    { task: 'sort', k: 1, reverse: score(reverse), standard: score(50) },
  ];
  expect(find({ reverse: row(80) }).verdict).toBe('reproduced');
  expect(find({ reverse: row(55) }).verdict).toBe('not reproduced');
});

test('forwards saved count only at equal accuracy, instance by instance', () => {
  const { find } = claim(/Credits/);
  // `right` of 100 instances are right, all of them take `forwards`, but for one in ten one more.
  const run = (right: number, forwards: number) => {
    const each = Array.from({ length: 100 }, (_, i) => [
      Number(i < right),
      forwards + +(i % 10 === 0),
    ]);
    const total = each.reduce((sum, [, count]) => sum + count, 0);
    return { ...score(right), forwards: total, tokensPerForward: 400 / total, each };
  };
  const verdict = (without: object, other: object) =>
    find({ credit: { without, with: other } }).verdict;
  expect(verdict(run(90, 4), run(89, 3))).toBe('reproduced');
  expect(verdict(run(90, 4), run(80, 3))).toBe('not reproduced'); // ten lost, and none gained
  expect(verdict(run(90, 4), run(90, 4))).toBe('not reproduced'); // nothing saved
  expect(verdict(run(0, 4), run(0, 3))).toBe('not testable');
});

test('votes and oscillation', () => {
  const votes = [{ task: 'sort', last: score(50), ever: score(75), vote: score(52) }];
  expect(claim(/oscillate/).find({ votes }).verdict).toBe('reproduced');
  expect(claim(/vote over time/).find({ votes }).verdict).toBe('not reproduced');
});

test('adaptive rules, small blocks, order', () => {
  const at = (strategy: string, value: number, right: number, tokensPerForward: number) => ({
    ...point('sort', value, right),
    ...{ strategy, tokensPerForward, forwards: 400 / tokensPerForward },
  });
  const fixed = [
    at('confidence', 1, 99, 1),
    at('confidence', 2, 50, 2),
    at('confidence', 4, 20, 4),
  ];
  const adaptive = claim(/Adaptive/);
  const wins = [...fixed, at('threshold', 0.9, 95, 2)];
  expect(adaptive.find({ curves: wins }).verdict).toBe('reproduced');
  const loses = [...fixed, at('confidence', 3, 94, 3), at('threshold', 0.9, 95, 2)];
  expect(adaptive.find({ curves: loses }).verdict).toBe('not reproduced');

  const byLength = { 4: score(90), 8: score(80), whole: score(60) };
  expect(claim(/Small blocks/).find({ blocks: [{ task: 'sort', byLength }] }).verdict).toBe(
    'reproduced',
  );

  const order = [0, 1].map((temperature) => ({
    ...{ strategy: 'confidence', temperature, n: 100, error: 0.01 },
    mean: temperature === 0 ? 0.8 : 0.6,
  }));
  expect(claim(/less autoregressive/).find({ order }).verdict).toBe('reproduced');
});
