/** Draft and verify, step by step as computed by hand from the rule. */
import { expect, test } from 'vitest';
import { absoluteBlocks, blocks, wholeAnswer, wino } from '../../lib/decoding/index.js';
import { generate } from '../../lib/generate.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { confident, FakeModel, mask, noisy, vocabulary, type Predict } from './fake.js';

const prompt = [7, 7];

/** (steps × positions from 2 on) probability of the token that is proposed; the last row goes on. */
function scripted(table: number[][], token = (position: number) => position % 10): Predict {
  return (position, _, step) => {
    const row = table[Math.min(step, table.length - 1)];
    return confident(token(position), row[position - prompt.length]);
  };
}

async function run(predict: Predict, options: GenerateOptions) {
  const model = new FakeModel(predict);
  const defaults = { decode: wino(), blocks: wholeAnswer(), stopAtEos: false };
  const result = await generate(model, prompt, { ...defaults, ...options }).result;
  const drafts = result.trace.map(({ committed }) => committed.map(([position]) => position));
  const back = result.trace.map(({ remasked = [] }) => remasked);
  return { ...result, model, drafts, back };
}

test('drafts above 0.6, verifies from the next step on, takes back below 0.9', async () => {
  const table = [
    [0.95, 0.7, 0.61, 0.5, 0.5, 0.4], // 2, 3, 4 drafted
    [0.91, 0.85, 0.9, 0.7, 0.8, 0.3], // 5, 6 drafted; the shadow of 3 says 0.85
    [0.99, 0.95, 0.99, 0.99, 0.1, 0.65], // 3, 7 drafted; 6 was drafted a step ago: 0.1
    [0.99, 0.99, 0.99, 0.99, 0.3, 0.99], // one draft: nothing is verified
  ];
  const { drafts, back, model, canvas } = await run(scripted(table), { maxTokens: 6 });
  expect(drafts).toEqual([[2, 3, 4], [5, 6], [3, 7], [6]]);
  expect(back).toEqual([[], [3], [6], []]);
  expect([...canvas]).toEqual([7, 7, 2, 3, 4, 5, 6, 7]);
  // shadows: the known positions of the block, of the prompt none
  expect(model.requests.map(({ shadow }) => [...shadow!])).toEqual([
    [],
    [2, 3, 4],
    [2, 4, 5, 6],
    [2, 3, 4, 5, 7],
  ]);
});

test('what a shadow doubts is the token in its place, not what it would say itself', async () => {
  // position 2 is drafted as 2; later its shadow is sure of another token
  const predict: Predict = (position, _, step) =>
    confident(position === 2 && step > 0 ? 9 : position, [0.9, 0.95][Math.min(step, 1)]);
  const decode = wino({ least: 1, most: 2 });
  const { back, drafts } = await run(predict, { decode, maxTokens: 5 });
  expect(drafts.slice(0, 2)).toEqual([
    [2, 3],
    [4, 5],
  ]);
  expect(back[1]).toEqual([2]);
});

test('> and <: exactly the threshold neither drafts nor takes back', async () => {
  const half = Array.from({ length: vocabulary }, () => -Infinity);
  half[1] = half[2] = 0; // p = 0.5 exactly
  const predict: Predict = (position, _, step) =>
    position === 2 || step > 0 ? half : confident(3, 0.51);
  const options = { decode: wino({ draft: 0.5, verify: 0.5 }), maxTokens: 4 };
  const { drafts, back } = await run(predict, options);
  expect(drafts).toEqual([[3, 4, 5], [2]]);
  expect(back.flat()).toEqual([]);
  // the same through a step that drafts two
  const again = await run(
    (position, _, step) =>
      step === 0
        ? position < 4
          ? half.with(2, -1)
          : half
        : position < 4
          ? half
          : confident(1, 0.7),
    { ...options },
  );
  expect(again.drafts).toEqual([
    [2, 3],
    [4, 5],
  ]);
  expect(again.back.flat()).toEqual([]);
});

