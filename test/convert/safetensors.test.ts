/** Weights of a folder: hostile headers, and shards. */
import { readFileSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { convert } from '../../lib/index.js';
import { scratchFolder } from '../gguf/scratch.js';
import { safetensors, writeFolder } from './folders.js';
import { refused, sound } from './refused.js';

const scratch = scratchFolder();

describe('model.safetensors', () => {
  const file = 'model.safetensors';
  const entry = (shape: number[], begin: number, end: number, dtype: unknown = 'F32') => ({
    ...{ dtype, shape, data_offsets: [begin, end] },
  });
  const huge = (): Uint8Array => {
    const bytes = safetensors('{}', new Uint8Array(8));
    new DataView(bytes.buffer).setBigUint64(0, 2n ** 63n, true);
    return bytes;
  };

  test.each<[string, string, RegExp, Uint8Array]>([
    ['is empty', 'BAD_CHECKPOINT', /has 0 bytes, must begin with/, new Uint8Array()],
    [
      'has a header longer than itself',
      'BAD_CHECKPOINT',
      /header length is 922337203685477/,
      huge(),
    ],
    [
      'has a header that is no JSON',
      'BAD_CHECKPOINT',
      /is no JSON/,
      safetensors('{"', new Uint8Array()),
    ],
    [
      'has a header that is no object',
      'BAD_CHECKPOINT',
      /JSON object/,
      safetensors([], new Uint8Array()),
    ],
    [
      'has an entry that is none',
      'BAD_CHECKPOINT',
      /tensor "a": must be an object/,
      safetensors({ a: 3 }, new Uint8Array()),
    ],
    [
      'has a negative dimension',
      'BAD_CHECKPOINT',
      /shape is \[-1,-4\], must be an array of whole numbers/,
      safetensors({ a: entry([-1, -4], 0, 16) }, new Uint8Array(16)),
    ],
    [
      'has a shape beyond all numbers',
      'BAD_CHECKPOINT',
      /has 16 bytes, must have /,
      safetensors({ a: entry([2 ** 52, 2 ** 52], 0, 16) }, new Uint8Array(16)),
    ],
    [
      'has offsets in the wrong order',
      'BAD_CHECKPOINT',
      /has -16 bytes, must have 16/,
      safetensors({ a: entry([4], 16, 0) }, new Uint8Array(16)),
    ],
    [
      'has offsets that are no numbers',
      'BAD_CHECKPOINT',
      /data_offsets is \[0,"16"\], must be two whole numbers/,
      safetensors({ a: { dtype: 'F32', shape: [4], data_offsets: [0, '16'] } }, new Uint8Array(16)),
    ],
    [
      'has tensors that overlap',
      'BAD_CHECKPOINT',
      /tensor "b" begins at byte 8 of the data, must begin at 16/,
      safetensors({ a: entry([4], 0, 16), b: entry([4], 8, 24) }, new Uint8Array(24)),
    ],
    [
      'has a hole',
      'BAD_CHECKPOINT',
      /tensor "b" begins at byte 20 of the data, must begin at 16/,
      safetensors({ a: entry([4], 0, 16), b: entry([1], 20, 24) }, new Uint8Array(24)),
    ],
    [
      'has tensors outside of itself',
      'BAD_CHECKPOINT',
      /the tensors take 16 bytes, but the file has 8 of data/,
      safetensors({ a: entry([4], 0, 16) }, new Uint8Array(8)),
    ],
    [
      'has data that is no tensor',
      'BAD_CHECKPOINT',
      /the tensors take 16 bytes, but the file has 24 of data/,
      safetensors({ a: entry([4], 0, 16) }, new Uint8Array(24)),
    ],
    [
      'has a type that is not supported',
      'UNSUPPORTED_TYPE',
      /tensor a is F8_E4M3; supported are F32, F16, BF16/,
      safetensors({ a: entry([16], 0, 16, 'F8_E4M3') }, new Uint8Array(16)),
    ],
    [
      'has a type that does not exist',
      'UNSUPPORTED_TYPE',
      /tensor "a" is "__proto__"/,
      safetensors({ a: entry([16], 0, 16, '__proto__') }, new Uint8Array(16)),
    ],
  ])('%s', async (_, code, message, bytes) => {
    await refused(
      scratch,
      code,
      message,
      () => {},
      (folder) => writeFileSync(join(folder, file), bytes),
    );
  });

  test('is missing: others are named', async () => {
    await refused(
      scratch,
      'BAD_CHECKPOINT',
      /has neither model.*; it has pytorch_model\.bin/,
      () => {},
      (folder) => {
        unlinkSync(join(folder, file));
        writeFileSync(join(folder, 'pytorch_model.bin'), '');
      },
    );
  });

  test('is an adapter', async () => {
    await refused(
      scratch,
      'BAD_CHECKPOINT',
      /adapter; merge it into its base model/,
      () => {},
      (folder) => {
        unlinkSync(join(folder, file));
        writeFileSync(join(folder, 'adapter_model.safetensors'), '');
      },
    );
  });

  test('any truncation is refused', async () => {
    const folder = writeFolder(scratch.path('truncated'), sound());
    const size = readFileSync(join(folder, file)).length;
    for (let n = size - 1; n > 0; n = Math.floor(n * 0.6)) {
      truncateSync(join(folder, file), n);
      const failed = convert(folder, join(folder, 'out.gguf'));
      await expect(failed).rejects.toMatchObject({ code: 'BAD_CHECKPOINT' });
    }
  });

  test('is not overwritten', async () => {
    const folder = writeFolder(scratch.path('self'), sound());
    const before = readFileSync(join(folder, file));
    await expect(convert(folder, join(folder, '.', file))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    expect(readFileSync(join(folder, file)).equals(before)).toBe(true);
  });
});

describe('shards', () => {
  const index = 'model.safetensors.index.json';
  const sharded = (name: string): string => {
    return writeFolder(scratch.path(name), sound(), { shards: 3 });
  };
  const changeIndex = (folder: string, change: (map: Record<string, unknown>) => void): void => {
    const path = join(folder, index);
    const json = JSON.parse(readFileSync(path, 'utf8')) as { weight_map: Record<string, unknown> };
    change(json.weight_map);
    writeFileSync(path, JSON.stringify(json));
  };
  const norm = 'model.transformer.ln_f.weight';

  test('give the file that one does', async () => {
    const single = writeFolder(scratch.path('single'), sound());
    const [a, b] = [scratch.path('a.gguf'), scratch.path('b.gguf')];
    await convert(single, a, { name: 'same' });
    await convert(sharded('three'), b, { name: 'same' });
    expect(readFileSync(b).equals(readFileSync(a))).toBe(true);
  });

  test.each<[string, string, RegExp, (map: Record<string, unknown>) => void]>([
    [
      'elsewhere',
      'BAD_CHECKPOINT',
      /is in "\.\.\/x\.safetensors", must be a/,
      (m) => (m[norm] = '../x.safetensors'),
    ],
    ['no file', 'BAD_CHECKPOINT', /ln_f\.weight is in 3, must be a/, (m) => (m[norm] = 3)],
    [
      'a file that is missing',
      'FILE_ERROR',
      /gone\.safetensors: cannot open/,
      (m) => (m[norm] = 'gone.safetensors'),
    ],
    [
      'the wrong shard',
      'BAD_CHECKPOINT',
      /ln_f\.weight is not in model-0000[13]/,
      (m) => {
        m[norm] =
          m[norm] === 'model-00001-of-00003.safetensors'
            ? 'model-00003-of-00003.safetensors'
            : 'model-00001-of-00003.safetensors';
      },
    ],
    [
      'less than the shards',
      'BAD_CHECKPOINT',
      /weight_map lacks .*ln_f\.weight/,
      (m) => delete m[norm],
    ],
  ])('the index names %s', async (name, code, message, change) => {
    const folder = sharded(name);
    changeIndex(folder, change);
    await expect(convert(folder, scratch.path('x.gguf'))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as unknown,
    });
  });
});
