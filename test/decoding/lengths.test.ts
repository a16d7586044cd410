/** How long the answer is: growth until end of text, and DAEDAL's two stages by hand. */
import { describe, expect, test } from 'vitest';
import {
  adaBlocks,
  blocks,
  daedal,
  dualCache,
  growUntilEos,
  lowConfidence,
  prefixCache,
  remask,
  threshold,
  topK,
  wholeAnswer,
  type DaedalOptions,
} from '../../lib/decoding/index.js';
import { generate } from '../../lib/generate.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { confident, eos, FakeModel, mask, noisy, type Predict } from './fake.js';

const prompt = [7, 7];
const strict = threshold({ tau: 0.9, strict: true });
/** Nothing is more probable than anything else: 1/16 each, below the 0.1 of an expansion. */
const unsure = new Float64Array(16);

async function run(predict: Predict, options: GenerateOptions) {
  const model = new FakeModel(predict);
  const defaults = { decode: strict, blocks: wholeAnswer(), stopAtEos: false };
  const result = await generate(model, prompt, { ...defaults, ...options }).result;
  const commits = result.trace.map(({ committed }) => committed.map(([position]) => position));
  const splices = result.trace.map(
    ({ splices: [splice] = [] }) => splice && [splice.at, splice.tokens.length],
  );
  expect(model.sessions[0].canvas.subarray(0, result.canvas.length)).toEqual(result.canvas);
  return { ...result, model, commits, splices, answer: [...result.canvas.subarray(2)] };
}

describe('daedal, stage 1', () => {
  const small = { initial: 4, expand: 2, window: 4 } as const;
  const ends: Predict = (position) => confident(position >= 8 ? eos : 1, 0.95);

  test('appends until end of text is expected, then a tail of it', async () => {
    const result = await run(ends, { maxTokens: 40, length: daedal(small) });
    // 4, 6: none; 8: two of four, 0.475; 10: four of four
    expect(result.splices).toEqual([[6, 2], [8, 2], [10, 2], [12, 2], undefined]);
    expect(result.trace[3].splices?.[0].tokens).toEqual([eos, eos]);
    expect(result.commits.slice(0, 4)).toEqual([[], [], [], []]);
    expect(result.answer.length).toBe(12);
    expect(result.forwards).toBe(5);
    expect(result.finishReason).toBe('eos');
  });

  test('the divisor is the window, and ≥ is enough', async () => {
    const half: Predict = (position) => {
      const logits = new Float64Array(16).fill(-Infinity);
      logits[eos] = logits[15] = 0; // p = 0.5 exactly, the tie goes to end of text
      return position >= 4 ? logits : confident(1, 0.95);
    };
    // two positions of 0.5 are 1 of a window of 4: 0.25
    for (const [enough, steps] of [
      [0.25, 1],
      [0.251, 2],
    ]) {
      const length = daedal({ ...small, enough });
      const { trace } = await run(half, { maxTokens: 40, length });
      expect(trace.findIndex(({ splices }) => splices?.[0].tokens[0] === eos)).toBe(steps - 1);
    }
  });

  test('it looks for end of text in the whole answer, at most a window of it from the right', async () => {
    // the last positions are not end of text, those at the beginning are: 2 · 0.9 / 4
    const early: Predict = (position) => confident(position < 4 ? eos : 1, 0.9);
    const first = async (predict: Predict, enough: number, window = 4) => {
      const length = daedal({ ...small, enough, window });
      return (await run(predict, { maxTokens: 40, length })).trace[0].splices?.[0].tokens[0];
    };
    expect(await first(early, 0.44)).toBe(eos);
    expect(await first(early, 0.46)).toBe(mask);
    // 0.5, 0.5, 0.9, 0.9 from the left: the two on the right are 0.9
    const rising: Predict = (position) => confident(eos, position < 4 ? 0.5 : 0.9);
    expect(await first(rising, 0.89, 2)).toBe(eos);
    expect(await first(rising, 0.91, 2)).toBe(mask);
  });

  test.each<[string, DaedalOptions, number, number[], number]>([
    ['begins at the limit: one forward, no tail', { initial: 64 }, 6, [0], 6],
    ['grows to the limit, cut to it: no tail', { initial: 4, expand: 3 }, 6, [2, 0], 6],
    ['a tail as far as there is room', { initial: 4, enough: 0 }, 6, [2], 6],
    ['a tail of half a window', { initial: 4, enough: 0, window: 7 }, 40, [3], 7],
  ])('%s', async (_, options, maxTokens, appended, length) => {
    const sure: Predict = (position) => confident(position % 10, 0.95);
    const result = await run(sure, { maxTokens, length: daedal(options) });
    const sizes = result.splices.slice(0, appended.length).map((splice) => splice?.[1] ?? 0);
    expect(sizes).toEqual(appended);
    expect(result.answer.length).toBe(length);
    expect(result.forwards).toBe(appended.length + 1);
  });

  test('end of text everywhere', async () => {
    const { answer, forwards } = await run(() => confident(eos, 0.99), {
      maxTokens: 40,
      length: daedal(small),
    });
    expect(answer).toEqual(new Array(6).fill(eos));
    expect(forwards).toBe(2);
  });
});

