import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { floatToBfloat, floatToHalf, halfToFloat, roundTo } from '../../lib/gguf/rounding.js';
import { Random } from '../../lib/gguf/random.js';
import { syntheticArchitectures, writeSynthetic } from '../../lib/gguf/synthetic.js';
import { tensorTypes, type TensorType } from '../../lib/gguf/types.js';
import { native } from '../../lib/native.js';
import { inspect, scratchFolder } from './scratch.js';

const scratch = scratchFolder();

describe('roundTo', () => {
  test('every half float survives, and ties go to even', () => {
    const wrong: number[] = [];
    for (let half = 0; half < 0x7c00; half++) {
      const value = halfToFloat(half);
      const next = half === 0x7bff ? 65_536 : halfToFloat(half + 1);
      const right =
        floatToHalf(value) === half &&
        floatToHalf(-value) === (half | 0x8000) &&
        floatToHalf((value + next) / 2) === half + (half % 2);
      if (!right) wrong.push(half);
    }
    expect(wrong).toEqual([]);
    expect(floatToHalf(Infinity)).toBe(0x7c00);
    expect(halfToFloat(floatToHalf(NaN))).toBeNaN();
  });

  test('bfloat16 rounds to nearest even', () => {
    expect(
      [1, -2, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20].map(floatToBfloat),
    ).toEqual([0x3f80, 0xc000, 0x3f80, 0x3f82, 0x3f81]);
  });

  test('Q8_0 and Q4_0 stay within half a step of the values', () => {
    const values = new Random(3).normals(32);
    const q8 = roundTo('Q8_0', values);
    const q4 = roundTo('Q4_0', values);
    const most = Math.max(...values.map(Math.abs));
    const scale = (bytes: Uint8Array): number => halfToFloat(bytes[0] | (bytes[1] << 8));
    for (let i = 0; i < 32; i++) {
      const decoded8 = scale(q8) * ((q8[2 + i] << 24) >> 24);
      expect(Math.abs(decoded8 - values[i])).toBeLessThan((most / 127) * 0.57);
      const nibble = (q4[2 + (i % 16)] >> (i < 16 ? 0 : 4)) & 15;
      // The largest value of the other sign may be cut to 7 of 8 steps.
      expect(Math.abs(scale(q4) * (nibble - 8) - values[i])).toBeLessThan((most / 8) * 1.01);
    }
    expect(scale(q8)).toBeCloseTo(most / 127, 4);
  });
});

describe('writeSynthetic', () => {
  const small = { layers: 2, dim: 64, heads: 4, kvHeads: 2, ffn: 96, vocabulary: 300 };

  test.each(syntheticArchitectures)(
    '%s has what the model of that architecture reads',
    async (architecture) => {
      const path = scratch.path(`${architecture}.gguf`);
      const written = await writeSynthetic(path, { ...small, architecture, tokenizer: true });
      const file = await inspect(path);
      expect(file.specError).toBeUndefined();
      expect(file.fileBytes).toBe(written.bytes);
      expect(file.spec).toMatchObject({
        architecture,
        layers: 2,
        dim: 64,
        heads: 4,
        kvHeads: 2,
        headDim: 16,
        vocabulary: 300,
        context: 4096,
        bos: 296,
        eos: 297,
        eot: 298,
        mask: 299,
        tiedHead: false,
        parameters: written.parameters,
      });
      const model = await native().load(path, loadOptions, () => {}).promise;
      expect(model.weightBytes).toBeGreaterThan(0);
      await model.dispose();
    },
  );

  test.each(Object.keys(tensorTypes) as TensorType[])(
    '%s loads, and falls back where a row does not fit',
    async (type) => {
      const path = scratch.path(`${type}.gguf`);
      const shape = { ...small, dim: 256, heads: 2, kvHeads: 1, layers: 1, tied: true };
      await writeSynthetic(path, { ...shape, architecture: 'llada', type });
      const { tensors, spec } = await inspect(path);
      expect(spec).toMatchObject({ tiedHead: true });
      const typeOf = (name: string): string | undefined =>
        tensors.find((t) => t.name === name)?.type;
      expect(typeOf('blk.0.attn_q.weight')).toBe(type);
      expect(typeOf('blk.0.ffn_down.weight')).toBe(
        tensorTypes[type].blockSize === 256 ? 'Q8_0' : type,
      );
      expect(typeOf('blk.0.attn_norm.weight')).toBe('F32');
      const model = await native().load(path, loadOptions, () => {}).promise;
      await model.dispose();
    },
  );

  test('Q4_K_M mixes Q4_K and Q6_K as llama.cpp does', async () => {
    const path = scratch.path('mix.gguf');
    const shape = { layers: 16, dim: 256, heads: 4, ffn: 256, vocabulary: 300 };
    await writeSynthetic(path, { ...shape, architecture: 'llada', type: 'Q4_K_M' });
    const { tensors } = await inspect(path);
    const typeOf = (name: string): string | undefined =>
      tensors.find((t) => t.name === `${name}.weight`)?.type;
    expect(typeOf('token_embd')).toBe('Q4_K');
    expect(typeOf('output')).toBe('Q6_K');
    const fine = [...Array(16).keys()].filter((i) => typeOf(`blk.${i}.ffn_down`) === 'Q6_K');
    expect(fine).toEqual([0, 1, 4, 7, 10, 13, 14, 15]);
    for (let i = 0; i < 16; i++) {
      expect(typeOf(`blk.${i}.attn_v`)).toBe(typeOf(`blk.${i}.ffn_down`));
      expect(typeOf(`blk.${i}.ffn_up`)).toBe('Q4_K');
    }
  });

  test('the same seed gives the same bytes, another seed others', async () => {
    const make = async (seed: number): Promise<Buffer> => {
      await writeSynthetic(scratch.path('seed.gguf'), { ...small, architecture: 'llada', seed });
      return readFile(scratch.path('seed.gguf'));
    };
    const first = await make(7);
    expect((await make(7)).equals(first)).toBe(true);
    expect((await make(8)).equals(first)).toBe(false);
  });

  test('weights larger than the pool differ from row to row', async () => {
    const path = scratch.path('large.gguf');
    const shape = { layers: 1, dim: 512, heads: 4, ffn: 32, vocabulary: 8192 };
    await writeSynthetic(path, { ...shape, architecture: 'llada', type: 'F16' });
    const file = await readFile(path);
    const rows = new Set<string>();
    const { tensors } = await inspect(path);
    expect(tensors[0]).toMatchObject({ name: 'token_embd.weight', shape: [512, 8192] });
    const start = file.length - tensors.reduce((sum, { bytes }) => sum + bytes, 0);
    for (let row = 0; row < 8192; row++)
      rows.add(file.subarray(start + row * 1024, start + (row + 1) * 1024).toString('latin1'));
    expect(rows.size).toBe(8192);
  });

  test.each([
    [{ architecture: 'gpt5' as 'llada' }, /architecture is gpt5, must be one of llada/],
    [{ type: 'Q9_9' as 'Q8_0' }, /type is Q9_9, must be one of F32/],
    [{ heads: 3, kvHeads: 3 }, /dim \(64\) must be a multiple of heads \(3\)/],
    [{ kvHeads: 3 }, /multiple of kvHeads \(3\)/],
    [{ vocabulary: 200, tokenizer: true }, /vocabulary is 200, must be at least 260/],
  ])('refuses %o', async (change, message) => {
    const options = { ...small, architecture: 'llada' as const, ...change };
    await expect(writeSynthetic(scratch.path('no.gguf'), options)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message) as string,
    });
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
