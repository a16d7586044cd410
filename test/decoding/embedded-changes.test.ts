/** Every way of taking back, editing, placing blocks and finding a length, on the model in the package. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  adaBlocks,
  blocks,
  daedal,
  draftAndEdit,
  editTokens,
  fillAfterEos,
  growUntilEos,
  loadModel,
  lowConfidence,
  prophet,
  randomStart,
  remask,
  remdm,
  threshold,
  topK,
  wino,
  type GenerateOptions,
  type Model,
} from '../../lib/index.js';

const path = fileURLToPath(new URL('../../models/shakespeare-7m.Q8_0.gguf', import.meta.url));
const prompt = 'FIRST MESSENGER:\nThe ships are lost, my lord.\n\nKING:\n';
let model: Model;

beforeAll(async () => {
  model = await loadModel(path, { device: 'cpu' });
});
afterAll(() => model.dispose());

// [options, the most forwards that they may take for 32 positions in blocks of 8]
test.each<[string, GenerateOptions, number]>([
  ['wino', { decode: wino({ draft: 0.2, verify: 0.4 }) }, 32],
  ['remdm cap', remdm({ eta: 0.1, steps: 24 }), 24],
  ['remdm rescale', remdm({ kind: 'rescale', eta: 0.1, steps: 24 }), 24],
  ['remdm conf', remdm({ kind: 'conf', steps: 24 }), 24],
  ['remdm loop', remdm({ kind: 'loop', eta: 0.1, steps: 24 }), 24],
  ['draftAndEdit', draftAndEdit({ mode: 'quality', maxPostSteps: 3 }), 32 + 12],
  ['remask', { decode: topK({ k: 2 }), refine: remask({ k: 2, rounds: 2 }) }, 16 + 16],
  ['randomStart', { decode: topK(), refine: [randomStart(), editTokens({ tau: 0.3 })] }, 32 + 64],
  ['prophet', { decode: lowConfidence(), refine: prophet({ early: 3, middle: 2, late: 1 }) }, 32],
  ['fillAfterEos', { decode: threshold({ tau: 0.5 }), refine: fillAfterEos() }, 32],
  ['adaBlocks', { decode: threshold({ tau: 0.5 }), blocks: adaBlocks({ size: 8 }) }, 32],
  [
    'small blocks',
    { decode: topK({ k: 2 }), blocks: blocks(4), length: growUntilEos({ initial: 4 }) },
    16,
  ],
  [
    'daedal',
    { decode: threshold({ tau: 0.9, strict: true }), length: daedal({ initial: 8 }) },
    4 + 32,
  ],
])('%s', async (_, options, most) => {
  const given = { maxTokens: 32, blocks: blocks(8), bos: true, stopAtEos: false, ...options };
  const generated = () => model.generate(prompt, { ...given, temperature: 0.8, seed: 3 }).result;
  const { canvas, forwards, finishReason, counts } = await generated();
  expect(canvas).not.toContain(model.info.tokens.mask);
  expect(forwards).toBeLessThanOrEqual(most);
  expect(finishReason).not.toBe('steps');
  const sum = counts.commits.reduce((a, b) => a + b, 0);
  expect(sum - counts.remasks).toBeGreaterThan(0);
  expect((await generated()).canvas).toEqual(canvas);
});
