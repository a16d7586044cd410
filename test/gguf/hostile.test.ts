import { mkdir, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { raw, type RawFile } from './raw.js';
import { inspect, scratchFolder } from './scratch.js';

const scratch = scratchFolder();

/** Inspects the bytes as a file; the error must name the file and match every pattern. */
async function refused(bytes: Uint8Array, code: string, ...patterns: RegExp[]): Promise<void> {
  const path = scratch.path('hostile.gguf');
  await writeFile(path, bytes);
  const error: unknown = await inspect(path).then(
    () => 'accepted',
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ code, message: expect.stringContaining(path) as string });
  for (const pattern of patterns) expect((error as Error).message).toMatch(pattern);
}

const most = 2n ** 64n - 1n;
const tensor = { name: 'weights' };

test('a sound file made the same way is accepted', async () => {
  const path = scratch.path('sound.gguf');
  const keys: RawFile['keys'] = [
    ['general.architecture', 'llada'],
    ['empty.array', { type: 'array', element: 'f64', value: [] }],
  ];
  const tensors = [
    { name: 'one', dimensions: [32, 2], type: 8 },
    { name: 'two', dimensions: [3], offset: 96 },
  ];
  await writeFile(path, raw({ version: 2, keys, tensors, data: 96 + 12 }));
  const file = await inspect(path);
  expect(file.version).toBe(2);
  expect(file.tensors).toEqual([
    { name: 'one', type: 'Q8_0', shape: [32, 2], bytes: 68 },
    { name: 'two', type: 'F32', shape: [3], bytes: 12 },
  ]);
});

describe('the file itself', () => {
  test('missing', async () => {
    const path = scratch.path('nowhere.gguf');
    await expect(inspect(path)).rejects.toMatchObject({
      code: 'FILE_ERROR',
      message: expect.stringMatching(/nowhere\.gguf: cannot open/) as string,
    });
  });

  test('a directory', async () => {
    const path = scratch.path('folder.gguf');
    await mkdir(path);
    await expect(inspect(path)).rejects.toMatchObject({
      code: 'FILE_ERROR',
      message: expect.stringMatching(/folder\.gguf: is a directory/) as string,
    });
  });

  test('no path, and a path with a NUL', async () => {
    await expect(inspect('')).rejects.toMatchObject({ code: 'FILE_ERROR' });
    await expect(inspect('a\0b')).rejects.toMatchObject({ code: 'FILE_ERROR' });
  });

  test('empty', () => refused(new Uint8Array(0), 'BAD_GGUF', /is empty/));
  test('too short for a header', () => refused(raw({}).slice(0, 10), 'BAD_GGUF', /ends inside/));
  test('another format', () =>
    refused(new TextEncoder().encode('PK\x03\x04 a zip file'), 'BAD_GGUF', /'PK\\x03\\x04'/));
  test('version 1', () => refused(raw({ version: 1 }), 'BAD_GGUF', /version 1, must be 2 or 3/));
  test('version 4', () => refused(raw({ version: 4 }), 'BAD_GGUF', /version 4, must be 2 or 3/));
  test('big-endian', () => refused(raw({ version: 3 << 24 }), 'BAD_GGUF', /big-endian/));
  test('big-endian magic', () => refused(raw({ magic: 'FUGG' }), 'BAD_GGUF', /big-endian/));
});

describe('counts', () => {
  test('more keys than bytes', () =>
    refused(raw({ keyCount: most }), 'BAD_GGUF', /18446744073709551615 keys/));
  test('more tensors than bytes', () =>
    refused(raw({ tensorCount: 2n ** 40n }), 'BAD_GGUF', /1099511627776 tensors/));
  test('one key too many', () =>
    refused(
      raw({ keyCount: 2, keys: [['a', 'b'.repeat(40)]] }),
      'BAD_GGUF',
      /ends inside.*key number 2/,
    ));
  test('too many keys for any real file', () => {
    const keys: RawFile['keys'] = Array.from({ length: 65_537 }, (_, i) => [`k${i}`, true]);
    return refused(raw({ keys }), 'BAD_GGUF', /65537 keys/);
  });
});

describe('metadata', () => {
  test('a key longer than the file', () =>
    refused(
      raw({ keys: [['a', (out) => out.raw(new Uint8Array(0))]] }).slice(0, 24 + 8),
      'BAD_GGUF',
      /counts 1 keys|ends inside/,
    ));
  test('a string longer than the file', () =>
    refused(
      raw({
        keys: [
          [
            'general.name',
            (out) => {
              out.scalar('u32', 8);
              out.scalar('u64', most);
            },
          ],
        ],
      }),
      'BAD_GGUF',
      /value of key 'general\.name'/,
    ));
  test('an unknown value type', () =>
    refused(
      raw({ keys: [['odd', (out) => out.scalar('u32', 13)]] }),
      'BAD_GGUF',
      /key 'odd' has unknown value type 13/,
    ));
  test('a key twice', () =>
    refused(
      raw({
        keys: [
          ['same', 1],
          ['same', 2],
        ],
      }),
      'BAD_GGUF',
      /key 'same' twice/,
    ));
  test.each([
    ['u8', 0],
    ['u64', 10],
    ['string', 8],
  ])('an array of %s whose size overflows', (_, element) =>
    refused(
      raw({
        keys: [
          [
            'list',
            (out) => {
              out.scalar('u32', 9);
              out.scalar('u32', element);
              out.scalar('u64', 2n ** 61n + 1n);
            },
          ],
        ],
      }),
      'BAD_GGUF',
      /key 'list' is an array of 2305843009213693953 elements/,
    ),
  );
  test('an array of arrays', () =>
    refused(
      raw({
        keys: [
          [
            'deep',
            (out) => {
              out.scalar('u32', 9);
              out.scalar('u32', 9);
              out.scalar('u64', 0);
            },
          ],
        ],
      }),
      'BAD_GGUF',
      /key 'deep' is an array of arrays/,
    ));
  test('a name that is no text is escaped and cut', () =>
    refused(
      raw({
        keys: [
          [
            Uint8Array.of(0, 255, 10, ...new Uint8Array(200).fill(65)),
            (out) => out.scalar('u32', 99),
          ],
        ],
      }),
      'BAD_GGUF',
      /key '\\x00\\xff\\x0aA{77}\.\.\.' has/,
    ));
});

