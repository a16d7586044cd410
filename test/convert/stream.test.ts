/** Tensors of more than one piece. */
import { open, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { tensorData } from '../../lib/convert/stream.js';
import { oneAhead } from '../../lib/gguf/one-ahead.js';
import { pieceElements } from '../../lib/gguf/quantise.js';
import { scratchFolder } from '../gguf/scratch.js';

const scratch = scratchFolder();

test('rows of heads are turned across all pieces', async () => {
  const [rows, columns, headRows] = [3006, 1500, 6];
  expect(rows * columns).toBeGreaterThan(pieceElements);
  const values = Float32Array.from({ length: rows * columns }, (_, i) => Math.floor(i / columns));
  const path = scratch.path('rows.bin');
  await writeFile(path, new Uint8Array(values.buffer));
  await using file = await open(path);
  const source = { name: 'q', type: 'F32', shape: [rows, columns], size: 4, offset: 0 } as const;
  const sources = [{ ...source, path, file }];
  const planned = { name: 'q', shape: [columns, rows], sources, headRows };
  const pieces: Uint8Array[] = [];
  for await (const piece of tensorData(planned, 'F32')) pieces.push(piece);
  expect(pieces.length).toBeGreaterThan(1);
  const bytes = Buffer.concat(pieces);
  const order = Array.from({ length: rows }, (_, row) => bytes.readFloatLE(row * columns * 4));
  const wanted = Array.from({ length: rows / headRows }, (_, head) =>
    [0, 3, 1, 4, 2, 5].map((row) => head * headRows + row),
  );
  expect(order).toEqual(wanted.flat());
});

test('a piece that fails while another is being written is an error of the reader alone', async () => {
  const unhandled: unknown[] = [];
  const listen = (reason: unknown) => void unhandled.push(reason);
  process.on('unhandledRejection', listen);
  const results = oneAhead([() => Promise.resolve(1), () => Promise.reject(new Error('second'))]);
  expect((await results.next()).value).toBe(1);
  await new Promise((resolve) => setImmediate(resolve)); // Node looks for unhandled ones here
  await expect(results.next()).rejects.toThrow('second');
  process.off('unhandledRejection', listen);
  expect(unhandled).toEqual([]);
});
