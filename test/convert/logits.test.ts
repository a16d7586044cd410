/** Every class: a random folder, converted, gives the logits of transformers' arithmetic. */
import { describe, expect, test } from 'vitest';
import { convert, inspectFile, loadModel } from '../../lib/index.js';
import { scratchFolder } from '../gguf/scratch.js';
import { cases, tokens } from './cases.js';
import { hfModel, sizes, usualFrequencies, writeFolder, type Json } from './folders.js';
import { forward, type ForwardOptions } from './forward.js';

const scratch = scratchFolder();

/** Largest relative error of a position's logits. */
async function worstRow(path: string, device: 'ref' | 'cpu', golden: Float64Array[]) {
  await using model = await loadModel(path, {
    device,
    shift: 0,
    threads: device === 'cpu' ? 1 : undefined,
  });
  using session = model.createSession({ length: tokens.length });
  session.set(0, tokens);
  const { logits } = await session.step({
    query: Int32Array.from(tokens.keys()),
    logits: true,
  });
  const errors = golden.map((row, i) => {
    const ours = logits!.subarray(i * row.length, (i + 1) * row.length);
    const squares = (values: ArrayLike<number>) =>
      Array.from(values).reduce((sum, x) => sum + x * x, 0);
    return Math.sqrt(squares(row.map((x, j) => x - ours[j])) / squares(row));
  });
  return Math.max(...errors);
}

async function compareLogits(path: string, golden: Float64Array[]): Promise<void> {
  expect(await worstRow(path, 'ref', golden)).toBeLessThanOrEqual(1e-5);
  expect(await worstRow(path, 'cpu', golden)).toBeLessThanOrEqual(1e-5);
}

describe.each(cases)('$hfClass', ({ hfClass, choices, architecture, spec }) => {
  test('loads without options and gives its logits', async () => {
    const model = hfModel(hfClass, 5, choices);
    const folder = writeFolder(scratch.path(hfClass), model);
    const path = scratch.path(`${hfClass}.gguf`);
    const converted = await convert(folder, path);
    expect(converted).toMatchObject({ path, architecture, type: 'F32' });
    const file = await inspectFile(path);
    expect(file.spec).toMatchObject({
      ...{ architecture, name: hfClass, dim: sizes.dim, layers: sizes.layers, context: 2048 },
      ...{ vocabulary: sizes.vocabulary, bos: 509, eos: 510, eot: 512, pad: 510 },
      ...spec,
    });
    expect(file.fileBytes).toBe(converted.bytes);
    expect(file.tensors).toHaveLength(converted.tensors);
    await compareLogits(path, forward(model.weights, model.options, tokens));
  });
});

/** As transformers' modeling_rope_utils.py computes them. */
function yarn(theta: number, headDim: number, factor: number, original: number): number[] {
  const dimension = (turns: number) =>
    (headDim * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const low = Math.max(0, Math.floor(dimension(32)));
  const high = Math.min(headDim - 1, Math.ceil(dimension(1)));
  return usualFrequencies(theta, headDim).map((frequency, i) => {
    const ramp = Math.min(1, Math.max(0, (i - low) / (high - low)));
    return (frequency / factor) * ramp + frequency * (1 - ramp);
  });
}

function llama3(theta: number, headDim: number, original: number): number[] {
  const [factor, low, high] = [8, 1, 4];
  return usualFrequencies(theta, headDim).map((frequency) => {
    const wavelength = (2 * Math.PI) / frequency;
    if (wavelength < original / high) return frequency;
    if (wavelength > original / low) return frequency / factor;
    const smooth = (original / wavelength - low) / (high - low);
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  });
}

const ropes: [string, string, Json, Partial<ForwardOptions>][] = [
  [
    'linear',
    'Qwen2ForCausalLM',
    { rope_scaling: { type: 'linear', factor: 4 } },
    { frequencies: usualFrequencies(10_000, 12).map((frequency) => frequency / 4) },
  ],
  [
    'yarn',
    'DreamModel',
    { rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 64 } },
    { frequencies: yarn(10_000, 12, 4, 64), attentionFactor: 1 + 0.1 * Math.log(4) },
  ],
  [
    'yarn with a factor of its own, as transformers 5 writes it',
    'LlamaForCausalLM',
    {
      rope_theta: undefined,
      rope_parameters: {
        ...{ rope_type: 'yarn', factor: 4, original_max_position_embeddings: 64 },
        ...{ attention_factor: 0.8, rope_theta: 5000 },
      },
    },
    { frequencies: yarn(5000, 12, 4, 64), attentionFactor: 0.8 },
  ],
  [
    'llama3',
    'LlamaForCausalLM',
    {
      rope_scaling: {
        ...{ rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 },
        original_max_position_embeddings: 64,
      },
    },
    { frequencies: llama3(10_000, 12, 64) },
  ],
];

test.each(ropes)('rope scaling: %s', async (name, hfClass, config, options) => {
  const block = hfClass === 'DreamModel' ? 0 : 1;
  const model = hfModel(hfClass, 6, { bias: hfClass !== 'LlamaForCausalLM', block, config });
  const path = scratch.path('rope.gguf');
  await convert(writeFolder(scratch.path(`rope ${name}`), model), path);
  await compareLogits(path, forward(model.weights, { ...model.options, ...options }, tokens));
});

test('biases of q and k are turned with their rows', async () => {
  const model = hfModel('LlamaForCausalLM', 7, { bias: true, block: 1 });
  const path = scratch.path('bias.gguf');
  await convert(writeFolder(scratch.path('bias'), model), path);
  await compareLogits(path, forward(model.weights, model.options, tokens));
});

test.each(['F16', 'BF16'] as const)('%s: kept, and exact as F32', async (dtype) => {
  const model = hfModel('LLaDAModelLM', 8);
  const folder = writeFolder(scratch.path(dtype), model, { dtype, shards: 3 });
  const path = scratch.path(`${dtype}.gguf`);
  expect(await convert(folder, path)).toMatchObject({ type: dtype });
  const { tensors, metadata } = await inspectFile(path);
  expect(metadata['general.file_type']).toBe(dtype === 'F16' ? 1 : 32);
  for (const { name, type, shape } of tensors)
    expect([name, type]).toEqual([name, shape.length > 1 ? dtype : 'F32']);
  await convert(folder, path, { type: 'F32' });
  await compareLogits(path, forward(model.weights, model.options, tokens));
});

test('attention, shift and mask token of the caller go into the file', async () => {
  const model = hfModel('Qwen2ForCausalLM', 9, { bias: true, block: 4 });
  const folder = writeFolder(scratch.path('overrides'), model);
  const path = scratch.path('overrides.gguf');
  await convert(folder, path, {
    attention: 'block-causal:4',
    shift: 0,
    maskToken: 513,
    name: 'mine',
  });
  const { spec } = await inspectFile(path);
  expect(spec).toMatchObject({ attentionBlock: 4, logitShift: 0, mask: 513, name: 'mine' });
  await compareLogits(path, forward(model.weights, model.options, tokens));
  await convert(folder, path, { attention: 'full' });
  expect((await inspectFile(path)).spec).toMatchObject({ attentionBlock: 0, logitShift: 1 });
});
