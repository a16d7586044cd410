/** Speculation changes how many forwards a result takes, and nothing else. */
import { describe, expect, test } from 'vitest';
import {
  adaBlocks,
  blocks,
  dkvCache,
  dllmCache,
  dream,
  dualCache,
  entropyBound,
  freeDave,
  growUntilEos,
  klass,
  leftToRight,
  lowConfidence,
  noCache,
  prefixCache,
  selfDraft,
  threshold,
  wholeAnswer,
  type Decoder,
  type Speculation,
} from '../../lib/decoding/index.js';
import { generate } from '../../lib/generate.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { confident, FakeModel, mask, type Predict } from './fake.js';

const prompt = [7, 7];

/** Position i proposes i mod 10 whatever the canvas is, surer from the left. */
const settled: Predict = (position) => confident(position % 10, 0.9 - 0.02 * position);

/** The same, until a token is known: then its right neighbour proposes another. */
const swayed: Predict = (position, canvas) => {
  const known = canvas[position - 1] !== mask && position > 2;
  return confident((position + (known && position % 3 === 0 ? 5 : 0)) % 10, 0.9 - 0.02 * position);
};

async function run(options: GenerateOptions, predict?: Predict, shift = 0) {
  const model = new FakeModel(predict, { logitShift: shift });
  const defaults = { maxTokens: 10, blocks: wholeAnswer(), stopAtEos: false };
  const result = await generate(model, prompt, { ...defaults, ...options }).result;
  for (const session of model.sessions) expect(session.disposed).toBe(true);
  const steps = result.trace.map(({ step, block, committed }) => ({ step, block, committed }));
  const forwards = result.trace.map((step) => step.forwards);
  return { ...result, model, steps, forwards: result.forwards, perStep: forwards };
}

describe('counts by hand', () => {
  test('a chain of four right guesses: 10 tokens in 3 forwards', async () => {
    for (const speculate of [selfDraft(), freeDave()]) {
      const { perStep, counts, trace, model } = await run(
        { decode: leftToRight(), speculate },
        settled,
      );
      // the first forward has nothing to draft from
      expect(perStep).toEqual([1, 1, 0, 0, 0, 0, 1, 0, 0, 0]);
      expect(model.batches).toEqual([5, 4]);
      expect(counts).toMatchObject({ canvases: 10, reused: 7, refreshes: 3 });
      expect(trace.map(({ reused }) => reused === true)).toEqual(
        perStep.map((count) => count === 0),
      );
    }
  });

  test('a guess that was wrong costs a forward, not the answer', async () => {
    const { perStep, canvas } = await run(
      { decode: leftToRight(), speculate: selfDraft({ depth: 2 }) },
      swayed,
    );
    // Tokens 3, 6, 9 follow their left neighbour: a draft from before it is wrong about them.
    expect([...canvas.subarray(2)]).toEqual([2, 8, 4, 5, 1, 7, 8, 4, 0, 1]);
    const plain = await run({ decode: leftToRight() }, swayed);
    expect(canvas).toEqual(plain.canvas);
    expect(perStep).toEqual([1, 1, 1, 0, 0, 1, 0, 0, 1, 0]);
  });

  test('alternatives are leaves: the other next token, then both', async () => {
    // Position 4 becomes surer than 3 as soon as 2 is known.
    const jumps: Predict = (position, canvas) =>
      confident(position % 10, position === 4 && canvas[2] !== mask ? 0.99 : 0.9 - 0.02 * position);
    const decode = lowConfidence();
    const chain = await run({ decode, speculate: selfDraft({ depth: 2 }) }, jumps);
    const tree = await run({ decode, speculate: selfDraft({ depth: 2, alternatives: 1 }) }, jumps);
    expect(tree.canvas).toEqual(chain.canvas);
    expect(chain.perStep.slice(0, 4)).toEqual([1, 1, 1, 0]);
    expect(tree.perStep.slice(0, 4)).toEqual([1, 1, 0, 0]);
    expect(tree.model.batches[0]).toBe(1 + 2 + 2);
  });

  test('the last token of a block leads to the next', async () => {
    const options = { decode: leftToRight(), blocks: blocks(5), speculate: freeDave() };
    const { perStep } = await run(options, settled);
    expect(perStep).toEqual([1, 1, 0, 0, 0, 0, 1, 0, 0, 0]);
  });

  test('several tokens a step are what FreeDave follows', async () => {
    const decode = leftToRight({ k: 2 });
    const dave = await run({ decode, speculate: freeDave() }, settled);
    const chain = await run({ decode, speculate: selfDraft() }, settled);
    expect(dave.perStep).toEqual([1, 1, 0, 0, 0]);
    // a chain of single tokens meets every second canvas
    expect(chain.canvas).toEqual(dave.canvas);
    expect(chain.forwards).toBeGreaterThan(dave.forwards);
  });

  test('guesses end with the steps of the run', async () => {
    const { model, counts } = await run(
      { decode: leftToRight(), speculate: freeDave({ depth: 9 }), steps: 4 },
      settled,
    );
    expect(model.batches).toEqual([3]);
    expect(counts).toMatchObject({ canvases: 4, reused: 2 });
  });
});

