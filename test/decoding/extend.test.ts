/** An answer that becomes longer while it is written. */
import { describe, expect, test } from 'vitest';
import {
  absoluteBlocks,
  adaBlocks,
  blocks,
  dualCache,
  growUntilEos,
  leftToRight,
  lowConfidence,
  rightToLeft,
  topK,
  wholeAnswer,
} from '../../lib/decoding/index.js';
import { generate } from '../../lib/generate.js';
import type { Frame } from '../../lib/frames.js';
import { hole } from '../../lib/index.js';
import type { GenerateOptions, Prompt } from '../../lib/plan.js';
import { confident, eos, eot, FakeModel, mask, noisy } from './fake.js';
import { decoders, methods } from './methods.js';

const prompt = [3, 1, 4, 1, 5];
const never = { suppress: [eos, eot] };

/** Asks for `more` tokens while the forward after `steps` steps is on its way. */
function longer(options: GenerateOptions, steps: number, more: number, given: Prompt = prompt) {
  let asked = false;
  const model = new FakeModel((position, canvas, step) => {
    if (!asked && step >= steps && run.room > 0) run.extend(more);
    asked ||= step >= steps;
    return noisy(position, canvas, step);
  });
  const run = generate(model, given, options);
  return { model, run };
}

async function framesOf(run: AsyncIterable<Frame>): Promise<Frame[]> {
  const frames: Frame[] = [];
  for await (const frame of run) frames.push(frame);
  return frames;
}

const everything: [string, GenerateOptions][] = [
  ...Object.entries(decoders).map(([name, decode]) => [name, { decode }] as never),
  ...Object.entries(methods).map(([name, { options }]) => [name, options] as never),
  ['blocks of the model', { blocks: adaBlocks({ delimiters: [2] }), decode: topK() }],
  ['absolute blocks', { blocks: absoluteBlocks(8) }],
  ['guidance', { cfgScale: 1, blocks: blocks(8), cache: dualCache() }],
];

describe('what is final stays, the rest is written', () => {
  test.each(everything)('%s', async (_, options) => {
    const common = { maxTokens: 16, blocks: blocks(4), temperature: 1, seed: 3, ...never };
    const { model, run } = longer({ ...common, ...options }, 2, 10);
    const planned =
      (run.policies.decode.options as { steps?: number } | undefined)?.steps !== undefined;
    const frames = await framesOf(run);
    const { canvas, finishReason, tokens, forwards } = await run.result;
    expect(run.maxTokens).toBe(planned ? 16 : 26);
    expect(run.room).toBe(0);
    let stable: number[] = [];
    for (const frame of frames) {
      expect([...frame.tokens.subarray(0, stable.length)]).toEqual(stable);
      stable = [...frame.tokens.subarray(0, frame.stable)];
      expect(stable).not.toContain(mask);
    }
    expect([...tokens].slice(0, stable.length)).toEqual(stable);
    expect([...frames.at(-1)!.tokens]).toEqual([
      ...canvas.subarray(prompt.length, prompt.length + run.maxTokens),
    ]);
    expect(frames.map(({ step }) => step)).toEqual([...frames.keys()]);
    expect(frames.at(-1)!.forwards).toBe(forwards);
    if (!planned) {
      expect(frames.filter(({ trace }) => trace.longer)).toHaveLength(1);
      expect([finishReason, tokens.length]).toEqual(['length', 26]);
    }
    for (const session of model.sessions) expect(session.disposed).toBe(true);
  });
});

test('blocks are those of a run of that length, and every row is computed again', async () => {
  const options = { maxTokens: 8, blocks: blocks(4), decode: lowConfidence(), ...never };
  const { model, run } = longer({ ...options, cache: dualCache() }, 5, 6);
  const frames = await framesOf(run);
  const grown = frames.findIndex(({ trace }) => trace.longer);
  const { longer: how, splices, stable } = frames[grown].trace;
  expect(how).toEqual({ maxTokens: 14, capacity: 14, blocks: 4 });
  expect(splices).toEqual([{ at: 13, remove: 0, tokens: new Array(6).fill(mask) }]);
  expect(stable).toBe(frames[grown - 1].stable);
  expect(frames.slice(grown).map(({ block }) => block)).toEqual([1, 1, 1, 2, 2, 2, 2, 3, 3]);
  expect(frames.at(-1)).toMatchObject({ blocks: 4, remaining: 0 });
  expect(model.sessions.map(({ canvas }) => canvas.length)).toEqual([13, 19]);
  expect(model.sessions[1].requests[0].rows).toBeUndefined();
});

