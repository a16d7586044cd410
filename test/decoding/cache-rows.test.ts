/** Which rows each cache computes, by hand, on scripted runs. */
import { describe, expect, test } from 'vitest';
import {
  blocks,
  dkvCache,
  dllmCache,
  dpad,
  dualCache,
  leftToRight,
  noCache,
  prefixCache,
  topK,
  wholeAnswer,
  absoluteBlocks,
  type CachePlan,
} from '../../lib/decoding/index.js';
import { Stream, uniform } from '../../lib/decoding/philox.js';
import { generate } from '../../lib/generate.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { FakeModel, mask } from './fake.js';

const prompt = [7, 7, 7, 7];

async function run(cache: CachePlan | 'auto', options: GenerateOptions = {}, model?: FakeModel) {
  const fake = model ?? new FakeModel();
  const defaults = { maxTokens: 8, decode: leftToRight(), blocks: blocks(4), stopAtEos: false };
  const { policies } = await generate(fake, prompt, { ...defaults, cache, ...options }).result;
  const length = fake.sessions[0].canvas.length;
  const positions = (part: unknown): number[] => {
    if (part instanceof Int32Array) return [...part];
    const range = typeof part === 'number' ? { start: 0, end: part } : part;
    const { start, end } = (range ?? { start: 0, end: length }) as { start: number; end: number };
    return Array.from({ length: end - start }, (_, i) => start + i);
  };
  const rows = fake.requests.map((request) => positions(request.rows));
  const visible = fake.requests.map((request) => positions(request.visible));
  return { rows, visible, told: policies.cache };
}

const upTo = (start: number, end: number): number[] =>
  Array.from({ length: end - start }, (_, i) => start + i);
const full = upTo(0, 12);

describe('prefix and dual', () => {
  test('a full forward at the beginning of a block only', async () => {
    const prefix = await run(prefixCache());
    expect(prefix.rows.slice(0, 2)).toEqual([full, upTo(4, 12)]);
    expect(prefix.rows.slice(4, 6)).toEqual([full, upTo(8, 12)]);
    const dual = await run(dualCache());
    expect(dual.rows.slice(0, 2)).toEqual([full, upTo(4, 8)]);
    expect(dual.rows.slice(4, 6)).toEqual([full, upTo(8, 12)]);
  });

  test.each([prefixCache, dualCache])('refresh: every n-th forward of a block', async (make) => {
    const { rows, told } = await run(make({ refresh: 3 }));
    const isFull = rows.map(({ length }) => length === 12);
    expect(isFull).toEqual([true, false, false, true, true, false, false, true]);
    expect(told.options).toEqual({ refresh: 3 });
    const always = await run(make({ refresh: 1 }));
    expect(always.rows.every(({ length }) => length === 12)).toBe(true);
  });

  test('warmUp counts forwards of the run', async () => {
    const { rows } = await run(dualCache({ warmUp: 3 }));
    const isFull = rows.map(({ length }) => length === 12);
    expect(isFull).toEqual([true, true, true, false, true, false, false, false]);
  });

  test('around ends at the canvas', async () => {
    const { rows, told } = await run(dualCache({ around: 3 }));
    expect(rows[1]).toEqual(upTo(1, 11));
    expect(rows[5]).toEqual(upTo(5, 12));
    expect(told).toMatchObject({ name: 'dualCache', options: { around: 3 } });
    const shifted = new FakeModel(undefined, { logitShift: 1 });
    expect((await run(dualCache({ around: 3 }), {}, shifted)).rows[1]).toEqual(upTo(1, 11));
  });

  test('with a logit shift the row before the block is computed too', async () => {
    const shifted = () => new FakeModel(undefined, { logitShift: 1 });
    expect((await run(prefixCache(), {}, shifted())).rows[1]).toEqual(upTo(3, 12));
    expect((await run(dualCache(), {}, shifted())).rows[5]).toEqual(upTo(7, 12));
  });
});

