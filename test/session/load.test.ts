import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { writeSynthetic, type SyntheticOptions } from '../../lib/gguf/synthetic.js';
import { inspectFile, loadModel, type LoadOptions } from '../../lib/index.js';
import { devices, failure, mask, modelFolder, vocabulary, type ModelName } from './models.js';

const { folder, write, open } = modelFolder();
const embedded = join(
  dirname(fileURLToPath(import.meta.url)),
  '../../models/shakespeare-7m.Q8_0.gguf',
);

describe('loadModel', () => {
  test('tells what the model is', async () => {
    const path = await write('dream');
    const model = await open(path, { device: 'ref' });
    expect(model.info).toMatchObject({
      architecture: 'dream',
      layers: 2,
      dim: 64,
      heads: 4,
      kvHeads: 2,
      headDim: 16,
      ffn: 96,
      vocabulary,
      context: 4096,
      experts: 0,
      attention: 'full',
      logitShift: 1,
      tokens: { mask, bos: mask - 3, eos: mask - 2, eot: mask - 1 },
      device: 'ref',
      file: { path, bytes: readFileSync(path).length },
    });
    expect(model.info.backend).toMatch(/^ref/);
    expect(model.info.weightBytes).toBeGreaterThan(0);
    expect(Object.isFrozen(model.info)).toBe(true);
  });

  test('options replace what the file says', async () => {
    const path = await write('llada');
    const attentions: [LoadOptions['attention'], unknown][] = [
      ['full', 'full'],
      ['causal', 'causal'],
      ['block-causal:1', 'causal'],
      ['block-causal:32', { blockCausal: 32 }],
      [{ blockCausal: 8 }, { blockCausal: 8 }],
    ];
    for (const [attention, expected] of attentions) {
      const model = await open(path, { device: 'ref', attention, shift: 1, maskToken: 17 });
      expect(model.info.attention).toEqual(expected);
      expect(model.info.logitShift).toBe(1);
      expect(model.createSession({ length: 2 }).tokens).toEqual(Int32Array.of(17, 17));
    }
  });

  test('soft mask parameters of the file', async () => {
    const shape = {
      architecture: 'llada',
      layers: 1,
      dim: 64,
      heads: 4,
      ffn: 96,
      vocabulary,
    } as const;
    const soft = async (softMask?: SyntheticOptions['softMask']) => {
      const path = join(folder, 'soft.gguf');
      await writeSynthetic(path, { ...shape, softMask });
      return (await open(path, { device: 'ref' })).info.softMask;
    };
    const values = { k: 3, scale: 0.25, slope: 5, centre: -1.5 };
    expect(await soft(values)).toEqual(values);
    expect(await soft()).toBeUndefined();
    for (const [bad, message] of [
      [{ ...values, scale: 1.5 }, /diffusion\.soft_mask\.scale' is 1\.5.*0.* to 1/],
      [{ ...values, k: 0 }, /diffusion\.soft_mask\.top_k' is 0/],
      [{ ...values, slope: undefined }, /soft_mask\.slope' is missing/],
    ] as const) {
      await expect(soft(bad)).rejects.toMatchObject(failure('BAD_GGUF', message));
    }
  });

  test.each<[object, RegExp]>([
    [{ gpu: true }, /"gpu".*options are device/],
    [{ device: 'tpu' }, /device.*"tpu"/],
    [{ threads: 0 }, /threads.*1 to/],
    [{ threads: 1.5 }, /threads/],
    [{ isa: 'sse9', device: 'cpu' }, /sse9/],
    [{ attention: 'sparse' }, /attention.*"sparse"/],
    [{ attention: 'block-causal:0' }, /attention.*0/],
    [{ attention: { blockCausal: 2.5 } }, /attention\.blockCausal/],
    [{ shift: 2 }, /shift.*0, 1/],
    [{ maskToken: -1 }, /maskToken/],
    [{ maskToken: vocabulary }, /maskToken.*300/],
    [{ signal: {} }, /signal.*AbortSignal/],
    [{ onProgress: 3 }, /onProgress.*function/],
    [{ pre: 3 }, /pre.*string/],
  ])('refuses %o', async (options, message) => {
    const path = await write('llada');
    await expect(loadModel(path, options)).rejects.toMatchObject(
      failure('INVALID_ARGUMENT', message),
    );
  });

  test('files that cannot be loaded name the file', async () => {
    await expect(loadModel(join(folder, 'none.gguf'))).rejects.toMatchObject(
      failure('FILE_ERROR', /none\.gguf/),
    );
    const broken = join(folder, 'broken.gguf');
    writeFileSync(broken, readFileSync(await write('llada')).subarray(0, 5000));
    await expect(loadModel(broken)).rejects.toMatchObject(failure('BAD_GGUF', /broken\.gguf/));
    await expect(loadModel(5 as never)).rejects.toMatchObject(failure('INVALID_ARGUMENT', /path/));
    await expect(loadModel(await write('llada'), { device: 'cuda:99' })).rejects.toMatchObject(
      failure('NO_CUDA', /'cuda:99' is not available: .+; use 'auto' or 'cpu'$/),
    );
    await expect(
      loadModel(await write('llada'), { device: 'cuda:x' as never }),
    ).rejects.toMatchObject(failure('INVALID_ARGUMENT', /device.*cuda:N/));
  });

  test('reports progress up to all bytes; an error thrown there ends the loading', async () => {
    const seen: { loaded: number; total: number }[] = [];
    const path = await write('llada');
    await open(path, { device: 'ref', onProgress: (progress) => seen.push(progress) });
    const { loaded, total } = seen[seen.length - 1];
    expect(loaded).toBe(total);
    expect(seen.every((p, i) => i === 0 || p.loaded >= seen[i - 1].loaded)).toBe(true);
    const mine = new Error('mine');
    const throwing = loadModel(path, {
      device: 'ref',
      onProgress: () => {
        throw mine;
      },
    });
    await expect(throwing).rejects.toBe(mine);
  });

  test.each(devices)('ends when its signal says so: %s', async (device) => {
    const reason = new Error('enough');
    const before = loadModel(embedded, { device, signal: AbortSignal.abort(reason) });
    await expect(before).rejects.toMatchObject({ code: 'ABORTED', cause: reason });
    const controller = new AbortController();
    const during = loadModel(embedded, { device, signal: controller.signal });
    controller.abort(reason);
    await expect(during).rejects.toMatchObject({ code: 'ABORTED', cause: reason });
  });
});

/** A file in which some text is another one of the same length. */
async function edited(name: ModelName, from: string, to: string): Promise<string> {
  const bytes = readFileSync(await write(name));
  bytes.write(to, bytes.indexOf(from));
  const path = join(folder, 'edited.gguf');
  writeFileSync(path, bytes);
  return path;
}

describe('a file that names no mask token', () => {
  const withoutMask = (name: ModelName) => edited(name, 'ggml.mask_token_id', 'ggml.masc_token_id');

  test('is refused for a diffusion model', async () => {
    await expect(loadModel(await withoutMask('llada'))).rejects.toMatchObject(
      failure('INVALID_ARGUMENT', /edited\.gguf.*maskToken/),
    );
  });

  test('loads for a causal one; sessions need the option maskToken', async () => {
    const path = await withoutMask('causal');
    const model = await open(path, { device: 'ref' });
    expect(model.info.attention).toBe('causal');
    expect(model.info.tokens.mask).toBeUndefined();
    const refusal = failure('INVALID_ARGUMENT', /edited\.gguf.*maskToken/);
    expect(() => model.createSession({ length: 4 })).toThrow(expect.objectContaining(refusal));
    const given = await open(path, { device: 'ref', maskToken: 0 });
    expect((await given.createSession({ length: 4 }).step()).position).toHaveLength(4);
  });
});

describe('tokenizer', () => {
  test('is made from the file', async () => {
    const model = await open(embedded, { device: 'ref' });
    const text = 'Speak, good friend.';
    expect(model.tokenizer.decode(model.tokenizer.encode(text))).toBe(text);
    expect(model.tokenizer).toBe(model.tokenizer);
    expect(model.tokenizer.mask).toBe(model.info.tokens.mask);
  });

  test('a file without one works with token ids', async () => {
    const model = await open(await write('llada'), { device: 'ref' });
    expect(() => model.tokenizer).toThrow(/no tokenizer/);
    const { tokens } = await model.generate([5, 6], { maxTokens: 4 }).result;
    expect(tokens.length).toBeLessThanOrEqual(4);
    expect(() => model.generate('text')).toThrow(/no tokenizer/);
  });

  test('pre and chatTemplate replace what the file says', async () => {
    const model = await open(embedded, { device: 'ref', pre: 'qwen2', chatTemplate: '{{ 1 }}' });
    expect(model.tokenizer.chatTemplate).toBe('{{ 1 }}');
    const unknown = await open(embedded, { device: 'ref', pre: 'no-such' });
    expect(() => unknown.tokenizer).toThrow(/no-such/);
  });
});

describe('inspectFile', () => {
  test('gives metadata, tensors, numbers and memory', async () => {
    const file = await inspectFile(embedded, { lengths: [32, 256] });
    expect(file.metadata['general.architecture']).toBe('llada');
    expect(file.spec).toMatchObject({ architecture: 'llada', layers: 8, mask: 1023 });
    expect(file.tensors.find(({ name }) => name === 'token_embd.weight')).toMatchObject({
      type: 'Q8_0',
      shape: [256, 1024],
      bytes: (256 / 32) * 34 * 1024,
    });
    const { caches, activations } = file.memory!;
    expect(caches).toHaveLength(2);
    expect(caches[1]).toBe(8 * caches[0]);
    expect(activations[1]).toBe(8 * activations[0]);
  });

  test('says why a file cannot run', async () => {
    const path = await edited('llada', 'llada', 'lladx');
    const file = await inspectFile(path);
    expect(file.spec).toBeUndefined();
    expect(file.specError).toMatchObject({ code: 'UNSUPPORTED_ARCHITECTURE' });
    expect(file.specError!.message).toMatch(/lladx/);
    expect(file.tensors.length).toBeGreaterThan(0);
  });
});
