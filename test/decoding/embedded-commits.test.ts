/** Every way of choosing what is committed, end to end on the model in the package. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  ancestral,
  blocks,
  calibrate,
  cap,
  countTokens,
  dilated,
  entropyBound,
  klass,
  loadModel,
  localLeap,
  lowConfidence,
  osdt,
  pcSampler,
  randomOrder,
  rightToLeft,
  sdar,
  spaced,
  threshold,
  type Decoder,
  type Model,
} from '../../lib/index.js';

const path = fileURLToPath(new URL('../../models/shakespeare-7m.Q8_0.gguf', import.meta.url));
const prompt = 'FIRST MESSENGER:\nThe ships are lost, my lord.\n\nKING:\n';
const run = { maxTokens: 32, blocks: blocks(8), bos: true, stopAtEos: false };
let model: Model;

beforeAll(async () => {
  model = await loadModel(path, { device: 'cpu' });
});
afterAll(() => model.dispose());

const background = () => countTokens([model.tokenizer.encode(prompt)], model.info.vocabulary);

// [decoder, the most forwards that it may take for 4 blocks of 8]
test.each<[string, () => Decoder | Promise<Decoder>, number]>([
  ['lowConfidence, dilated counts', () => lowConfidence({ schedule: 'dilated', steps: 16 }), 16],
  ['randomOrder, cosine counts', () => randomOrder({ schedule: 'cosine', steps: 16 }), 16],
  ['lowConfidence by margin', () => lowConfidence({ score: 'margin', steps: 16 }), 16],
  ['rightToLeft', () => rightToLeft({ k: 2 }), 16],
  ['pcSampler', () => pcSampler({ background: background(), steps: 16 }), 16],
  ['klass', () => klass({ tau: 0.3, kappa: 0.1 }), 32],
  ['localLeap', () => localLeap({ kappa: 0.6, tau: 0.3 }), 32],
  ['dilated', () => dilated(), 12],
  ['entropyBound in bits', () => entropyBound({ gamma: 3, unit: 'bits' }), 32],
  ['sdar dynamic', () => sdar({ steps: 4, tau: 0.5 }), 16],
  ['sdar static', () => sdar({ strategy: 'static', steps: 4 }), 16],
  ['sdar sequential', () => sdar({ strategy: 'sequential', steps: 4 }), 16],
  ['sdar entropyBounded', () => sdar({ strategy: 'entropyBounded', epsilon: 2 }), 32],
  ['cap', () => cap(threshold({ tau: 0 }), { max: 3 }), 12],
  ['spaced', () => spaced(threshold({ tau: 0 })), 32],
  ['ancestral', () => ancestral({ steps: 16 }), 20],
  ['osdt', async () => osdt({ profile: await calibrate(model, prompt, run) }), 32],
])('%s', async (_, make, most) => {
  const decode = await make();
  const generated = async () =>
    model.generate(prompt, { ...run, decode, temperature: 0.8, seed: 3 }).result;
  const { canvas, forwards, finishReason, tokens, counts } = await generated();
  expect(canvas).not.toContain(model.info.tokens.mask);
  expect(forwards).toBeLessThanOrEqual(most);
  expect(counts.commits.reduce((a, b) => a + b, 0)).toBe(32);
  if (finishReason === 'length') expect(tokens.length).toBe(32);
  expect((await generated()).canvas).toEqual(canvas);
});
