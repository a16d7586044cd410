/** Every method writes with the model in the package: 32 tokens, no mask, within its steps. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { blocks, presets, type PresetName } from '../../lib/decoding/index.js';
import { loadModel, type Model } from '../../lib/model.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { decodersFor, methods } from './methods.js';

const path = fileURLToPath(new URL('../../models/shakespeare-7m.Q8_0.gguf', import.meta.url));
const maxTokens = 32;
let model: Model;

beforeAll(async () => {
  model = await loadModel(path, { device: 'cpu', threads: 1 });
});
afterAll(() => model.dispose());

async function write(options: GenerateOptions, extra = 0): Promise<void> {
  const prompt = 'KING HENRY:\nMy lord, ';
  const common = { maxTokens, bos: true, temperature: 0.7, seed: 1, stopAtEos: false };
  const run = model.generate(prompt, { blocks: blocks(8), ...common, ...options });
  const { canvas, forwards, finishReason, policies } = await run.result;
  const { mask, eos } = model.info.tokens;
  const answer = canvas.subarray(run.prompt.length, run.prompt.length + maxTokens);
  expect(answer).not.toContain(mask);
  // A canvas that finds its length may end before.
  if (policies.length.name === 'fixedLength') expect(answer.length).toBe(maxTokens);
  expect(forwards).toBeLessThanOrEqual(2 * maxTokens + extra);
  if (finishReason === 'eos') expect(answer).toContain(eos);
}

// The vocabulary is the model's, which is known only when it is loaded.
test.each(Object.keys(decodersFor(16)))('%s', async (name) => {
  const decoders = decodersFor(model.info.vocabulary);
  await write({ decode: decoders[name as keyof typeof decoders] });
});

test.each(Object.entries(methods))('%s', async (_, { options, extra }) => write(options, extra));

test.each(Object.keys(presets) as PresetName[])('preset %s', async (preset) => {
  const { options } = presets[preset];
  await write({ preset, blocks: options.blocks }, 4 * maxTokens);
});
