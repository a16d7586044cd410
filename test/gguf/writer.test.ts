import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { gguf } from '@huggingface/gguf';
import { describe, expect, test } from 'vitest';
import { f32, splitGguf, u64, writeGguf, type GgufContents } from '../../lib/gguf/writer.js';
import { inspect, scratchFolder } from './scratch.js';

const scratch = scratchFolder();

const bytes = (n: number, first: number): Uint8Array =>
  Uint8Array.from({ length: n }, (_, i) => first + i);

const contents: GgufContents = {
  metadata: {
    'general.architecture': 'llada',
    'general.name': 'Ünïcode 🙂',
    'a.u32': 4_000_000_000,
    'a.i32': -5,
    'a.f32': f32(1_000_000),
    'a.float': 0.25,
    'a.bool': true,
    'a.u64': u64(2n ** 53n + 1n),
    'a.i8': { type: 'i8', value: -128 },
    'a.f64': { type: 'f64', value: Math.PI },
    'a.strings': ['', 'two', 'Ġthree'],
    'a.integers': [1, -2, 3],
    'a.floats': [0.5, -1],
    'a.none': { type: 'array', element: 'string', value: [] },
  },
  tensors: [
    { name: 'whole', type: 'F32', shape: [3], data: bytes(12, 1) },
    {
      name: 'pieces',
      type: 'Q8_0',
      shape: [32, 2],
      data: function* () {
        yield bytes(30, 20);
        yield bytes(38, 50);
      },
    },
    {
      name: 'later',
      type: 'F16',
      shape: [2, 2, 2],
      data: async function* () {
        yield await Promise.resolve(bytes(16, 100));
      },
    },
  ],
};

describe('writeGguf', () => {
  test('is read by another reader as it was meant', async () => {
    const path = scratch.path('other.gguf');
    const size = await writeGguf(path, { ...contents, alignment: 64 });
    expect((await stat(path)).size).toBe(size);
    const { metadata, tensorInfos, tensorDataOffset } = await gguf(path, { allowLocalFile: true });
    expect(metadata).toMatchObject({
      version: 3,
      'general.architecture': 'llada',
      'general.name': 'Ünïcode 🙂',
      'general.alignment': 64,
      'a.u32': 4_000_000_000,
      'a.i32': -5,
      'a.f32': 1_000_000,
      'a.float': 0.25,
      'a.bool': true,
      'a.u64': 2n ** 53n + 1n,
      'a.i8': -128,
      'a.f64': Math.PI,
      'a.strings': ['', 'two', 'Ġthree'],
      'a.integers': [1, -2, 3],
      'a.floats': [0.5, -1],
      'a.none': [],
    });
    expect(tensorInfos.map(({ name, dtype, shape }) => [name, dtype, shape.map(Number)])).toEqual([
      ['whole', 0, [3]],
      ['pieces', 8, [32, 2]],
      ['later', 1, [2, 2, 2]],
    ]);
    const file = await readFile(path);
    const start = Number(tensorDataOffset);
    expect(start % 64).toBe(0);
    const [whole, pieces, later] = tensorInfos.map((info) => start + Number(info.offset));
    expect(file.subarray(whole, whole + 12)).toEqual(Buffer.from(bytes(12, 1)));
    expect(file.subarray(pieces, pieces + 68)).toEqual(Buffer.from(bytes(68, 20)));
    expect(file.subarray(later, later + 16)).toEqual(Buffer.from(bytes(16, 100)));
  });

  test('is read by the native parser as it was meant', async () => {
    const path = scratch.path('native-ünï.gguf');
    const size = await writeGguf(path, contents);
    const file = await inspect(path);
    expect(file).toMatchObject({ path, version: 3, fileBytes: size });
    expect(file.metadata).toMatchObject({
      'general.name': 'Ünïcode 🙂',
      'a.u32': 4_000_000_000,
      'a.i32': -5,
      'a.f32': 1_000_000,
      'a.float': 0.25,
      'a.bool': true,
      'a.u64': 2n ** 53n + 1n,
      'a.i8': -128,
      'a.f64': Math.PI,
      'a.integers': Float64Array.of(1, -2, 3),
      'a.floats': Float64Array.of(0.5, -1),
    });
    expect(Object.keys(file.metadata)).toEqual(Object.keys(contents.metadata));
    expect(file.tensors).toEqual([
      { name: 'whole', type: 'F32', shape: [3], bytes: 12 },
      { name: 'pieces', type: 'Q8_0', shape: [32, 2], bytes: 68 },
      { name: 'later', type: 'F16', shape: [2, 2, 2], bytes: 16 },
    ]);
  });

  test.each<[string, Partial<GgufContents>, RegExp]>([
    [
      'data of the wrong length',
      tensorOf({ shape: [4] }),
      /Tensor t: data has 12 bytes, must have 16/,
    ],
    ['streamed data of the wrong length', tensorOf({ data: () => [bytes(11, 0)] }), /has 11 bytes/],
    ['a row of part of a block', tensorOf({ type: 'Q4_0' }), /multiple of 32 for Q4_0/],
    ['no dimensions', tensorOf({ shape: [] }), /1 to 4 positive integers/],
    ['an odd alignment', { alignment: 12 }, /alignment is 12/],
    ['an untyped empty array', { metadata: { k: [] } }, /Key k: an empty array/],
    [
      'a value out of range',
      { metadata: { k: { type: 'u8', value: 256 } } },
      /256 does not fit u8/,
    ],
    [
      'a part of an integer',
      { metadata: { k: { type: 'i64', value: 0.5 } } },
      /0.5 does not fit i64/,
    ],
    ['a number beyond 32 bits', { metadata: { k: 2 ** 40 } }, /Key k: 1099511627776/],
  ])('refuses %s and leaves no file', async (_, change, message) => {
    const path = scratch.path('refused.gguf');
    await expect(writeGguf(path, { metadata: {}, tensors: [], ...change })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message) as string,
    });
    expect(existsSync(path)).toBe(false);
  });

  test('names a path that cannot be written', async () => {
    const path = scratch.path('no/such/folder.gguf');
    await expect(writeGguf(path, contents)).rejects.toMatchObject({
      code: 'FILE_ERROR',
      message: expect.stringContaining(path) as string,
    });
  });
});