test('several times, also before the first step and behind one that waits', async () => {
  const model = new FakeModel();
  model.queues = true;
  const options = { maxTokens: 4, blocks: wholeAnswer(), decode: leftToRight(), ...never };
  const run = generate(model, prompt, options);
  expect([run.extend(2), run.extend(3), run.maxTokens]).toEqual([6, 9, 9]);
  for await (const { step } of run) if (step === 6) expect(run.extend(4)).toBe(13);
  const { tokens, trace } = await run.result;
  expect(tokens).toHaveLength(13);
  expect(trace.filter(({ longer }) => longer)).toHaveLength(2);
});

test('where the answer ends is open again, but for what is final or given', async () => {
  // From the right: end of text behind the sixth token; a longer answer has none.
  const model = new FakeModel((position, canvas, step) => {
    if (step === 4 && run.maxTokens === 10) run.extend(4);
    const wide = canvas.length > prompt.length + 10;
    return confident(!wide && position >= prompt.length + 6 ? eos : 2, 0.9);
  });
  const options = { maxTokens: 10, blocks: wholeAnswer(), decode: rightToLeft(), stopAtEos: false };
  const run = generate(model, prompt, options);
  const { tokens, trace, finishReason } = await run.result;
  const { remasked } = trace.find(({ longer }) => longer)!;
  expect(remasked).toEqual([11, 12, 13, 14]);
  expect([...tokens]).toEqual(new Array(14).fill(2));
  expect(finishReason).toBe('length');
});

test('an answer that has ended stays as it is', async () => {
  const model = new FakeModel((position, _, step) => {
    if (step === 3) run.extend(8);
    return confident(position < prompt.length + 3 ? 2 : eos, 0.9);
  });
  const options = { maxTokens: 8, blocks: wholeAnswer(), decode: leftToRight() };
  const run = generate(model, prompt, options);
  const { tokens, finishReason, trace } = await run.result;
  expect([tokens.length, finishReason, trace.length]).toEqual([3, 'eos', 4]);
});

test('a plan that grows by itself may grow further', async () => {
  const length = growUntilEos({ initial: 4 });
  const { run } = longer({ maxTokens: 8, blocks: blocks(4), length, ...never }, 6, 6);
  const { tokens, policies } = await run.result;
  expect(tokens).toHaveLength(14);
  expect(policies.length.name).toBe('growUntilEos');
});

describe('what cannot become longer', () => {
  const refusal = (options: GenerateOptions, given: Prompt = prompt) => {
    const run = generate(new FakeModel(), given, options);
    expect(run.room).toBe(0);
    return () => run.extend(1);
  };

  test('text with gaps, steps shared out in advance, a deadline that has passed', () => {
    const segments = [hole({ max: 4 }), [5]];
    expect(refusal({}, { prompt, segments })).toThrow('text with gaps');
    expect(refusal({ maxTokens: 8, steps: 4 })).toThrow('4 steps are shared out');
    const decode = lowConfidence({ steps: 8 });
    expect(refusal({ maxTokens: 8, decode })).toThrow('8 steps are shared out');
    expect(refusal({ deadline: AbortSignal.abort() })).toThrow('being completed');
  });

  test('more than the context has', async () => {
    const model = new FakeModel(undefined, { context: 40 });
    const run = generate(model, prompt, { maxTokens: 8, blocks: absoluteBlocks(16) });
    expect(run.room).toBe(32 - prompt.length - 8);
    expect(() => run.extend(20)).toThrow('extend: tokens');
    expect(() => run.extend(0)).toThrow('extend: tokens');
    expect(run.extend(19)).toBe(27);
    expect(run.room).toBe(0);
    const { canvas } = await run.result;
    expect(canvas).toHaveLength(32);
    expect(() => run.extend(1)).toThrow('complete');
  });
});
