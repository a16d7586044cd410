import { open, copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gguf } from '@huggingface/gguf';
import { describe, expect, test } from 'vitest';
import type { SoftMask } from '../../lib/index.js';
import { devices, distance, halfMasked, mask, modelFolder } from './models.js';

const { folder, write, open: load } = modelFolder();
const dim = 64;

const soft: SoftMask = {
  position: Int32Array.of(9, 3), // any order
  alpha: Float32Array.of(0.6, 0.25),
  token: Int32Array.of(40, 41, 42, 10, 11, 12),
  weight: Float32Array.of(0.5, 0.3, 0.2, 0.7, 0.2, 0.1),
};

/** Puts the blend of each entry into the embedding of an unused token: 200, 201. */
async function withBlendsAsTokens(source: string): Promise<string> {
  const path = join(folder, 'blends.gguf');
  await copyFile(source, path);
  const { tensorInfos, tensorDataOffset } = await gguf(path, { allowLocalFile: true });
  const embedding = tensorInfos.find(({ name }) => name === 'token_embd.weight')!;
  const start = Number(tensorDataOffset + embedding.offset);
  const file = await open(path, 'r+');
  const read = async (token: number) => {
    const { buffer } = await file.read(Buffer.alloc(4 * dim), 0, 4 * dim, start + 4 * dim * token);
    return new Float32Array(buffer.buffer, buffer.byteOffset, dim);
  };
  for (const [entry, alpha] of [...soft.alpha].entries()) {
    const blend = Float64Array.from(await read(mask), (x) => (1 - alpha) * x);
    for (let j = 3 * entry; j < 3 * entry + 3; j++) {
      const token = await read(soft.token[j]);
      token.forEach((x, c) => (blend[c] += alpha * soft.weight[j] * x));
    }
    await file.write(
      Buffer.from(Float32Array.from(blend).buffer),
      0,
      4 * dim,
      start + 4 * dim * (200 + entry),
    );
  }
  await file.close();
  return path;
}

describe.each(devices)('soft masking on %s', (device) => {
  test('the blended row is its formula', async () => {
    const path = await withBlendsAsTokens(await write('llada'));
    const model = await load(path, { device });
    const session = halfMasked(model);
    const query = session.masked;
    const blended = await session.step({ softMask: soft, query, logits: true });
    const hard = halfMasked(model);
    hard.set(9, [200]);
    hard.set(3, [201]);
    const expected = await hard.step({ query, logits: true });
    const size = Math.max(...expected.logits!.map(Math.abs));
    expect(distance(blended.logits!, expected.logits!) / size).toBeLessThan(1e-6);
  });

  test('alpha 0 is a plain mask, bit for bit', async () => {
    const model = await load(await write('llada'), { device });
    const session = halfMasked(model);
    const plain = await session.step({ logits: true });
    const softMask = { ...soft, alpha: Float32Array.of(0, 0) };
    const zero = await session.step({ softMask, logits: true });
    expect(zero.logits).toEqual(plain.logits);
  });

  test('positions that are no longer masked, or not computed, are skipped', async () => {
    const model = await load(await write('llada'), { device });
    const session = halfMasked(model);
    session.set(9, [50]);
    session.set(3, [51]);
    const query = Int32Array.of(1);
    const plain = await session.step({ query, logits: true });
    const skipped = await session.step({ query, softMask: soft, logits: true });
    expect(skipped.logits).toEqual(plain.logits);
    session.remask([9, 3]);
    const rows = { start: 0, end: 2 };
    const before = await session.step({ rows, logits: true });
    const outside = await session.step({ rows, softMask: soft, logits: true });
    expect(outside.logits).toEqual(before.logits);
  });
});
