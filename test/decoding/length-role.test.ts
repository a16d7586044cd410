/** What the loop does with a length plan, shown with the smallest that needs it. */
import { describe, expect, test } from 'vitest';
import {
  blocks,
  dualCache,
  growUntilEos,
  leftToRight,
  topK,
  wholeAnswer,
  type Decoder,
  type LengthPlan,
} from '../../lib/decoding/index.js';
import { named } from '../../lib/decoding/named.js';
import { confident, eos, FakeModel, mask, type Predict } from './fake.js';
import { drawn } from './scripted.js';

describe('length', () => {
  test('grows until end of text', async () => {
    const ends: Predict = (position) => confident(position === 8 ? eos : 1, 0.9);
    const options = { maxTokens: 20, stopAtEos: true, decode: topK({ k: 2 }) };
    for (const plan of [wholeAnswer(), blocks(4)]) {
      const model = new FakeModel(ends);
      const length = growUntilEos({ initial: 4 });
      const result = await drawn({ ...options, length, blocks: plan }, model);
      expect(result.answer).toEqual([1, 1, 1, 1, 1, 1, eos, 1]);
      expect([...result.tokens]).toEqual([1, 1, 1, 1, 1, 1]);
      expect(result.finishReason).toBe('eos');
      expect(result.counts.insertions).toBe(4);
      // nothing beyond the current length is computed or seen
      expect(model.requests[0]).toMatchObject({ rows: { start: 0, end: 6 }, visible: 6 });
      expect(model.requests[2]).toMatchObject({ rows: { start: 0, end: 10 }, visible: 10 });
    }
  });

  test('grows up to maxTokens and no farther', async () => {
    const length = growUntilEos({ initial: 4, by: 3 });
    const { answer, finishReason } = await drawn({ maxTokens: 9, length, decode: topK() });
    expect(answer.length).toBe(9);
    expect(answer).not.toContain(mask);
    expect(finishReason).toBe('length');
  });

  test('prepares: forwards that commit nothing settle the length', async () => {
    const length: LengthPlan = () => ({
      initial: 2,
      prepare: {
        ask: ({ canvas }) => ({ query: Int32Array.of(canvas.length - 1) }),
        decide: ({ canvas }, { position }) => {
          expect(position[0]).toBe(canvas.length - 1);
          const done = canvas.length === 6;
          const tokens = done ? [eos] : [mask, mask];
          return { splice: { at: canvas.length, remove: 0, tokens }, done };
        },
      },
    });
    const result = await drawn({ maxTokens: 9, length, decode: topK({ k: 9 }) });
    expect(result.answer).toEqual([2, 3, 4, 5, eos]);
    expect(result.forwards).toBe(3);
    expect(result.counts.commits).toEqual([0, 0, 4]);
  });

  test('inserts: canvas and sessions move together, and every row is computed anew', async () => {
    const length: LengthPlan = named(
      'inserting',
      {},
      () => ({
        initial: 4,
        resize: ({ step }) =>
          step === 1 ? [{ at: 4, remove: 1, tokens: [mask, mask, 12] }] : undefined,
      }),
      ['grows', 'inserts'],
    );
    const decode: Decoder =
      () =>
      ({ masked }) => ({
        choose: ({ position, token }) => {
          const last = position.length - 1;
          expect(position[last]).toBe(masked[last]);
          return [{ position: position[last], token: token[last] }];
        },
      });
    const options = { length, decode, cache: dualCache(), maxTokens: 7 };
    const result = await drawn(options);
    expect(result.frames).toEqual([
      [mask, mask, mask, 5],
      [mask, mask, mask, mask, 12, 5],
      [mask, mask, mask, 5, 12, 5],
      [mask, mask, 4, 5, 12, 5],
      [mask, 3, 4, 5, 12, 5],
      [2, 3, 4, 5, 12, 5],
    ]);
    expect(result.trace[1].committed[0][0]).toBe(4); // before it moved
    const ends = result.model.requests.map(({ rows }) => (rows as { start: number }).start);
    expect(ends).toEqual([0, 2, 0, 2, 2, 2]);
    expect(result.counts.refreshes).toBe(2);
  });

  test('what no longer fits is cut off at the end', async () => {
    const length: LengthPlan = () => ({
      resize: ({ step }) => (step === 0 ? [{ at: 2, remove: 0, tokens: [8, 8] }] : undefined),
    });
    const { frames, answer } = await drawn({ length, decode: leftToRight({ k: 3 }), maxTokens: 4 });
    expect(frames[0]).toEqual([8, 8, 2, 3]);
    expect(answer).toEqual([8, 8, 2, 3]);
  });
});
