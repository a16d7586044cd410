import { expect, test } from 'vitest';
import { wilson, shareDifference } from '../../lib/measure/interval.js';
import { loadModel } from '../../lib/model.js';
import { fastest, overTasks, parallelbench, type BenchPoint } from '../../lib/tasks/bench.js';
import { strategyNames } from '../../lib/tasks/strategies.js';
import { modelSubject, oracleSubject } from '../../lib/tasks/subject.js';
import { model as path } from '../cli/lacuna.js';

test("Wilson's interval and Newcombe's difference", () => {
  // R. G. Newcombe (1998): 81 of 263 is 0.2553 … 0.3662
  const [low, high] = wilson(81, 263);
  expect(low).toBeCloseTo(0.2553, 4);
  expect(high).toBeCloseTo(0.3662, 4);
  expect(wilson(0, 10)[0]).toBe(0);
  expect(wilson(10, 10)[1]).toBe(1);
  expect(wilson(0, 0)).toEqual([0, 1]);
  // the same, on differences, method 10: 56/70 − 48/80 is 0.0524 … 0.3339
  const a = { right: 56, samples: 70 };
  const { difference, interval } = shareDifference(a, { right: 48, samples: 80 });
  expect(difference).toBeCloseTo(0.2, 12);
  expect(interval[0]).toBeCloseTo(0.0524, 4);
  expect(interval[1]).toBeCloseTo(0.3339, 4);
});

test('every strategy ends, is right one by one where its slowest value is, and repeats itself', async () => {
  const options = { tasks: ['replace-random' as const], n: 4, samples: 4, temperatures: [0, 1] };
  const points = await parallelbench(oracleSubject(), options);
  expect(new Set(points.map(({ strategy }) => strategy))).toEqual(new Set(strategyNames));
  for (const { samples, right, tokens, forwards, interval } of points) {
    expect(samples).toBe(4);
    expect(tokens).toBe(16);
    expect(forwards).toBeGreaterThan(0);
    expect(interval[0]).toBeLessThanOrEqual(right / 4);
  }
  for (const strategy of [
    'confidence',
    'random',
    'margin',
    'left-to-right',
    'threshold',
  ] as const) {
    const [slowest] = points.filter((point) => point.strategy === strategy);
    expect(slowest).toMatchObject({ right: 4, forwards: 16, tokensPerForward: 1 });
  }
  const some = { ...options, strategies: ['confidence' as const, 'ancestral' as const] };
  const again = await parallelbench(oracleSubject(), some);
  expect(again).toEqual(points.filter((p) => (some.strategies as string[]).includes(p.strategy)));
});

test('over tasks: a sweep that ends early counts on with its last point', () => {
  const point = (task: 'copy' | 'sort', value: number, right: number): BenchPoint => ({
    ...{ task, strategy: 'confidence', value, temperature: 0 },
    ...{ samples: 10, right, accuracy: right / 10, interval: wilson(right, 10) },
    ...{ tokens: 40, forwards: 40 / value, canvases: 40 / value, tokensPerForward: value },
  });
  const points = [point('copy', 1, 10), point('copy', 2, 9), point('sort', 1, 10)];
  const slow = [...points, point('sort', 2, 7), point('sort', 4, 2)];
  const curve = overTasks(slow);
  expect(curve.map(({ value, right, samples }) => [value, right, samples])).toEqual([
    [1, 20, 20],
    [2, 16, 20],
    [4, 11, 20],
  ]);
  expect(curve[2].tokensPerForward).toBeCloseTo(80 / (20 + 10), 12);
  const [found] = fastest(curve);
  expect(found.point).toMatchObject({ value: 2 });
  expect(fastest(curve, 0.9)[0].point).toMatchObject({ value: 1 });
  expect(fastest(curve.slice(1))[0].point).toBeUndefined(); // nothing to compare with
});

test('a model: runs that share forwards give what they give alone', async () => {
  await using model = await loadModel(path, { device: 'cpu', threads: 1 });
  const texts = async (width: number) => {
    const found: string[] = [];
    await parallelbench(modelSubject(model, width), {
      ...{
        tasks: ['copy'],
        n: 3,
        samples: 3,
        strategies: ['wino'],
        temperatures: [1],
      },
      onRun: ({ strategy, value, instance, text }) =>
        found.push(`${strategy} ${value} ${instance.prompt} ${text}`),
    });
    return found.sort();
  };
  expect(await texts(1)).toEqual(await texts(4));
});

test('refuses what does not exist', async () => {
  const run = (options: object) => parallelbench(oracleSubject(), options);
  const error = { code: 'INVALID_ARGUMENT' };
  await expect(run({ strategies: ['luck'] })).rejects.toMatchObject(error);
  await expect(run({ tasks: ['juggle'] })).rejects.toMatchObject(error);
  await expect(run({ samples: 0 })).rejects.toMatchObject(error);
  await expect(run({ sample: 1 })).rejects.toMatchObject(error);
  const signal = AbortSignal.abort();
  await expect(run({ tasks: ['copy'], signal })).rejects.toMatchObject({ code: 'ABORTED' });
});