describe('alignment', () => {
  const aligned = (value: unknown): Uint8Array =>
    raw({ keys: [['general.alignment', value as number]], tensors: [tensor], data: 64 });
  test.each([0, 1, 24, 131_072])('%d', (value) =>
    refused(aligned(value), 'BAD_GGUF', /key 'general\.alignment' is \d+, must be a power of two/),
  );
  test('of the wrong type', () =>
    refused(
      aligned('32'),
      'BAD_GGUF',
      /key 'general\.alignment' is of type string, must be an integer/,
    ));
  test('negative', () => refused(aligned(-32), 'BAD_GGUF', /key 'general\.alignment' is -32/));
});

describe('tensors', () => {
  const refusedTensor = (
    fields: Partial<NonNullable<RawFile['tensors']>[0]>,
    code: string,
    pattern: RegExp,
  ): Promise<void> =>
    refused(raw({ tensors: [{ ...tensor, ...fields }], data: 64 }), code, /'weights'/, pattern);

  test('no dimensions', () => refusedTensor({ dimensions: [] }, 'BAD_GGUF', /has 0 dimensions/));
  test('five dimensions', () =>
    refusedTensor({ dimensions: [1, 1, 1, 1, 1] }, 'BAD_GGUF', /has 5 dimensions/));
  test('2³² − 1 dimensions', () =>
    refusedTensor({ dimensionCount: 2 ** 32 - 1 }, 'BAD_GGUF', /has 4294967295 dimensions/));
  test('a dimension of 0', () =>
    refusedTensor({ dimensions: [4, 0] }, 'BAD_GGUF', /a dimension of 0/));
  test('a fourth dimension', () =>
    refusedTensor({ dimensions: [2, 2, 2, 2] }, 'BAD_GGUF', /fourth dimension of 2/));
  test('elements that overflow', () =>
    refusedTensor({ dimensions: [2n ** 32n, 2n ** 32n] }, 'BAD_GGUF', /2\^63 elements/));
  test('elements that overflow to a small number', () =>
    refusedTensor({ dimensions: [2n ** 63n, 2, 1] }, 'BAD_GGUF', /2\^63 elements/));
  test('bytes that overflow', () =>
    refusedTensor({ dimensions: [2n ** 62n] }, 'BAD_GGUF', /truncated or damaged/));
  test('rows of part of a block', () =>
    refusedTensor(
      { dimensions: [33], type: 8 },
      'BAD_GGUF',
      /rows of 33.*multiple of 32 for Q8_0/,
    ));
  test('an offset off the alignment', () =>
    refusedTensor({ offset: 16 }, 'BAD_GGUF', /offset 16, must be a multiple of 32/));
  test('an offset behind the file', () =>
    refusedTensor({ offset: 96 }, 'BAD_GGUF', /truncated or damaged/));
  test('an offset that wraps around', () =>
    refusedTensor({ offset: most - 31n }, 'BAD_GGUF', /truncated or damaged/));
  test('data one byte short', () =>
    refusedTensor({ dimensions: [17] }, 'BAD_GGUF', /68 bytes at offset 0.*only 64/));
  test.each([
    [39, /type 39 \(MXFP4\)/],
    [4, /type 4,/],
    [0xffffffff, /type 4294967295/],
  ])('type %d', async (type, pattern) => {
    await refusedTensor({ type }, 'UNSUPPORTED_TYPE', pattern);
    await refusedTensor({ type }, 'UNSUPPORTED_TYPE', /one of F32, F16, BF16, .*IQ4_XS/);
  });
  test('a tensor twice', () =>
    refused(raw({ tensors: [tensor, tensor], data: 64 }), 'BAD_GGUF', /tensor 'weights' twice/));
  test('tensors that overlap', () =>
    refused(
      raw({
        tensors: [
          { name: 'one', dimensions: [9] },
          { name: 'two', offset: 32 },
        ],
        data: 64,
      }),
      'BAD_GGUF',
      /'one' and 'two' overlap/,
    ));
  test('no data section at all', () =>
    refused(raw({ tensors: [tensor] }), 'BAD_GGUF', /ends inside|truncated/));
  test('a name that is no text is escaped', () =>
    refused(
      raw({ tensors: [{ name: Uint8Array.of(0xc3, 0x28, 0), dimensions: [0] }], data: 64 }),
      'BAD_GGUF',
      /tensor '\\xc3\(\\x00' has/,
    ));
});

test('every truncation of a sound file is refused or harmless', async () => {
  const bytes = raw({
    keys: [
      ['general.architecture', 'llada'],
      ['list', ['a', 'b']],
    ],
    tensors: [{ name: 'w', dimensions: [8] }],
    data: 32,
  });
  for (let length = 0; length < bytes.length; length++)
    await refused(bytes.subarray(0, length), 'BAD_GGUF');
});
