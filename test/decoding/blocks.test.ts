/** In which order parts of the answer are filled: where blocks begin and end, and who says so. */
import { describe, expect, test } from 'vitest';
import {
  absoluteBlocks,
  adaBlocks,
  blockCausalCache,
  blocks,
  dualCache,
  growUntilEos,
  threshold,
  topK,
  wholeAnswer,
  type Refinement,
} from '../../lib/decoding/index.js';
import { generate } from '../../lib/generate.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { confident, eos, FakeModel, mask, vocabulary, type Predict } from './fake.js';

const prompt = [7, 7];
const newline = 9;
const ada = { delimiters: [newline], size: 6, window: 0.5 } as const;

async function run(options: GenerateOptions, model = new FakeModel()) {
  const defaults = { maxTokens: 16, decode: topK({ k: 16 }), stopAtEos: false };
  const result = await generate(model, prompt, { ...defaults, ...options }).result;
  return { ...result, model };
}

/** [first, last] position that each block committed. */
function extents({ trace }: { trace: { block: number; committed: [number, ...unknown[]][] }[] }) {
  const found = new Map<number, number[]>();
  for (const { block, committed } of trace) {
    found.set(block, [...(found.get(block) ?? []), ...committed.map(([position]) => position)]);
  }
  return [...found.values()].map((list) => [Math.min(...list), Math.max(...list)]);
}

describe('fixed', () => {
  test('from the end of the prompt; the last may be shorter', async () => {
    expect(extents(await run({ blocks: blocks(6) }))).toEqual([
      [2, 7],
      [8, 13],
      [14, 17],
    ]);
  });

  test('on absolute multiples: the first takes in the end of the prompt, the last is filled up', async () => {
    expect(extents(await run({ blocks: absoluteBlocks(5) }))).toEqual([
      [2, 4],
      [5, 9],
      [10, 14],
      [15, 19],
    ]);
  });

  // LLaDA2.0, P = 40, G = 50, B = 32: blocks 32, 64 on a canvas of 96, the answer cut to 40 … 89
  test('the golden layout of LLaDA2.0', () => {
    expect(absoluteBlocks(32)(40, 50)).toEqual({
      length: 96,
      blocks: [
        { start: 32, end: 64 },
        { start: 64, end: 96 },
      ],
    });
  });

  test('small blocks until end of text compute nothing after it', async () => {
    const ends: Predict = (position) => confident(position === 8 ? eos : 1, 0.9);
    for (const size of [4, 8]) {
      const options = { maxTokens: 64, blocks: blocks(size), stopAtEos: true };
      const growing = { ...options, length: growUntilEos({ initial: size }) };
      const full = await run({ ...options, decode: topK() }, new FakeModel(ends));
      const short = await run({ ...growing, decode: topK() }, new FakeModel(ends));
      expect([...short.tokens]).toEqual([1, 1, 1, 1, 1, 1]);
      expect([...full.tokens]).toEqual([...short.tokens]);
      expect(full.canvas.length).toBe(66);
      expect(short.canvas.length).toBe(10); // both sizes: 2 + 8
      expect(short.finishReason).toBe('eos');
    }
  });

  test('one block', async () => {
    expect(extents(await run({ blocks: wholeAnswer() }))).toEqual([[2, 17]]);
  });
});

