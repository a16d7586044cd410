/** Folders that cannot become a GGUF file, and conversions that end early. */
import { existsSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { convert, inspectFile, loadModel } from '../../lib/index.js';
import { scratchFolder } from '../gguf/scratch.js';
import { sizes, writeFolder, type HfModel, type Json } from './folders.js';
import { refused, sound } from './refused.js';

const scratch = scratchFolder();

const config = (values: Json) => (model: HfModel) => void Object.assign(model.config, values);

describe('config.json', () => {
  test.each<[string, string, RegExp, (model: HfModel) => void]>([
    [
      'unknown class',
      'UNSUPPORTED_ARCHITECTURE',
      /config\.json: architectures is \["Mamba"\]; supported are LLaDAModelLM, DreamModel/,
      config({ architectures: ['Mamba'], model_type: 'llada' }),
    ],
    [
      'unknown type',
      'UNSUPPORTED_ARCHITECTURE',
      /model_type is "mamba"; supported are/,
      config({ architectures: null, model_type: 'mamba' }),
    ],
    [
      'quantised weights',
      'UNSUPPORTED_ARCHITECTURE',
      /quantised \(quantization_config\); convert the original ones/,
      config({ quantization_config: { quant_method: 'gptq' } }),
    ],
    [
      'other arithmetic',
      'UNSUPPORTED_ARCHITECTURE',
      /attention_layer_norm is true; only false is supported/,
      config({ attention_layer_norm: true }),
    ],
    ['missing number', 'BAD_CHECKPOINT', /d_model is missing, must be/, config({ d_model: null })],
    [
      'wrong number',
      'BAD_CHECKPOINT',
      /n_layers is 1\.5, must be a whole/,
      config({ n_layers: 1.5 }),
    ],
    ['odd heads', 'BAD_CHECKPOINT', /9\.6 numbers a head/, config({ n_heads: 5 })],
    ['shared heads', 'BAD_CHECKPOINT', /3 heads .* must divide 4 heads/, config({ n_kv_heads: 3 })],
    [
      'base of rope',
      'BAD_CHECKPOINT',
      /rope_theta is 0, must be positive|positive number/,
      config({ rope_theta: 0 }),
    ],
    [
      'rope scaling',
      'UNSUPPORTED_ARCHITECTURE',
      /rope_scaling: type is "longrope"; supported are default, linear, yarn and llama3/,
      config({ rope_scaling: { rope_type: 'longrope' } }),
    ],
    [
      'rope scaling without its factor',
      'BAD_CHECKPOINT',
      /rope_scaling: factor is missing, must be a positive number/,
      config({ rope_scaling: { type: 'linear' } }),
    ],
    [
      'soft masks',
      'BAD_CHECKPOINT',
      /soft_mask is .*, must have the numbers top_k, scale, slope, centre/,
      config({ soft_mask: { top_k: 3 } }),
    ],
  ])('%s', async (_, code, message, change) => refused(scratch, code, message, change));

  test('is missing', async () => {
    await refused(
      scratch,
      'BAD_CHECKPOINT',
      /has no config\.json/,
      () => {},
      (folder) => unlinkSync(join(folder, 'config.json')),
    );
  });
});

describe('tensors', () => {
  const q = 'model.transformer.blocks.1.q_proj.weight';

  test('missing', () =>
    refused(
      scratch,
      'BAD_CHECKPOINT',
      /tensor .*blocks\.1\.q_proj\.weight is missing, must have shape \[48, 48\]/,
      (m) => m.weights.delete(q),
    ));

  test('wrong shape', () =>
    refused(
      scratch,
      'BAD_CHECKPOINT',
      /model\.safetensors: tensor .*q_proj\.weight has shape \[24, 96\], must have \[48, 48\] by .*config\.json/,
      (m) => (m.weights.get(q)!.shape = [24, 96]),
    ));

  test('without a place', () =>
    refused(
      scratch,
      'UNSUPPORTED_ARCHITECTURE',
      /tensor model\.transformer\.blocks\.0\.attn_out\.bias has no place in architecture llada/,
      (m) =>
        m.weights.set('model.transformer.blocks.0.attn_out.bias', {
          shape: [sizes.dim],
          values: new Float32Array(sizes.dim),
        }),
    ));

  test('a bias in one layer alone', () =>
    refused(scratch, 'UNSUPPORTED_ARCHITECTURE', /blocks\.1\.q_proj\.bias has no place/, (m) =>
      m.weights.set('model.transformer.blocks.1.q_proj.bias', {
        shape: [sizes.dim],
        values: new Float32Array(sizes.dim),
      }),
    ));

  test('frequencies of rope, which old versions saved, are left out', async () => {
    const model = sound();
    const name = 'model.layers.0.self_attn.rotary_emb.inv_freq';
    model.weights.set(name, { shape: [4], values: new Float32Array(4) });
    const folder = writeFolder(scratch.path('buffers'), model);
    const { tensors } = await convert(folder, scratch.path('buffers.gguf'));
    expect(tensors).toBe(model.weights.size - 1);
  });

  test.each([
    ['not finite', NaN, 'Q8_0', /attn_out\.weight: element 77 is not a finite number/],
    ['too large for the type', 1e6, 'F16', /attn_out\.weight: element 77 .* too large for F16/],
  ] as const)('%s', async (_, value, type, message) => {
    const name = 'model.transformer.blocks.1.attn_out.weight';
    const spoil = (m: HfModel): void => void (m.weights.get(name)!.values[77] = value);
    await refused(scratch, 'INVALID_ARGUMENT', message, spoil, () => {}, { type });
  });
});

describe('the end', () => {
  const big = (): HfModel => {
    const model = sound();
    const rows = 40_000; // 7.7 MB, two pieces
    for (const name of ['wte', 'ff_out'])
      model.weights.set(`model.transformer.${name}.weight`, {
        shape: [rows, sizes.dim],
        values: new Float32Array(rows * sizes.dim).fill(0.5),
      });
    Object.assign(model.config, { embedding_size: rows, vocab_size: rows });
    return model;
  };

  test('progress rises to all bytes; the result says what was written', async () => {
    const folder = writeFolder(scratch.path('progress'), sound());
    const path = scratch.path('progress.gguf');
    const seen: { written: number; total: number }[] = [];
    const converted = await convert(folder, path, {
      type: 'Q4_K_M',
      onProgress: (at) => void seen.push(at),
    });
    expect(seen.map(({ written }) => written)).toEqual(
      seen.map(({ written }) => written).sort((a, b) => a - b),
    );
    expect(seen.at(-1)).toEqual({ written: converted.bytes, total: converted.bytes });
    expect(readFileSync(path)).toHaveLength(converted.bytes);
    expect(existsSync(`${path}.part`)).toBe(false);
    // Rows of 48 and 40 fit no block of 256 or 32.
    expect(converted.substituted).toHaveLength(2 + 7 * sizes.layers);
    expect(converted.substituted[0]).toEqual({
      ...{ name: 'token_embd.weight', type: 'F16', wanted: 'Q4_K' },
    });
    await using model = await loadModel(path);
    expect(model.info.parameters).toBe(converted.parameters);
  });

  test('an abort leaves nothing, and what was there stays', async () => {
    const folder = writeFolder(scratch.path('abort'), big());
    const path = scratch.path('abort.gguf');
    writeFileSync(path, 'old');
    for (const type of ['F32', 'Q8_0'] as const) {
      const controller = new AbortController();
      const conversion = convert(folder, path, {
        type,
        signal: controller.signal,
        onProgress: () => controller.abort(),
      });
      await expect(conversion).rejects.toMatchObject({ code: 'ABORTED' });
      expect(existsSync(`${path}.part`)).toBe(false);
      expect(readFileSync(path, 'utf8')).toBe('old');
    }
    await expect(convert(folder, path, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });

  test('an error in the progress callback is passed on', async () => {
    const folder = writeFolder(scratch.path('callback'), sound());
    const path = scratch.path('callback.gguf');
    const failed = convert(folder, path, {
      onProgress: () => {
        throw new TypeError('mine');
      },
    });
    await expect(failed).rejects.toThrow(TypeError);
    expect(existsSync(path) || existsSync(`${path}.part`)).toBe(false);
  });

  test('a place that cannot be written', async () => {
    const folder = writeFolder(scratch.path('place'), sound());
    await expect(convert(folder, join(folder, 'no', 'x.gguf'))).rejects.toMatchObject({
      code: 'FILE_ERROR',
    });
  });

  test.each<[object, RegExp]>([
    [{ typo: 1 }, /convert options: unknown option "typo"/],
    [{ type: 'Q9' }, /type must be one of "F32"/],
    [{ maskToken: 520 }, /maskToken is 520, must be below 520/],
    [{ attention: 'some' }, /attention must be/],
    [{ shift: 2 }, /shift must be one of 0, 1/],
    [{ onProgress: 3 }, /onProgress must be a function/],
  ])('option %j', async (options, message) => {
    await refused(
      scratch,
      'INVALID_ARGUMENT',
      message,
      () => {},
      () => {},
      options,
    );
  });

  test('soft-mask parameters are carried over', async () => {
    const model = sound();
    model.config.soft_mask = { top_k: 3, scale: 0.25, slope: 6, centre: -1 };
    const path = scratch.path('soft.gguf');
    await convert(writeFolder(scratch.path('soft'), model), path);
    expect((await inspectFile(path)).spec?.softMask).toEqual({
      ...{ k: 3, scale: 0.25, slope: 6, centre: -1 },
    });
  });
});
