import { copyFileSync, readdirSync, readFileSync, truncateSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { gguf } from '@huggingface/gguf';
import { beforeAll, describe, expect, test } from 'vitest';
import { mixes, mixNames, type Mix } from '../../lib/gguf/mixes.js';
import { encode } from '../../lib/gguf/quantise.js';
import { quantiseFile } from '../../lib/gguf/quantise-file.js';
import { Random, randomData } from '../../lib/gguf/random.js';
import { writeSynthetic } from '../../lib/gguf/synthetic.js';
import type { TensorType } from '../../lib/gguf/types.js';
import { splitGguf, writeGguf, type GgufContents } from '../../lib/gguf/writer.js';
import { native } from '../../lib/native.js';
import { goldenPath, goldens, referenceFile } from '../golden/reference-set.js';
import { inspect, scratchFolder } from './scratch.js';

const scratch = scratchFolder();
const source = (): string => scratch.path('source.gguf');

/** A small mixture of experts whose rows are 256 and, in ffn_down, 96 long. */
beforeAll(async () => {
  const shape = { layers: 2, dim: 256, heads: 4, kvHeads: 2, ffn: 96, vocabulary: 300 };
  const options = { ...shape, architecture: 'llada-moe' as const, type: 'F32' as const };
  await writeSynthetic(source(), { ...options, tokenizer: true });
});

/** Decoded tensors of a file by name. */
async function decoded(path: string): Promise<Map<string, Float32Array>> {
  const { parts, tensors } = await native().layout(path).promise;
  const values = new Map<string, Float32Array>();
  for (const { name, type, shape, bytes, part, offset } of tensors) {
    const handle = await open(parts[part], 'r');
    const data = new Uint8Array(bytes);
    await handle.read(data, 0, bytes, offset);
    await handle.close();
    const f32 = await encode(type as TensorType, 'F32', shape[0], data);
    values.set(name, new Float32Array(f32.data.buffer));
  }
  return values;
}

/** `toEqual` would take a minute. */
const same = (a: Float32Array, b: Float32Array): boolean =>
  Buffer.from(a.buffer).equals(Buffer.from(b.buffer));

const matrix = (name: string): boolean => name.endsWith('.weight') && !name.includes('norm');

/** Root mean square of the differences of all matrices. */
async function distance(a: string, b: string): Promise<number> {
  const [ours, theirs] = [await decoded(a), await decoded(b)];
  let sum = 0;
  let count = 0;
  for (const [name, values] of ours) {
    if (!matrix(name)) continue;
    const other = theirs.get(name)!;
    for (let i = 0; i < values.length; i++) sum += (values[i] - other[i]) ** 2;
    count += values.length;
  }
  return Math.sqrt(sum / count);
}

/**
 * The reference quantiser's files of the llada golden. They were made from F32; where only the
 * committed part of the set is there, its Q8_0 file is near enough to tell an error of 3 % or more.
 */
describe('against the reference quantiser', () => {
  const full = referenceFile('golden', 'llada.F32.gguf');
  const files = goldens.filter(({ model }) => model.startsWith('llada.') && !/F32/.test(model));
  const types = files.filter(({ model }) => full ?? !/Q8_0|16/.test(model));
  test.each(types.map((golden) => ({ type: golden.model.split('.')[1] as Mix, golden })))(
    '$type loses at most 3 % more',
    async ({ type, golden }) => {
      const from = full ?? goldenPath(files.find(({ model }) => model === 'llada.Q8_0.gguf')!);
      const path = scratch.path(`reference.${type}.gguf`);
      const { rms } = await quantiseFile(from, path, { type });
      const ours = await distance(path, from);
      const theirs = await distance(goldenPath(golden), from);
      console.log(`${type}: ${ours.toPrecision(4)}, reference ${theirs.toPrecision(4)}`);
      expect(ours).toBeLessThanOrEqual(1.03 * theirs);
      expect(rms / ours).toBeCloseTo(1, 6);
    },
  );
});

describe('quantiseFile', () => {
  test.each(mixNames)('%s loads, and all but the matrices is as it was', async (type) => {
    const path = scratch.path(`${type}.gguf`);
    const result = await quantiseFile(source(), path, { type });
    const before = await native().layout(source()).promise;
    const after = await native().layout(path).promise;
    const written = { 'general.file_type': mixes[type].id, 'general.quantization_version': 2 };
    const { metadata, specError, fileBytes } = await inspect(path);
    expect(specError).toBeUndefined();
    expect(metadata).toMatchObject(written);
    const kept = after.metadata.filter(([key]) => !Object.hasOwn(written, key));
    expect(kept).toEqual(before.metadata);
    expect(after.tensors.map(({ name, shape }) => [name, shape])).toEqual(
      before.tensors.map(({ name, shape }) => [name, shape]),
    );
    expect(result).toMatchObject({ path, type, bytes: fileBytes });
    expect(result.tensors.map(({ to }) => to)).toEqual(after.tensors.map((tensor) => tensor.type));
    const [old, now] = [await decoded(source()), await decoded(path)];
    for (const { name, from, to, relative } of result.tensors) {
      if (from === to) expect(same(now.get(name)!, old.get(name)!)).toBe(true);
      else expect(relative).toBeLessThan(0.3);
    }
    const model = await native().load(path, loadOptions).promise;
    await model.dispose();
  });

  test('rows that do not fit are named', async () => {
    const { tensors } = await quantiseFile(source(), scratch.path('fit.gguf'), { type: 'Q4_K_S' });
    const down = tensors.find(({ name }) => name === 'blk.0.ffn_down_exps.weight');
    expect(down).toMatchObject({ from: 'F32', to: 'Q5_0', wanted: 'Q4_K', shape: [96, 256, 4] });
    expect(tensors.find(({ name }) => name === 'blk.0.attn_q.weight')).not.toHaveProperty('wanted');
  });

  test('another reader reads it as it was meant', async () => {
    const path = scratch.path('other.gguf');
    const { tensors } = await quantiseFile(source(), path, { type: 'Q4_K_M' });
    const { metadata, tensorInfos } = await gguf(path, { allowLocalFile: true });
    expect(metadata).toMatchObject({ 'general.file_type': 15, 'general.quantization_version': 2 });
    expect(tensorInfos.map(({ name }) => name)).toEqual(tensors.map(({ name }) => name));
  });

  test('every kind of metadata comes through bit for bit, and so does the alignment', async () => {
    const from = scratch.path('kinds.gguf');
    const contents: GgufContents = {
      alignment: 64,
      metadata: {
        'general.architecture': 'none',
        'a.u64': { type: 'u64', value: 2n ** 64n - 1n },
        'a.f64': { type: 'f64', value: 0.1 },
        'a.i8': { type: 'i8', value: -3 },
        'a.flags': { type: 'array', element: 'bool', value: [true, false] },
        'a.nothing': { type: 'array', element: 'string', value: [] },
        'a.words': ['', 'ä', '\u0000'],
        'a.ids': { type: 'array', element: 'u64', value: [2n ** 60n + 1n] },
        ['__proto__']: 'harmless',
      },
      tensors: ['a.weight', 'b.weight'].map((name) => ({
        name,
        type: 'F32',
        shape: [32, 3],
        data: randomData('F32', 96, 1, new Random(1)),
      })),
    };
    await writeGguf(from, contents);
    const path = scratch.path('kinds.Q8_0.gguf');
    await quantiseFile(from, path, { type: 'Q8_0' });
    const [before, after] = [
      await native().layout(from).promise,
      await native().layout(path).promise,
    ];
    expect(after.alignment).toBe(64);
    expect(after.tensors.every(({ offset }) => offset % 64 === 0)).toBe(true);
    const values = new Map(after.metadata);
    for (const [key, value] of before.metadata) expect(values.get(key)).toEqual(value);
  });

  test('a split source gives the same file, a quantised one of the same type a copy', async () => {
    const paths = { whole: scratch.path('whole.gguf'), copy: scratch.path('copy.gguf') };
    await quantiseFile(source(), paths.whole, { type: 'Q8_0' });
    const { metadata, tensors, parts } = await native().layout(source()).promise;
    const bytes = readFileSync(parts[0]);
    const stem = scratch.path('split');
    const contents: GgufContents = {
      metadata: Object.fromEntries(metadata.map(([key, value]) => [key, { type: 'raw', value }])),
      tensors: tensors.map(({ name, shape, offset, bytes: size }) => ({
        name,
        type: 'F32',
        shape,
        data: bytes.subarray(offset, offset + size),
      })),
    };
    const split = await splitGguf(stem, contents, 3);
    const joined = scratch.path('joined.gguf');
    const result = await quantiseFile(split[0], joined, { type: 'Q8_0' });
    expect(readFileSync(joined).equals(readFileSync(paths.whole))).toBe(true);
    const sizes = split.map((path) => readFileSync(path).length);
    expect(result.sourceBytes).toBe(sizes.reduce((a, b) => a + b));
    await expect(quantiseFile(split[0], split[1], { type: 'Q8_0' })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    const copied = await quantiseFile(paths.whole, paths.copy, { type: 'Q8_0', threads: 1 });
    expect(readFileSync(paths.copy).equals(readFileSync(paths.whole))).toBe(true);
    expect(copied).toMatchObject({ rms: 0, relative: 0 });
  });

  test('a tensor of several pieces is what it is in one, and progress rises to the end', async () => {
    const from = scratch.path('large.gguf');
    const shape = [256, 17 * 1024];
    const part = randomData('BF16', 256 * 1024, 0.1, new Random(6));
    const data = Buffer.concat(Array.from({ length: 17 }, () => part));
    const tensors = [{ name: 'a.weight', type: 'BF16' as const, shape, data }];
    await writeGguf(from, { metadata: { 'general.architecture': 'none' }, tensors });
    const path = scratch.path('large.Q4_0.gguf');
    const seen: number[] = [];
    let total = 0;
    await quantiseFile(from, path, {
      type: 'Q8_0',
      onProgress: (progress) => {
        seen.push(progress.written);
        total = progress.total;
      },
    });
    const direct = await encode('BF16', 'Q8_0', 256, data);
    const file = readFileSync(path);
    expect(file.subarray(file.length - direct.data.length).equals(direct.data)).toBe(true);
    expect(seen.length).toBeGreaterThan(1);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(total);
    expect(total).toBe(file.length);
  });
});

describe('what is refused leaves nothing behind', () => {
  const type = 'Q8_0' as const;
  const refuse = async (call: Promise<unknown>, code: string, message: RegExp): Promise<void> => {
    const pattern = expect.stringMatching(message) as string;
    await expect(call).rejects.toMatchObject({ code, message: pattern });
    const left = readdirSync(dirname(source())).filter((name) => /^refused/.test(name));
    expect(left).toEqual([]);
  };
  const output = (): string => scratch.path('refused.gguf');

  test('a number that is not finite, by tensor and index', async () => {
    const values = new Float32Array(64 * 32);
    values[777] = NaN;
    const from = scratch.path('nan.gguf');
    const data = new Uint8Array(values.buffer);
    const tensors = [{ name: 'a.weight', type: 'F32' as const, shape: [64, 32], data }];
    await writeGguf(from, { metadata: { 'general.architecture': 'none' }, tensors });
    const message = /nan\.gguf: tensor a\.weight: element 777 is not a finite number/;
    await refuse(quantiseFile(from, output(), { type }), 'INVALID_ARGUMENT', message);
  });

  test('an aborted call, before and in the middle', async () => {
    const early = quantiseFile(source(), output(), { type, signal: AbortSignal.abort() });
    await refuse(early, 'ABORTED', /abort/);
    const controller = new AbortController();
    const onProgress = (): void => controller.abort();
    const late = quantiseFile(source(), output(), { type, signal: controller.signal, onProgress });
    await refuse(late, 'ABORTED', /abort/);
  });

  test('an error of onProgress', async () => {
    const onProgress = (): void => {
      throw new Error('enough');
    };
    await expect(quantiseFile(source(), output(), { type, onProgress })).rejects.toThrow('enough');
    expect(readdirSync(dirname(source()))).not.toContain('refused.gguf.part');
  });

  test('files that are not there, damaged, or the source itself', async () => {
    const none = quantiseFile(scratch.path('none.gguf'), output(), { type });
    await refuse(none, 'FILE_ERROR', /none\.gguf/);
    const cut = scratch.path('cut.gguf');
    copyFileSync(source(), cut);
    truncateSync(cut, 200_000);
    await refuse(quantiseFile(cut, output(), { type }), 'BAD_GGUF', /truncated/);
    const itself = quantiseFile(source(), source(), { type });
    await refuse(itself, 'INVALID_ARGUMENT', /output is .*source\.gguf, which is the input/);
    const nowhere = quantiseFile(source(), scratch.path('no/refused.gguf'), { type });
    await refuse(nowhere, 'FILE_ERROR', /refused\.gguf/);
  });

  test.each([
    [{ type: 'Q4_K' }, /type must be one of .*Q4_K_M.*, but is "Q4_K"/],
    [{ type, threads: 0 }, /threads must be an integer from 1 to 1024, but is 0/],
    [{ type, speed: 1 }, /speed/],
    [{ type, onProgress: 1 }, /onProgress must be a function/],
  ])('options %o', async (options, message) => {
    const call = quantiseFile(source(), output(), options as { type: Mix });
    await refuse(call, 'INVALID_ARGUMENT', message);
  });
});

const loadOptions = {
  device: 'ref',
  card: 0,
  threads: 1,
  isa: '',
  attentionBlock: -1,
  logitShift: -1,
  mask: -1,
} as const;