describe('daedal, stage 2', () => {
  /** Stage 1 is one forward; two end-of-text tokens at the end. */
  const open = { initial: 4, expand: 3, window: 4, enough: 0 } as const;
  /** From the first step on unsure at `position`, then sure of everything. */
  const hesitant =
    (...positions: number[]): Predict =>
    (position, _, step) =>
      step <= 1 && positions.includes(position) ? unsure : confident(position % 10, 0.95);

  test('the least sure mask makes room for more', async () => {
    const result = await run(hesitant(3), { maxTokens: 40, length: daedal(open) });
    expect(result.commits).toEqual([[], [2, 4, 5], [3, 4, 5]]);
    expect(result.splices).toEqual([[6, 2], [3, 3], undefined]);
    // 4 and 5 were committed as such and have moved
    expect(result.answer).toEqual([2, 3, 4, 5, 4, 5, eos, eos]);
    expect(result.counts.insertions).toBe(2 + 2);
  });

  test('one per forward, the lower of equals, and not the one that was committed', async () => {
    const { commits, splices } = await run(hesitant(2, 3, 4, 5), {
      maxTokens: 40,
      length: daedal(open),
    });
    expect(commits[1]).toEqual([2]); // nothing above 0.9: the best, the lower of equals
    expect(splices[1]).toEqual([3, 3]);
  });

  test('not when end of text is expected at the end', async () => {
    const closing = (p: number): Predict => {
      const before = hesitant(3);
      return (...args) => (args[0] >= 6 ? confident(eos, p) : before(...args));
    };
    const length = daedal({ ...open, window: 2, closed: 0.9 });
    // window 2: one end-of-text token at the end; only it counts: p / 2 is too little, two of them are not
    expect((await run(closing(0.99), { maxTokens: 40, length })).splices[1]).toEqual([3, 3]);
    const wide = daedal({ ...open, window: 2, initial: 5 });
    expect((await run(closing(0.91), { maxTokens: 40, length: wide })).splices[1]).toBeUndefined();
    expect((await run(closing(0.89), { maxTokens: 40, length: wide })).splices[1]).toEqual([3, 3]);
  });

  test('what does not fit is cut off at the end, end of text first', async () => {
    const { answer } = await run(hesitant(3), { maxTokens: 7, length: daedal(open) });
    expect(answer).toEqual([2, 3, 4, 5, 4, 5, eos]);
  });

  test('at the limit nothing is inserted', async () => {
    const { splices } = await run(() => unsure, { maxTokens: 6, length: daedal(open) });
    expect(splices).toEqual([[6, 2], ...new Array<undefined>(4)]);
  });

  test('an expansion at the last position', async () => {
    const length = daedal({ ...open, window: 1 }); // half of 1: no tail
    const { answer, splices } = await run(hesitant(5), { maxTokens: 40, length });
    expect(splices[1]).toEqual([5, 3]);
    expect(answer).toEqual([2, 3, 4, 5, 6, 7]);
  });

  test('<: a mask of exactly the low confidence stays', async () => {
    for (const [low, expected] of [
      [1 / 16, undefined],
      [0.0626, [3, 3]],
    ] as const) {
      const length = daedal({ ...open, low });
      const { splices } = await run(hesitant(3), { maxTokens: 40, length });
      expect(splices[1]).toEqual(expected);
    }
  });

  test('low above tau: what is committed is not expanded, and it ends', async () => {
    const length = daedal({ ...open, low: 1 });
    const { answer, forwards } = await run(noisy, { maxTokens: 20, length });
    expect(answer.length).toBe(20);
    expect(answer).not.toContain(mask);
    expect(forwards).toBeLessThanOrEqual(1 + 20);
  });

  test('only the active block; what it cannot hold moves into the next', async () => {
    const options = { maxTokens: 40, blocks: blocks(2), length: daedal(open) };
    const { commits, trace, answer } = await run(hesitant(3, 5), options);
    // block 0 is 2–3: 3 becomes three masks, of which two belong to block 1 and 2
    expect(trace[1].splices?.[0].at).toBe(3);
    expect(commits.slice(1)).toEqual([[2], [3], [4, 5], [6, 7]]);
    expect(answer.slice(-2)).toEqual([eos, eos]);
  });

  test.each([dualCache(), prefixCache()])('with a cache', async (cache) => {
    for (const seed of [1, 2, 3]) {
      const length = daedal({ initial: 8, low: 0.5, window: 4 });
      const options = { maxTokens: 32, length, cache, blocks: blocks(8), temperature: 1, seed };
      const { answer, trace } = await run(noisy, options);
      expect(answer).not.toContain(mask);
      trace.forEach(({ splices }, i) => {
        if (splices && i + 1 < trace.length) expect(trace[i + 1].refresh).toBe(true);
      });
    }
  });

  test.each<[GenerateOptions, object, RegExp]>([
    [{ decode: lowConfidence() }, {}, /lowConfidence\(\) shares out its steps/],
    [{ decode: topK(), blocks: adaBlocks() }, {}, /daedal\(\) moves positions/],
    [{ decode: topK(), refine: remask() }, {}, /daedal\(\) moves positions/],
    [{ decode: topK() }, { tokens: { mask } }, /names no such token; use fixedLength/],
    [{ decode: topK() }, { attention: { blockCausal: 4 } }, /with block-causal attention/],
  ])('refused: %o', (options, info, message) => {
    const make = () =>
      generate(new FakeModel(noisy, info), prompt, { ...options, length: daedal() });
    expect(make).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(message) as string,
      }),
    );
  });
});

describe('growUntilEos', () => {
  test('end of text anywhere in the full answer ends it; text without one goes on', async () => {
    const ends =
      (at: number): Predict =>
      (position) =>
        confident(position === at ? eos : 1, 0.95);
    const options = { maxTokens: 12, length: growUntilEos({ initial: 4 }), stopAtEos: true };
    expect((await run(ends(5), options)).answer.length).toBe(4);
    expect((await run(ends(6), options)).answer.length).toBe(8);
    const none = await run(ends(-1), options);
    expect([none.answer.length, none.finishReason]).toEqual([12, 'length']);
  });

  test('by more than there is room for', async () => {
    const options = { maxTokens: 7, length: growUntilEos({ initial: 4, by: 99 }) };
    const { answer, splices } = await run(() => confident(1, 0.95), options);
    expect(answer.length).toBe(7);
    expect(splices[1]).toEqual([6, 3]);
  });
});