describe('caches', () => {
  test('what a guess does not compute is what the step would have found', async () => {
    const options = { decode: leftToRight(), speculate: freeDave(), blocks: blocks(5) };
    const { model, trace } = await run({ ...options, cache: dualCache() }, settled);
    // The full forward of a block comes alone; with the second, guesses of the same rows, up to the
    // next block's full one, which computes them all.
    expect(trace.map((step) => step.forwards)).toEqual([1, 1, 0, 0, 0, 0, 1, 0, 0, 0]);
    expect(model.batches).toEqual([5, 4]);
    const plain = await run({ ...options, cache: dualCache(), speculate: undefined }, settled);
    const rows = (of: typeof trace) => of.reduce((sum, step) => sum + step.rows, 0);
    expect(rows(trace)).toBe(rows(plain.trace));
  });

  test('a guess with fewer rows than a forward before it is not made', async () => {
    const cache = dualCache({ refresh: 2 });
    const { trace } = await run({ decode: leftToRight(), speculate: freeDave(), cache }, settled);
    // After a full forward come only the block's rows: all full forwards stand alone.
    for (const { refresh, canvases } of trace) if (refresh) expect(canvases).toBe(1);
  });
});

const decoders: Record<string, Decoder> = {
  lowConfidence: lowConfidence(),
  'two a step': lowConfidence({ steps: 5 }),
  margin: lowConfidence({ score: 'margin' }),
  threshold: threshold({ tau: 0.8 }),
  entropyBound: entropyBound({ gamma: 1 }),
  dream: dream({ steps: 7 }),
};
const speculations: Record<string, Speculation> = {
  selfDraft: selfDraft({ depth: 3, alternatives: 2 }),
  freeDave: freeDave({ depth: 3 }),
};
const caches = { none: noCache(), prefix: prefixCache(), dual: dualCache(), dkv: dkvCache() };

describe.each(Object.entries(speculations))('%s: step for step the same', (by, speculate) => {
  test.each(Object.entries(decoders))('%s', async (name, decode) => {
    let saved = 0;
    for (const cache of Object.values(caches)) {
      for (const plan of [blocks(4), wholeAnswer()]) {
        for (const seed of [0, 1, 2]) {
          const temperature = seed / 2;
          const options = { decode, cache, blocks: plan, seed, temperature, cfgScale: seed % 2 };
          const predict = seed === 0 ? swayed : undefined;
          const base = await run(options, predict, seed % 2);
          const fast = await run({ ...options, speculate }, predict, seed % 2);
          expect(fast.steps).toEqual(base.steps);
          expect(fast.canvas).toEqual(base.canvas);
          expect(fast.forwards + fast.counts.reused).toBe(base.forwards);
          saved += fast.counts.reused;
        }
      }
    }
    // Two tokens a step and a chain of single ones do not meet.
    if (by !== 'selfDraft' || name !== 'two a step') expect(saved).toBeGreaterThan(0);
  });

  test('a canvas that grows, and ends', async () => {
    const options = {
      ...{ decode: threshold({ tau: 0.3 }), blocks: blocks(4), stopAtEos: true },
      ...{ length: growUntilEos({ initial: 4 }), maxTokens: 12 },
    };
    for (const seed of [1, 2, 3]) {
      const base = await run({ ...options, seed, temperature: 1 });
      const fast = await run({ ...options, seed, temperature: 1, speculate });
      expect(fast.steps).toEqual(base.steps);
    }
  });
});

test.each<[string, GenerateOptions, RegExp]>([
  ['a decoder that remembers', { decode: klass() }, /freeDave\(\).*klass\(\)/],
  ['a cache that remembers', { cache: dllmCache() }, /freeDave\(\).*dllmCache\(\)/],
  [
    'blocks that the model ends',
    { decode: threshold(), blocks: adaBlocks({ delimiters: [3] }) },
    /freeDave\(\).*adaBlocks\(\)/,
  ],
])('%s is refused', (_, options, message) => {
  expect(() => generate(new FakeModel(), prompt, { speculate: freeDave(), ...options })).toThrow(
    message,
  );
});
