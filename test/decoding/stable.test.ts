/** What a frame calls stable stays as it is: text that may be shown to somebody for good. */
import { expect, test } from 'vitest';
import { absoluteBlocks, blocks, growUntilEos, threshold } from '../../lib/decoding/index.js';
import { generate } from '../../lib/generate.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { eos, FakeModel, mask } from './fake.js';
import { decoders, methods } from './methods.js';

const prompt = [3, 1, 4, 1, 5];
const plans = [blocks(8), blocks(4), absoluteBlocks(4)];
const everything: [string, GenerateOptions, boolean][] = [
  ...Object.entries(decoders).map(([name, decode]) => [name, { decode }, false] as never),
  ...Object.entries(methods).map(
    ([name, { options, revises = false }]) => [name, options, revises] as never,
  ),
];

test.each(everything)('%s', async (_, options, revises) => {
  let [shown, most] = [0, 0];
  for (let seed = 0; seed < 6; seed++) {
    const plan = options.length === undefined ? { blocks: plans[seed % 3] } : {};
    const sampling = { seed, temperature: seed % 4, maxTokens: 19, stopAtEos: seed % 2 === 0 };
    const model = new FakeModel(undefined, { logitShift: seed % 2 });
    const run = generate(model, prompt, { ...plan, ...options, ...sampling });
    let stable: number[] = [];
    for await (const frame of run) {
      const tokens = [...frame.tokens.subarray(0, frame.stable)];
      expect(tokens).not.toContain(mask);
      expect(tokens.slice(0, stable.length)).toEqual(stable);
      if (!revises) expect(frame.tokens[frame.stable]).toSatisfy(isMaskOrNothing);
      shown += frame.remaining > 0 ? tokens.length : 0;
      most += frame.remaining > 0 ? 1 : 0;
      stable = tokens;
    }
    const { canvas } = await run.result;
    expect([...canvas.subarray(prompt.length)].slice(0, stable.length)).toEqual(stable);
  }
  if (!revises) expect(shown).toBeGreaterThan(0);
  expect(most).toBeGreaterThan(0);
});

const isMaskOrNothing = (token: number | undefined) => token === mask || token === undefined;

test('a refinement of the caller may edit anything', async () => {
  const refine = () => ({ revise: () => undefined });
  const model = new FakeModel();
  for await (const frame of generate(model, prompt, { maxTokens: 8, refine })) {
    expect(frame.stable).toBe(0);
  }
});

test('a decoder that revises leaves finished blocks alone', async () => {
  const options = { ...methods.wino.options, maxTokens: 24, blocks: blocks(8), stopAtEos: false };
  const seen = new Set<number>();
  for await (const { stable, block } of generate(new FakeModel(), prompt, options)) {
    expect(stable).toBe(8 * block);
    seen.add(stable);
  }
  expect([...seen]).toEqual([0, 8, 16]);
});

test('an answer that grows shows what it has', async () => {
  const options = { decode: threshold({ tau: 0.5 }), length: growUntilEos({ initial: 4, by: 4 }) };
  const frames = [];
  const model = new FakeModel(undefined, { tokens: { mask, eos } });
  for await (const frame of generate(model, prompt, { ...options, maxTokens: 16 })) {
    frames.push(frame.stable);
  }
  expect(frames).toEqual([...frames].sort((a, b) => a - b));
  expect(frames.at(-1)).toBeGreaterThan(0);
});