describe('dkv', () => {
  test('masks of the canvas and what the last forward committed', async () => {
    const { rows } = await run(dkvCache({ refresh: 8 }));
    // positions 4, 5, 6, 7 are committed by forwards 0, 1, 2, 3
    expect(rows.slice(0, 4)).toEqual([full, full, upTo(5, 12), upTo(6, 12)]);
    // the second block begins anew
    expect(rows.slice(4)).toEqual([full, full, [9, 10, 11], [10, 11]]);
  });

  test('every n-th forward of a block is a full one', async () => {
    const { rows } = await run(dkvCache({ refresh: 4 }), { blocks: wholeAnswer() });
    expect(rows.map(({ length }) => length)).toEqual([12, 12, 7, 6, 12, 4, 3, 2]);
  });

  test('with a logit shift the rows before the masks', async () => {
    const decode = topK({ k: 1, score: 'position' });
    const model = new FakeModel(undefined, { logitShift: 1 });
    const { rows } = await run(dkvCache(), { decode, blocks: wholeAnswer() }, model);
    // masks 6 … 11, committed 5, and row 5 predicts 6
    expect(rows[2]).toEqual(upTo(5, 12));
    const apart = new FakeModel(
      (i) => Float64Array.from({ length: 16 }, (_, t) => (t ? 0 : i % 3)),
      {
        logitShift: 1,
      },
    );
    const far = await run(dkvCache(), { decode: topK(), blocks: wholeAnswer() }, apart);
    expect(apart.requests[2].query.every((i) => far.rows[2].includes(i - 1))).toBe(true);
  });
});

describe('dllm', () => {
  test('prompt and answer at their intervals', async () => {
    const cache = dllmCache({ prompt: 4, response: 2, ratio: 0 });
    const { rows, told } = await run(cache, { blocks: wholeAnswer() });
    expect(told).toMatchObject({ name: 'dllmCache', options: { prompt: 4, response: 2 } });
    expect(rows[0]).toEqual(full);
    expect(rows[1]).toEqual(upTo(4, 12)); // masks 5 … 11, and 4, which was committed
    expect(rows[2]).toEqual(upTo(4, 12)); // the answer
    expect(rows[3]).toEqual(upTo(6, 12)); // masks 7 … 11 and 6
    expect(rows[4]).toEqual(full);
    expect(rows[6]).toEqual(upTo(4, 12));
    expect(rows[7]).toEqual([10, 11]);
  });

  test('in between, the rows that drifted most fill up the share', async () => {
    const cache = dllmCache({ prompt: 50, response: 50, ratio: 0.75 }); // six rows of eight
    const { rows } = await run(cache);
    // the block 4 … 7 is needed; 8 and 9 are nearest to the commit at 4
    expect(rows[1]).toEqual(upTo(4, 10));
    // 5 was committed, 6 and 7 are masked; since they were computed, 4 drifted by 1/2, 8 by 1/4,
    // 9 by 1/5, and 10 and 11, left out before, by 1/7 + 1/6 and 1/8 + 1/7
    expect(rows[2]).toEqual([4, 5, 6, 7, 10, 11]);
  });

  test('asked twice for the same state it answers the same', async () => {
    const asked: unknown[][] = [];
    const twice: CachePlan = (facts) => {
      const policy = dllmCache({ response: 3 })(facts);
      return (state) => {
        const [once, again] = [policy(state), policy(state)];
        asked.push([once, again]);
        return again;
      };
    };
    const { rows } = await run(twice);
    for (const [once, again] of asked) expect(again).toEqual(once);
    expect(rows).toEqual((await run(dllmCache({ response: 3 }))).rows);
  });

  test('rows that are needed exceed the share', async () => {
    const { rows } = await run(dllmCache({ prompt: 50, response: 50, ratio: 0.25 }));
    expect(rows[1]).toEqual(upTo(4, 8)); // two of eight rows, but the block has three masks
    expect(rows[3]).toEqual([6, 7]);
  });
});

