/** How many tokens a step commits, and ancestral sampling. */
import { describe, expect, test } from 'vitest';
import {
  ancestral,
  blocks,
  lowConfidence,
  randomOrder,
  type Alpha,
  type CommitSchedule,
} from '../../lib/decoding/index.js';
import { Stream, uniform } from '../../lib/decoding/philox.js';
import { commitCounts } from '../../lib/decoding/schedule.js';
import { confident, FakeModel, mask } from './fake.js';
import { decoded, prompt } from './scripted.js';

const counts = (schedule: CommitSchedule, total: number, steps: number) =>
  Array.from({ length: steps }, (_, i) => commitCounts(schedule)(total, steps, i));

describe('counts', () => {
  test.each<[CommitSchedule, number, number, number[]]>([
    ['even', 7, 3, [3, 2, 2]],
    ['even', 3, 5, [1, 1, 1, 0, 0]],
    // 32 · (1 − cos πu)/2 = 1.2, 4.7, 9.9, 16, 22.1, 27.3, 30.8, 32
    ['dilated', 32, 8, [1, 4, 5, 6, 6, 5, 4, 1]],
    // 3.5, 10 at thirds: 2.5 rounds up, 7.5 too
    ['dilated', 10, 3, [3, 5, 2]],
    ['linear', 10, 4, [3, 2, 3, 2]], // 2.5, 5, 7.5, 10
    // MaskGIT: 16 · (1 − cos πu/2) = 1.2, 4.7, 9.9, 16
    ['cosine', 16, 4, [1, 4, 5, 6]],
    // 16 · (1 − (1 − u)²) = 7, 12, 15, 16
    [{ kind: 'polynomial' }, 16, 4, [7, 5, 3, 1]],
    [{ kind: 'geometric' }, 1, 1, [1]],
    ['dilated', 0, 2, [0, 0]],
  ])('%j, %i tokens in %i steps', (schedule, total, steps, expected) => {
    expect(counts(schedule, total, steps)).toEqual(expected);
  });

  test('all steps together commit everything, none less than nothing', () => {
    const all: Alpha[] = ['linear', 'cosine', 'cosineNoise', { kind: 'geometric', max: 1 }];
    for (const schedule of [
      'even',
      'dilated',
      ...all,
      { kind: 'polynomial', exponent: 3 },
    ] as const) {
      for (let total = 0; total < 40; total += 3) {
        for (let steps = 1; steps < 40; steps += 4) {
          const each = counts(schedule, total, steps);
          expect(each.reduce((a, b) => a + b, 0)).toBe(total);
          expect(Math.min(...each)).toBeGreaterThanOrEqual(0);
        }
      }
    }
  });

  test('a decoder with a schedule follows it in every block; empty steps make no forward', async () => {
    const decode = lowConfidence({ schedule: 'dilated', steps: 12 });
    const result = await decoded(new FakeModel(), { decode, maxTokens: 20, blocks: blocks(10) });
    // 10 · (1 − cos πi/6)/2 = .67, 2.5, 5, 7.5, 9.33, 10
    expect(result.counts.commits).toEqual([1, 2, 2, 3, 1, 1, 1, 2, 2, 3, 1, 1]);
    const sparse = randomOrder({ schedule: 'dilated', steps: 10 });
    const { counts: done, forwards } = await decoded(new FakeModel(), {
      decode: sparse,
      maxTokens: 10,
    });
    // .24, .95, 2.06, 3.45, 5, …
    expect(done.commits).toEqual([0, 1, 1, 1, 2, 2, 1, 1, 1]);
    expect(forwards).toBe(8);
  });

  test('a misspelt schedule is refused', () => {
    expect(() => lowConfidence({ schedule: 'diluted' as never })).toThrow(/alpha must be one of/);
  });
});

