/** What `inspectFile` says about memory is what loading then takes, and close to the file's size. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { writeSynthetic, type SyntheticOptions } from '../../lib/gguf/synthetic.js';
import { inspectFile, loadModel } from '../../lib/index.js';
import { modelFolder } from './models.js';

const { folder } = modelFolder();
const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

const shape = { layers: 2, dim: 256, heads: 4, ffn: 520, vocabulary: 1003 };
const types = [
  ...['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'IQ4_NL', 'IQ4_XS'],
  ...['Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K'],
] as NonNullable<SyntheticOptions['type']>[];
const models: [string, SyntheticOptions][] = [
  ...types.map((type): [string, SyntheticOptions] => [
    type,
    { architecture: 'llada', ...shape, ffn: 512, type },
  ]),
  ['rows that fill no tile', { architecture: 'llada', ...shape, type: 'F16' }],
  ['biases and a tied head', { architecture: 'dream', ...shape, kvHeads: 2, tied: true }],
  ['experts', { architecture: 'llada-moe', ...shape, type: 'Q4_K' }],
];

test.each(models)('the weights: %s', async (_, options) => {
  const path = join(folder, 'model.gguf');
  await writeSynthetic(path, options);
  await expectWeights(path);
});

test('the weights: the embedded model', () =>
  expectWeights(join(root, 'models/shakespeare-7m.Q8_0.gguf')));

async function expectWeights(path: string): Promise<void> {
  const { memory, tensors } = await inspectFile(path);
  const model = await loadModel(path);
  const { weightBytes } = model.info;
  await model.dispose();
  expect(memory!.weights).toBe(weightBytes);
  const inFile = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
  expect(weightBytes / inFile).toBeLessThan(1.2);
}

test('a session: what the model says, in two parts', async () => {
  const path = join(folder, 'model.gguf');
  await writeSynthetic(path, { architecture: 'llada', ...shape });
  const lengths = [1, 77];
  const { memory } = await inspectFile(path, { lengths });
  const model = await loadModel(path);
  const { caches, activations } = memory!;
  lengths.forEach((n, i) => expect(model.sessionBytes(n)).toBe(caches[i] + activations[i]));
  await model.dispose();
});
