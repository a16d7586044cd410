import { expect, test } from 'vitest';
import { blocks, noCache, presets, type PresetName } from '../../lib/decoding/index.js';
import { generate } from '../../lib/generate.js';
import { FakeModel, mask } from './fake.js';

const names = Object.keys(presets) as PresetName[];
const prompt = [1, 2, 3];

test('one for each name', () => {
  expect(names).toEqual([
    ...['llada', 'dream', 'fast-dllm', 'sdar', 'llada2', 'wino', 'semi-ar', 'quality', 'fast'],
  ]);
});

test.each(names)('%s runs, and leaves no mask', async (preset) => {
  const model = new FakeModel(undefined, { tokens: { mask } }); // never ends by itself
  const { canvas, policies } = await generate(model, prompt, { preset, maxTokens: 13 }).result;
  expect(canvas.subarray(3, 16)).not.toContain(mask);
  const same = await generate(new FakeModel(undefined, { tokens: { mask } }), prompt, {
    ...presets[preset].options,
    maxTokens: 13,
  }).result;
  expect(same.canvas).toEqual(canvas);
  expect(same.policies).toEqual(policies);
});

test('options have their way over a preset; undefined is none', () => {
  const { policies } = generate(new FakeModel(), prompt, {
    preset: 'fast-dllm',
    blocks: blocks(4),
    cache: noCache(),
    decode: undefined,
  });
  expect(policies).toMatchObject({
    decode: { name: 'threshold', options: { tau: 0.9 } },
    blocks: { name: 'blocks', options: 4 },
    cache: { name: 'noCache' },
  });
});

test('another name is refused', () => {
  expect(() => generate(new FakeModel(), prompt, { preset: 'faster' as never })).toThrow(
    /preset must be one of "llada".* but is "faster"/,
  );
});