describe('ancestral', () => {
  const linear = (i: number, steps: number) => {
    const t = (j: number) => 1 - (j / steps) * (1 - 1e-5);
    return (t(i) - t(i + 1)) / t(i);
  };

  test('every mask gets its token with probability (α_s − α_t)/(1 − α_t), whatever its confidence', async () => {
    const model = new FakeModel();
    const decode = ancestral({ steps: 4 });
    const { order, canvas } = await decoded(model, {
      decode,
      maxTokens: 60,
      seed: 5,
      temperature: 1,
    });
    let open = Array.from({ length: 60 }, (_, i) => i + prompt.length);
    for (let step = 0; step < 4; step++) {
      const due = open.filter((at) => uniform(5, step, at, Stream.transfer) < linear(step, 4));
      expect(order[step]).toEqual(due);
      expect([...model.requests[step].query]).toEqual(due);
      open = open.filter((at) => !due.includes(at));
    }
    expect(canvas).not.toContain(mask);
    // MASK is out of the softmax, not only never proposed
    expect([...model.requests[0].suppress!]).toEqual([mask]);
  });

  test('in the mean the share known at a time is α', async () => {
    const known = [0, 0, 0];
    const runs = 60;
    for (let seed = 0; seed < runs; seed++) {
      const decode = ancestral({ steps: 3, alpha: { kind: 'polynomial' } });
      const { counts } = await decoded(new FakeModel(), { decode, maxTokens: 30, seed });
      counts.commits.slice(0, 3).forEach((n, i) => (known[i] += n / runs / 30));
    }
    // α(⅔) = 5/9, α(⅓) = 8/9, 1
    expect(known[0]).toBeCloseTo(5 / 9, 1);
    expect(known[0] + known[1]).toBeCloseTo(8 / 9, 1);
    expect(known[0] + known[1] + known[2]).toBeCloseTo(1, 2);
  });

  test('what is left at the end gets its most probable token, also at a temperature', async () => {
    // ends at ½: half of the masks are left for the last pass
    const model = new FakeModel((position) => confident(position % 10, 0.3));
    const decode = ancestral({ end: 0.5, steps: 1 });
    const { trace, counts } = await decoded(model, { decode, maxTokens: 40, temperature: 3 });
    expect(counts.commits.length).toBe(2);
    expect(counts.commits[0]).toBeGreaterThan(8);
    expect(counts.commits[1]).toBeGreaterThan(8);
    const right = (step: number) =>
      trace[step].committed.filter(([position, token]) => token === position % 10).length;
    expect(right(1)).toBe(counts.commits[1]);
    expect(right(0)).toBeLessThan(counts.commits[0]);
  });

  test('a step that reveals nothing makes no forward', async () => {
    const decode = ancestral({ steps: 200 });
    const { forwards, steps, counts } = await decoded(new FakeModel(), { decode, maxTokens: 10 });
    expect(steps).toBeGreaterThan(forwards);
    expect(counts.commits.filter((n) => n > 0).length).toBe(forwards);
  });

  test('cosine grid: 1 − cos(π/2 · i/S) is revealed by step i of a linear schedule', async () => {
    const decode = ancestral({ grid: 'cosine', end: 0, steps: 2, eps: 1e-4 });
    const model = new FakeModel();
    const { order } = await decoded(model, { decode, maxTokens: 200, seed: 2 });
    const rate = 1 - Math.SQRT1_2; // t from 1 to cos(π/4)
    const due = Array.from({ length: 200 }, (_, i) => i + prompt.length).filter(
      (at) => uniform(2, 0, at, Stream.transfer) < (rate * (1 - 2e-4)) / (1 - 1e-4),
    );
    expect(order[0]).toEqual(due);
  });

  test('steps: shared among the blocks, with one more each; within the limit of the run', async () => {
    const all = { maxTokens: 20, blocks: blocks(10) };
    const own = await decoded(new FakeModel(), { decode: ancestral({ steps: 6 }), ...all });
    expect(own.steps).toBeLessThanOrEqual(8);
    expect(own.canvas).not.toContain(mask);
    for (const steps of [2, 5, 9]) {
      const limited = await decoded(new FakeModel(), { decode: ancestral(), steps, ...all });
      expect(limited.steps).toBeLessThanOrEqual(steps);
      expect(limited.canvas).not.toContain(mask);
    }
  });

  test.each([
    [{ grid: 'log' }, /ancestral\(\): grid/],
    [{ end: 0.9 }, /ancestral\(\): end/],
    [{ steps: 0 }, /ancestral\(\): steps/],
    [{ alpha: 'sine' }, /alpha must be/],
  ])('%j is refused', (options, message) => {
    expect(() => ancestral(options as never)).toThrow(message);
  });
});