describe('dpad', () => {
  test('keeps everything with probability 1, nothing without a window', async () => {
    const all = await run(dpad({ sigma: 0, scale: 3, cache: dualCache() }));
    const plain = await run(dualCache());
    expect(all.rows).toEqual(plain.rows);
    expect(all.visible).toEqual(plain.visible);
    expect(all.told).toMatchObject({ name: 'dpad', options: { cache: { name: 'dualCache' } } });
    const none = await run(dpad({ window: 0 }));
    expect(none.rows[0]).toEqual(upTo(0, 8));
    expect(none.visible[0]).toEqual(upTo(0, 8));
    expect(none.rows[4]).toEqual(full); // no suffix is left
  });

  test('keeps the mask at distance d with probability scale · N(x_d; 0, 1)', async () => {
    const model = new FakeModel();
    const options = {
      maxTokens: 4000,
      blocks: blocks(4),
      steps: 1,
      decode: topK({ k: 4 }),
      seed: 3,
    };
    const { rows } = await run(dpad({ window: 3000 }), options, model);
    const kept = rows[0].filter((i) => i >= 8);
    const expected = (d: number) => 2 * Math.exp(-(((4 * d) / 2999) ** 2) / 2) * 0.3989422804;
    for (const start of [0, 500, 1000, 1500]) {
      const count = kept.filter((i) => i - 8 >= start && i - 8 < start + 500).length;
      const mean = upTo(start, start + 500).reduce((sum, d) => sum + expected(d), 0);
      expect(Math.abs(count - mean)).toBeLessThan(4 * Math.sqrt(mean));
    }
    expect(kept.every((i) => i < 8 + 3000)).toBe(true);
    expect(kept).toEqual(
      upTo(8, 3008).filter((i) => uniform(3, 0, i, Stream.suffix) < expected(i - 8)),
    );
  });

  test('draws anew for each block, and computes rows it had left out', async () => {
    const lasting: CachePlan =
      () =>
      ({ forwards, range }) =>
        forwards === 0 ? {} : { rows: range };
    const model = new FakeModel();
    const options = { maxTokens: 40, seed: 5 };
    const { rows, visible } = await run(dpad({ cache: lasting, window: 40 }), options, model);
    expect(rows[4]).not.toEqual(rows[0]);
    const computed = new Set<number>();
    for (const [i, seen] of visible.entries()) {
      for (const row of rows[i]) computed.add(row);
      expect(seen.every((position) => computed.has(position))).toBe(true);
    }
    expect(rows[5]).toEqual(upTo(8, 12));
    expect((await run(dpad(), { ...options, seed: 6 })).rows[0]).not.toEqual(rows[0]);
  });
});

describe('auto', () => {
  const told = async (options: GenerateOptions, info: Partial<FakeModel['info']> = {}) => {
    const model = new FakeModel(undefined, { tokens: { mask }, ...info });
    return (await run('auto', options, model)).told;
  };

  test('is exact for block-causal models', async () => {
    const attention = { blockCausal: 4 };
    const { name, reason } = await told({ blocks: absoluteBlocks(4) }, { attention });
    expect(name).toBe('blockCausalCache');
    expect(reason).toMatch(/exact/);
  });

  test('picks by the canvas and the blocks', async () => {
    const long = { maxTokens: 80, decode: topK({ k: 8 }) };
    expect(await told({ ...long, blocks: blocks(10) })).toMatchObject({
      name: 'dualCache',
      options: { around: 16, warmUp: 4 },
      reason: 'a block and its vicinity are 42 of 84 positions',
    });
    expect((await told({ ...long, blocks: wholeAnswer() })).name).toBe('dkvCache');
    expect(await told({ ...long, maxTokens: 79, blocks: blocks(10) })).toMatchObject({
      name: 'noCache',
      reason: 'a block and its vicinity are 42 of 83 positions',
    });
    // blocks that cut the attention's in two are not exact
    const attention = { blockCausal: 8 };
    expect((await told({ ...long, blocks: blocks(10) }, { attention })).name).toBe('dualCache');
  });

  test('a plan that chose nothing gives no reason', async () => {
    expect((await run(noCache())).told).toEqual({ name: 'noCache', options: {}, traits: [] });
  });
});
