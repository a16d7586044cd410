import { expect, test } from 'vitest';
import { encode, quantise } from '../../lib/gguf/quantise.js';
import { Random } from '../../lib/gguf/random.js';
import { tensorBytes, tensorTypes, type TensorType } from '../../lib/gguf/types.js';

const types = Object.keys(tensorTypes) as TensorType[];

/** RMS error relative to the values' own RMS. */
async function lost(type: TensorType, values: Float32Array, columns: number): Promise<number> {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const { power, error } = await encode('F32', type, columns, bytes);
  return Math.sqrt(error / power);
}

/** What a normal distribution may lose at most, a few per cent above what it does lose. */
const bounds: Record<TensorType, number> = {
  F32: 0,
  F16: 3e-4,
  BF16: 2.4e-3,
  Q8_0: 0.0062,
  Q6_K: 0.0177,
  Q5_1: 0.034,
  Q5_0: 0.042,
  Q5_K: 0.036,
  Q4_1: 0.071,
  Q4_0: 0.083,
  Q4_K: 0.072,
  IQ4_NL: 0.077,
  IQ4_XS: 0.078,
  Q3_K: 0.17,
  Q2_K: 0.3,
};

test.each(types)('%s keeps a normal distribution within its bound', async (type) => {
  const values = new Random(11).normals(16 * 768);
  const relative = await lost(type, values, 768);
  expect(relative).toBeLessThanOrEqual(bounds[type]);
  const bytes = await quantise(type, values, 768);
  expect(bytes.length).toBe(tensorBytes(type, [768, 16]));
});
