/**
 * ParallelBench's closed forms (arXiv 2510.04767) for a model that knows the exact marginals, through
 * the decoders of the library. |z| ≤ 4: with the fixed seeds here a right decoder passes always, and a
 * wrong one that is off by four standard errors fails.
 */
import { expect, test } from 'vitest';
import { threshold, topK, wholeAnswer } from '../../lib/decoding/index.js';
import { generate } from '../../lib/generate.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { taskInstance, type TaskName } from '../../lib/tasks/index.js';
import { Oracle } from '../../lib/tasks/oracle.js';

/** Shares of right answers, over instances (greedy) or seeds (sampled). */
async function accuracy(
  task: TaskName,
  n: number,
  options: GenerateOptions,
  { instances = 1, seeds = 1 }: { instances?: number; seeds?: number },
): Promise<number> {
  let right = 0;
  for (let index = 0; index < instances; index++) {
    const instance = taskInstance(task, { n, index });
    const oracle = new Oracle(instance);
    const maxTokens = instance.answer.split(' ').length;
    for (let seed = 0; seed < seeds; seed++) {
      const all = { maxTokens, blocks: wholeAnswer(), stopAtEos: false, seed, ...options };
      const { tokens } = await generate(oracle, oracle.prompt, all).result;
      if (instance.check(oracle.decode(tokens))) right++;
    }
  }
  return right / (instances * seeds);
}

function expectShare(measured: number, p: number, samples: number): void {
  const z = (measured - p) / Math.sqrt((p * (1 - p)) / samples);
  expect(Math.abs(z), `${measured} for ${p} in ${samples}`).toBeLessThanOrEqual(4);
}

const factorial = (n: number): number => (n <= 1 ? 1 : n * factorial(n - 1));

/** Π P(m, k) / m^k, where m names are left before each step. */
function shuffled(n: number, k: number): number {
  let p = 1;
  for (let m = n; m > 0; m -= k) {
    for (let i = 0; i < Math.min(k, m); i++) p *= (m - i) / m;
  }
  return p;
}

test.each([
  [4, 2, 0.375],
  [6, 2, 0.3125],
  [8, 2, 0.2734375],
  [4, 4, factorial(4) / 4 ** 4],
  [6, 6, factorial(6) / 6 ** 6],
  [8, 8, factorial(8) / 8 ** 8],
  [6, 3, (6 * 5 * 4 * 6) / (6 ** 3 * 3 ** 3)],
])('shuffle of %i names, %i at once: %f', async (n, k, p) => {
  expect(shuffled(n, k)).toBeCloseTo(p, 12);
  const seeds = 500;
  for (const score of n === 8 ? (['probability'] as const) : (['probability', 'random'] as const)) {
    const options = { decode: topK({ k, score }), temperature: 1 };
    expectShare(await accuracy('shuffle', n, options, { seeds }), p, seeds);
  }
});

test('shuffle one by one, or above a threshold of a half: always right', async () => {
  for (const decode of [topK(), threshold({ tau: 0.51 })]) {
    expect(await accuracy('shuffle', 5, { decode, temperature: 1 }, { seeds: 50 })).toBe(1);
  }
});

test('replace random, the k surest: 1, a half, 0', async () => {
  const greedy = (n: number, k: number, instances: number) =>
    accuracy('replace-random', n, { decode: topK({ k }) }, { instances });
  for (const n of [4, 6, 8]) {
    expect(await greedy(n, 1, 40)).toBe(1);
    expectShare(await greedy(n, 2, 200), 0.5, 200);
    expect(await greedy(n, n / 2 > 2 ? n / 2 : n, 40)).toBe(0);
    expect(await greedy(n, n, 40)).toBe(0);
  }
});

test.each([4, 5, 8])(
  'replace random of %i: right if and only if tau is above (n − 1) / n',
  async (n) => {
    const at = (tau: number) =>
      accuracy('replace-random', n, { decode: threshold({ tau }) }, { instances: 30 });
    expect(await at((n - 1) / n + 1e-3)).toBe(1);
    expect(await at((n - 1) / n - 1e-3)).toBe(0);
  },
);

test('replace random in one step of sampling: ((n − 1) / n)^(n − 1)', async () => {
  const options = { decode: topK({ k: 8 }), temperature: 1 };
  for (const n of [4, 6, 8]) {
    const measured = await accuracy('replace-random', n, options, { seeds: 500 });
    expectShare(measured, ((n - 1) / n) ** (n - 1), 500);
  }
});

test.each(['copy', 'reverse', 'sort', 'replace-index', 'sudoku-4'] as const)(
  '%s has one right answer: right however many at once',
  async (task) => {
    const { size } = { size: task === 'sudoku-4' ? 8 : 6 };
    for (const k of [1, 2, 36]) {
      const options = { decode: topK({ k }), temperature: 1 };
      expect(await accuracy(task, size, options, { instances: 5 })).toBe(1);
    }
  },
);

test('every task one by one, sampled: always right', async () => {
  for (const task of ['insert-random', 'remove-random', 'sentence', 'latin'] as const) {
    const n = task === 'sentence' ? 7 : 4;
    for (const score of ['probability', 'random', 'position'] as const) {
      const options = { decode: topK({ score }), temperature: 1 };
      expect(await accuracy(task, n, options, { instances: 3, seeds: 3 })).toBe(1);
    }
  }
});