describe('adaBlocks', () => {
  /** Delimiters expected at some positions, with this probability. */
  const lines =
    (sure: Record<number, number>): Predict =>
    (position) =>
      position in sure ? confident(newline, sure[position]) : confident(1, 0.9);

  test('a block ends with the surest delimiter in sight, not the first', async () => {
    const model = new FakeModel(lines({ 3: 0.4, 5: 0.8, 7: 0.6, 12: 0.5 }));
    const result = await run({ blocks: adaBlocks(ada) }, model);
    // windows of ⌊0.5 · 16⌋ = 8: 2–9, then 6–13 (0.6 at 7 beats 0.5 at 12), 8–15, 13–17
    expect(extents(result)).toEqual([
      [2, 5],
      [6, 7],
      [8, 12],
      [13, 17],
    ]);
    expect(result.forwards).toBe(4); // the forward that ends a block also commits
  });

  test('≥: a delimiter of exactly tau ends the block', async () => {
    for (const [tau, end] of [
      [0.5, 4],
      [0.501, 7],
    ]) {
      const half = Array.from({ length: vocabulary }, () => -Infinity);
      half[newline] = half[3] = 0; // p = 0.5 exactly; the tie goes to the lower token
      const model = new FakeModel((position) =>
        position === 4 ? half.with(9, 1e-9) : confident(1, 0.9),
      );
      const result = await run({ blocks: adaBlocks({ ...ada, tau }) }, model);
      expect(extents(result)[0]).toEqual([2, end]);
    }
  });

  test('of two equally sure delimiters the first', async () => {
    const model = new FakeModel(lines({ 4: 0.6, 6: 0.6 }));
    expect(extents(await run({ blocks: adaBlocks(ada) }, model))[0]).toEqual([2, 4]);
  });

  test('only the most probable token counts, and only inside the window', async () => {
    const second = confident(1, 0.6).with(newline, Math.log(0.35));
    const model = new FakeModel((position) =>
      position === 4 ? second : position === 7 ? confident(newline, 0.9) : confident(1, 0.9),
    );
    // ⌊0.25 · 16⌋ = 4 positions in sight: 7 is not among 2–5, but among 7–10 (from 2 + 5 on)
    const options = { ...ada, window: 0.25, tau: 0.3, size: 5 };
    const result = await run({ blocks: adaBlocks(options) }, model);
    expect(extents(result).slice(0, 2)).toEqual([
      [2, 6],
      [7, 7],
    ]);
  });

  test('the window is a share of the whole answer, not of what is left', async () => {
    const model = new FakeModel(lines({ 15: 0.9 }));
    const result = await run({ blocks: adaBlocks({ ...ada, size: 8 }) }, model);
    expect(extents(result)).toEqual([
      [2, 9],
      [10, 15], // half of the 8 left would be 10–13
      [16, 17],
    ]);
  });

  test('an answer too short for a window has fixed blocks', async () => {
    const model = new FakeModel(lines({ 2: 0.9 }));
    const result = await run(
      { blocks: adaBlocks({ ...ada, window: 0.25, size: 2 }), maxTokens: 3 },
      model,
    );
    expect(extents(result)).toEqual([
      [2, 3],
      [4, 4],
    ]);
  });

  test('Dream: its 24 tokens at 0.5', async () => {
    const info = { architecture: 'dream', vocabulary: 152064, logitShift: 1 };
    const sure: Record<number, [number, number]> = { 4: [271, 0.45], 7: [624, 0.55] };
    const model = new FakeModel((position) => {
      const [token, p] = sure[position] ?? [1, 0.9];
      const rest = Math.log((1 - p) / 1000);
      const logits = new Float64Array(1000).fill(rest);
      logits[token] = Math.log(p);
      return logits;
    }, info);
    const result = await run({ blocks: adaBlocks({ window: 1 }), decode: threshold() }, model);
    expect(result.trace[0].block).toBe(0);
    expect(extents(result)[0]).toEqual([2, 7]);
  });

  test('with a dual cache every block begins with one full forward', async () => {
    const model = new FakeModel(lines({ 5: 0.8, 11: 0.7 }));
    const options = { cache: dualCache(), decode: topK({ k: 3 }) };
    const { trace, counts } = await run({ ...options, blocks: adaBlocks(ada) }, model);
    const blockStarts = trace.filter(({ block }, i) => block !== trace[i - 1]?.block);
    expect(blockStarts.every(({ refresh }) => refresh)).toBe(true);
    expect(counts.refreshes).toBe(blockStarts.length);
  });

  test('what is known already takes no forward, what a forward settled is counted', async () => {
    const known: Refinement = () => ({
      begin: () => [2, 3, 4, 5, 10, 11].map((position) => ({ position, token: 3 })),
    });
    // positions in front of the delimiter at 4 are all known: the forward is made, and counted
    const model = new FakeModel(lines({ 4: 0.9 }));
    const settled = await run({ refine: known, blocks: adaBlocks({ ...ada, tau: 0.5 }) }, model);
    expect(settled.trace.map(({ committed, forwards }) => [committed.length, forwards])).toEqual([
      [6, 0],
      [0, 1],
      [4, 1], // 5–10
      [5, 1], // 11–16
      [1, 1],
    ]);
    expect(settled.forwards).toBe(model.requests.length);
    // nothing masked within reach: no forward
    const all = await run({ refine: known, blocks: adaBlocks({ ...ada, size: 4, window: 0.1 }) });
    expect(all.trace[1]).toMatchObject({ forwards: 1 });
    expect(all.trace[1].committed[0][0]).toBe(6);
    expect(all.forwards).toBe(all.model.requests.length);
    expect(all.canvas).not.toContain(mask);
  });

  test.each<[GenerateOptions, RegExp]>([
    [{ blocks: adaBlocks({ size: 4 }) }, /delimiters: "\\n" needs a tokenizer/],
    [{ blocks: adaBlocks({ delimiters: [99] }) }, /delimiters must be an integer from 0 to 15/],
    [{ blocks: adaBlocks(ada), cache: blockCausalCache() }, /lets the model end them/],
  ])('refused: %o', (options, message) => {
    const model = new FakeModel(undefined, { attention: { blockCausal: 4 } });
    const make = () => generate(model, prompt, { decode: topK(), ...options });
    expect(make).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(message) as string,
      }),
    );
  });
});
