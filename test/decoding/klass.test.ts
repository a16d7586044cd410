/** KLASS against its rule on confidences that a test moves from step to step. */
import { describe, expect, test } from 'vitest';
import {
  blocks,
  dkvCache,
  dllmCache,
  dualCache,
  klass,
  noCache,
  prefixCache,
  wholeAnswer,
  type CachePlan,
} from '../../lib/decoding/index.js';
import { confident, FakeModel, type Predict } from './fake.js';
import { decoded, scripted } from './scripted.js';

describe('klass', () => {
  /** Position 2 + i says 1 with probability p[i][step], staying at the last. */
  const moving = (p: number[][]): Predict => {
    return (position, _, step) => {
      const own = p[position - 2];
      return confident(1, own[Math.min(step, own.length - 1)]);
    };
  };
  const run = async (p: number[][], options: Parameters<typeof klass>[0] = {}, blockSize = 9) => {
    const model = new FakeModel(moving(p));
    const decode = klass(options);
    return (await decoded(model, { decode, maxTokens: p.length, blocks: blocks(blockSize) })).order;
  };

  test('confident and stable: the last two divergences below kappa', async () => {
    // 2 moves between steps 1 and 2, 3 never, 4 is not confident, 5 … 7 take the first steps
    const p = [[0.95, 0.95, 0.99], [0.95], [0.5], [0.991], [0.992], [0.993]];
    // steps 0 and 1: nothing can be stable, so the best: 7, 6; step 2: 3 and 5 are stable
    expect(await run(p)).toEqual([[7], [6], [3, 5], [2], [4]]);
  });

  test('after a jump as many quiet steps are needed again', async () => {
    // 2 jumps at step 2, 3 stands still; the rest never does and goes by fallback
    const restless = Array.from({ length: 8 }, (_, step) => (step % 2 === 0 ? 0.991 : 0.999));
    const p = [[0.9, 0.9, 0.95], [0.9], restless, restless, restless, restless];
    expect(await run(p, { tau: 0.8, kappa: 0.001 })).toEqual([[4], [5], [3], [6], [2], [7]]);
  });

  test('strict > tau for LLaDA, ≥ for Dream', async () => {
    const half = () => Float64Array.from({ length: 16 }, (_, t) => (t < 2 ? 0 : -Infinity));
    const first = async (strict: boolean) => {
      const decode = klass({ tau: 0.5, strict });
      return (await decoded(new FakeModel(half), { decode, maxTokens: 5 })).order;
    };
    expect(await first(true)).toEqual([[2], [3], [4], [5], [6]]);
    expect(await first(false)).toEqual([[2], [3], [4, 5, 6]]);
  });

  test('kappa is a strict bound: 0 makes nothing stable', async () => {
    expect((await run([[0.95], [0.95], [0.95], [0.95]], { kappa: 0 })).length).toBe(4);
  });

  test('history', async () => {
    const p = [[0.95], [0.95], [0.95], [0.95], [0.95], [0.95]];
    expect(await run(p, { history: 1 })).toEqual([[2], [3, 4, 5, 6, 7]]);
    expect(await run(p, { history: 3 })).toEqual([[2], [3], [4], [5, 6, 7]]);
  });

  test('positions beyond the block are watched, so that the next begins with stable ones', async () => {
    const p = [[0.95], [0.95], [0.95], [0.95], [0.95], [0.95]];
    expect(await run(p, {}, 3)).toEqual([[2], [3], [4], [5, 6, 7]]);
  });

  test('with a cache that leaves them out, the next block begins with shorter streaks', async () => {
    const steps = async (cache: CachePlan, plan = blocks(3)) => {
      const options = { decode: klass(), maxTokens: 6, blocks: plan, cache };
      return (await decoded(new FakeModel(moving([...'123456'].map(() => [0.95]))), options)).order;
    };
    expect(await steps(prefixCache())).toEqual([[2], [3], [4], [5, 6, 7]]);
    // the block's first forward compares with that of the block before: one divergence, two are needed
    expect(await steps(dualCache())).toEqual([[2], [3], [4], [5], [6, 7]]);
    const whole = await steps(noCache(), wholeAnswer());
    for (const cache of [prefixCache(), dualCache(), dkvCache(), dllmCache()]) {
      expect(await steps(cache, wholeAnswer())).toEqual(whole);
    }
  });

  test.each([
    ['maxConfidence', 5],
    ['minKl', 4],
  ] as const)('pick %s', async (pick, expected) => {
    // stable from step 2 on; 4 stands still, 5 moves a little
    const p = [[0.99], [0.98], [0.95], [0.955, 0.956, 0.957], [0.94, 0.941, 0.942]];
    expect((await run(p, { pick }))[2]).toEqual([expected]);
  });

  test('pick random: one, by the seed', async () => {
    const p = [[0.99], [0.98], [0.95], [0.95], [0.95], [0.95]];
    const steps = await run(p, { pick: 'random' });
    expect(steps.map((step) => step.length)).toEqual([1, 1, 1, 1, 1, 1]);
    expect(await run(p, { pick: 'random' })).toEqual(steps);
  });

  test('is asked with KL', async () => {
    const model = new FakeModel(scripted([0.5, 0.5]));
    await decoded(model, { decode: klass({ statistics: 'sampled' }), maxTokens: 2 });
    expect(model.requests[0]).toMatchObject({ kl: true, sampling: { statistics: 'sampled' } });
  });
});