test('none sure enough: the best one, the lower of two equals', async () => {
  const { drafts } = await run(scripted([[0.3, 0.4, 0.4]]), { maxTokens: 3 });
  expect(drafts).toEqual([[3], [4], [2]]);
});

test.each([
  [6, 5], // max(⌊4.2⌋, 5)
  [10, 7],
  [4, 4],
  [40, 20],
])('of %i masks at most %i, the most probable', async (masks, most) => {
  const table = Array.from({ length: masks }, (_, i) => 0.7 + 0.005 * i);
  const { drafts } = await run(scripted([table]), { maxTokens: masks });
  expect(drafts[0]).toEqual(Array.from({ length: most }, (_, i) => 2 + masks - most + i));
});

test('as many doubts as the step before drafted: one fewer is taken back, the least probable', async () => {
  const table = [
    [0.7, 0.7, 0.1, 0.1, 0.1, 0.1], // 2, 3
    [0.5, 0.4, 0.8, 0.8, 0.1, 0.1], // 4, 5; 2 ≥ 2 doubts: only 3
    [0.5, 0.8, 0.95, 0.5, 0.7, 0.1], // 3, 6; the step before drafted 2, doubts 2 (2 and 5): one
    [0.99, 0.99, 0.99, 0.99, 0.99, 0.99],
  ];
  const { drafts, back } = await run(scripted(table), { maxTokens: 6 });
  expect(drafts.slice(0, 3)).toEqual([
    [2, 3],
    [4, 5],
    [3, 6],
  ]);
  expect(back.slice(0, 3)).toEqual([[], [3], [2]]); // 2 and 5 are equal: the lower
});

test('fewer doubts than the step before drafted: all are taken back', async () => {
  const table = [
    [0.7, 0.7, 0.7, 0.1, 0.1, 0.1], // 3 drafts
    [0.5, 0.4, 0.95, 0.8, 0.8, 0.1], // 2 doubts
    [0.99, 0.99, 0.99, 0.99, 0.99, 0.99],
  ];
  const { back } = await run(scripted(table), { maxTokens: 6 });
  expect(back[1]).toEqual([2, 3]);
});

test('after a step that drafted one, nothing is taken back', async () => {
  const table = [
    [0.3, 0.1, 0.1, 0.1], // one, the best
    [0.1, 0.7, 0.7, 0.1], // two drafts, one doubt, and 1 ≥ 1: none
    [0.95, 0.95, 0.95, 0.95],
  ];
  const { back } = await run(scripted(table), { maxTokens: 4 });
  expect(back.flat()).toEqual([]);
});

test('the count begins anew with each block', async () => {
  const sure = [0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7];
  const { drafts } = await run(scripted([sure]), { maxTokens: 8, blocks: blocks(4) });
  expect(drafts).toEqual([
    [2, 3, 4, 5],
    [6, 7, 8, 9],
  ]);
});

test('the end of the prompt in a block of absolute multiples is not verified', async () => {
  const { model } = await run(scripted([[0.7, 0.7, 0.2, 0.2, 0.2, 0.2]]), {
    maxTokens: 6,
    blocks: absoluteBlocks(8),
  });
  for (const { shadow } of model.requests) expect(Math.min(2, ...shadow!)).toBe(2);
});

test('a block takes at most as many forwards as it has positions', async () => {
  for (const seed of [1, 2, 3, 4]) {
    const decode = wino({ draft: 0.1, verify: 0.99, least: 2, most: 6 });
    const options = { decode, maxTokens: 24, temperature: 1, seed };
    const { forwards, canvas, counts } = await run(noisy, options);
    expect(forwards).toBeLessThanOrEqual(24);
    expect(canvas).not.toContain(mask);
    expect(counts.remasks).toBeGreaterThan(0);
  }
});