function tensorOf(change: Partial<GgufContents['tensors'][0]>): Partial<GgufContents> {
  return { tensors: [{ name: 't', type: 'F32', shape: [3], data: bytes(12, 0), ...change }] };
}

describe('split files', () => {
  test('load from any part, with the metadata of the first', async () => {
    const paths = await splitGguf(scratch.path('split'), contents, 3);
    expect(paths.map((path) => path.slice(-20))).toEqual([
      '-00001-of-00003.gguf',
      '-00002-of-00003.gguf',
      '-00003-of-00003.gguf',
    ]);
    for (const path of paths) {
      const file = await inspect(path);
      expect(file.tensors.map(({ name }) => name)).toEqual(['whole', 'pieces', 'later']);
      expect(file.metadata['general.name']).toBe('Ünïcode 🙂');
      expect(file.fileBytes).toBe(
        (await Promise.all(paths.map((p) => stat(p)))).reduce((sum, s) => sum + s.size, 0),
      );
    }
  });

  const withKeys = (keys: Record<string, number>, tensor: string): GgufContents => ({
    metadata: keys,
    tensors: [{ name: tensor, type: 'F32', shape: [1], data: bytes(4, 0) }],
  });
  const pair = async (
    name: string,
    first: GgufContents,
    second: GgufContents,
  ): Promise<[string, string]> => {
    const paths: [string, string] = [
      scratch.path(`${name}-00001-of-00002.gguf`),
      scratch.path(`${name}-00002-of-00002.gguf`),
    ];
    await writeGguf(paths[0], first);
    await writeGguf(paths[1], second);
    return paths;
  };
  const refused = (path: string, code: string, message: RegExp): Promise<void> =>
    expect(inspect(path)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    });

  test('a missing part is named', async () => {
    const stem = scratch.path('missing');
    await writeGguf(
      `${stem}-00001-of-00002.gguf`,
      withKeys({ 'split.no': 0, 'split.count': 2 }, 'a'),
    );
    await refused(
      `${stem}-00001-of-00002.gguf`,
      'FILE_ERROR',
      /missing-00002-of-00002\.gguf: cannot open/,
    );
    await refused(
      `${stem}-00002-of-00002.gguf`,
      'FILE_ERROR',
      /missing-00002-of-00002\.gguf: cannot open/,
    );
  });

  test('parts in the wrong place, without keys, or of another count are refused', async () => {
    const first = withKeys({ 'split.no': 0, 'split.count': 2 }, 'a');
    const [swapped] = await pair(
      'swapped',
      withKeys({ 'split.no': 1, 'split.count': 2 }, 'a'),
      first,
    );
    await refused(swapped, 'BAD_GGUF', /swapped-00001.*'split\.no' is 1, must be 0/);
    const [, bare] = await pair('bare', first, withKeys({}, 'b'));
    await refused(bare, 'BAD_GGUF', /bare-00002.*'split\.count' is missing, must be 2/);
    const [count] = await pair('count', first, withKeys({ 'split.no': 1, 'split.count': 3 }, 'b'));
    await refused(count, 'BAD_GGUF', /count-00002.*'split\.count' is 3, must be 2/);
  });

  test('a tensor in two parts, or a wrong total, is refused', async () => {
    const second = (name: string): GgufContents =>
      withKeys({ 'split.no': 1, 'split.count': 2 }, name);
    const [twice] = await pair(
      'twice',
      withKeys({ 'split.no': 0, 'split.count': 2 }, 'a'),
      second('a'),
    );
    await refused(twice, 'BAD_GGUF', /twice-00002.*tensor 'a' is in an earlier part/);
    const keys = { 'split.no': 0, 'split.count': 2, 'split.tensors.count': 3 };
    const [total] = await pair('total', withKeys(keys, 'a'), second('b'));
    await refused(total, 'BAD_GGUF', /'split\.tensors\.count' is 3, but the parts hold 2/);
  });

  test('a part under another name says what is wrong', async () => {
    const path = scratch.path('renamed.gguf');
    await writeGguf(path, withKeys({ 'split.no': 0, 'split.count': 2 }, 'a'));
    await refused(path, 'BAD_GGUF', /renamed\.gguf: is one of 2 parts/);
  });
});
