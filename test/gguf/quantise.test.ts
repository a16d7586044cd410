import { describe, expect, test } from 'vitest';
import { mixNames, planTypes, type Mix } from '../../lib/gguf/mixes.js';
import { encode, quantise } from '../../lib/gguf/quantise.js';
import { Random, randomData } from '../../lib/gguf/random.js';
import { floatToBfloat, floatToHalf } from '../../lib/gguf/rounding.js';
import { tensorBytes, tensorTypes, type TensorType } from '../../lib/gguf/types.js';
import { native } from '../../lib/native.js';
import { goldenPath, goldens } from '../golden/reference-set.js';

const types = Object.keys(tensorTypes) as TensorType[];

const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.slice().buffer);
const floatsOf = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.slice().buffer);

/** RMS error relative to the RMS of the values. */
async function lost(type: TensorType, values: Float32Array, columns: number): Promise<number> {
  const { power, error } = await encode('F32', type, columns, bytesOf(values));
  return Math.sqrt(error / power);
}

async function decode(type: TensorType, data: Uint8Array, columns: number): Promise<Float32Array> {
  return floatsOf((await encode(type, 'F32', columns, data)).data);
}

/** What numbers of a normal distribution lose, rounded up; floats are rounded to nearest. */
const normalLoss: Record<TensorType, number> = {
  F32: 0,
  F16: 2.12e-4,
  BF16: 1.67e-3,
  Q8_0: 0.0053,
  Q6_K: 0.0174,
  Q5_1: 0.034,
  Q5_0: 0.0401,
  Q5_K: 0.0346,
  Q4_1: 0.0701,
  Q4_0: 0.0805,
  Q4_K: 0.0702,
  IQ4_NL: 0.0747,
  IQ4_XS: 0.0753,
  Q3_K: 0.1445,
  Q2_K: 0.263,
};

/** Groups of numbers that a type holds exactly: all its codes, times a power of two. */
const grids: Partial<Record<TensorType, { low: number; high: number; group: number }>> = {
  Q8_0: { low: -127, high: 127, group: 32 },
  Q4_0: { low: -8, high: 7, group: 32 },
  Q5_0: { low: -16, high: 15, group: 32 },
  Q4_1: { low: 3, high: 18, group: 32 },
  Q5_1: { low: -40, high: -9, group: 32 },
  Q3_K: { low: -4, high: 3, group: 16 },
  Q6_K: { low: -32, high: 31, group: 16 },
  // Scales and minima count in 15ths and 63rds of the largest: here they are the largest.
  Q2_K: { low: -1, high: 2, group: 16 },
  Q4_K: { low: -4, high: 11, group: 32 },
  Q5_K: { low: -16, high: 15, group: 32 },
};
const unit: Partial<Record<TensorType, number>> = { Q2_K: 15, Q4_K: 63, Q5_K: 63 };

describe('encoders', () => {
  test.each(types)('%s: what a normal distribution loses', async (type) => {
    const values = new Random(11).normals(16 * 768);
    const relative = await lost(type, values, 768);
    expect(relative).toBeLessThanOrEqual(normalLoss[type]);
    expect(relative).toBeGreaterThanOrEqual(0.97 * normalLoss[type]);
    const bytes = await quantise(type, values, 768);
    expect(bytes.length).toBe(tensorBytes(type, [768, 16]));
    // The measured loss is that of the decoded numbers.
    const decoded = await decode(type, bytes, 768);
    let error = 0;
    let power = 0;
    values.forEach((value, i) => {
      error += (value - decoded[i]) ** 2;
      power += value ** 2;
    });
    expect(Math.sqrt(error / power)).toBeCloseTo(relative, 12);
  });

  test.each(Object.keys(grids) as TensorType[])(
    '%s holds its own numbers exactly',
    async (type) => {
      const { low, high, group } = grids[type]!;
      const random = new Random(5);
      const values = new Float32Array(1024);
      for (let first = 0; first < values.length; first += group) {
        for (let i = first; i < first + group; i++)
          values[i] = low + (random.bits() % (high - low + 1));
        values[first] = low;
        values[first + 1 + (random.bits() % (group - 1))] = high;
      }
      const scaled = values.map((value) => (value * (unit[type] ?? 1)) / 512);
      expect(await lost(type, scaled, 256)).toBe(0);
    },
  );

  test.each(['IQ4_NL', 'IQ4_XS'] as const)('%s holds its levels exactly', async (type) => {
    const levels = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
    const values = Float32Array.from({ length: 512 }, (_, i) => levels[(7 * i) % 16] / 64);
    expect(await lost(type, values, 256)).toBe(0);
  });

  test.each(types)('%s: encoding what was decoded loses next to nothing', async (type) => {
    const data = randomData(type, 4096, 0.05, new Random(3));
    const values = await decode(type, data, 512);
    // Random blocks need not use the ends of their grids, so that other scales can win.
    const most = ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0'].includes(type) ? 0 : 0.025;
    expect(await lost(type, values, 512)).toBeLessThanOrEqual(most);
  });

  test('floats are rounded to nearest, ties to even', async () => {
    const values = new Random(2).normals(4096).map((value, i) => value * 10 ** ((i % 13) - 9));
    const halves = new Uint16Array((await quantise('F16', values, 64)).buffer);
    expect([...halves]).toEqual([...values].map(floatToHalf));
    const bfloats = new Uint16Array((await quantise('BF16', values, 64)).buffer);
    expect([...bfloats]).toEqual([...values].map(floatToBfloat));
  });

  test('zeros stay zeros', async () => {
    for (const type of types) {
      const { data, error } = await encode('F32', type, 256, new Uint8Array(4 * 512));
      expect(error).toBe(0);
      expect((await decode(type, data, 256)).every((value) => value === 0)).toBe(true);
    }
  });

  test('the number of threads changes nothing', async () => {
    const values = bytesOf(new Random(4).normals(1 << 16));
    const one = await encode('F32', 'Q4_K', 256, values, { threads: 1 });
    const three = await encode('F32', 'Q4_K', 256, values, { threads: 3 });
    expect(three).toEqual(one);
  });

  test('rows of one block, and of blocks that are no whole chunk', async () => {
    const values = new Random(8).normals(3 * 96);
    const whole = await quantise('Q5_1', values, 96);
    const rows = await Promise.all(
      [0, 1, 2].map((row) => quantise('Q5_1', values.subarray(96 * row, 96 * (row + 1)), 32)),
    );
    expect([...whole]).toEqual(rows.flatMap((row) => [...row]));
  });
});

describe('what is refused', () => {
  const refused = (message: RegExp) => ({
    code: 'INVALID_ARGUMENT',
    message: expect.stringMatching(message) as string,
  });

  test.each([
    ['Q8_0', NaN],
    ['F32', Infinity],
    ['F16', 65_536],
    ['Q2_K', -1e9],
  ] as [TensorType, number][])('%s: %d, by its index', async (type, number) => {
    const values = new Float32Array(1 << 16);
    values[40_000] = number;
    values[50_000] = NaN;
    await expect(
      quantise(type, values, 256, { name: 'blk.0.attn_q.weight' }),
    ).rejects.toMatchObject(
      refused(/^blk\.0\.attn_q\.weight: element 40000 is not a finite number, or too large for/),
    );
  });

  test('F32 and BF16 hold what halves do not', async () => {
    expect(await lost('BF16', Float32Array.of(1e30, -1e9), 2)).toBeLessThan(0.01);
  });

  test.each([
    ['Q9_9', 256, /type is Q9_9, must be one of F32/],
    ['Q4_K', 128, /columns is 128, must be a multiple of 256 for Q4_K/],
    ['F32', 0, /columns is 0/],
    ['F32', 1000, /values has 512 elements, must be whole rows of 1000/],
  ] as [TensorType, number, RegExp][])('%s in rows of %i', async (type, columns, message) => {
    const call = quantise(type, new Float32Array(512), columns);
    await expect(call).rejects.toMatchObject(refused(message));
  });

  test('an aborted call', async () => {
    const signal = AbortSignal.abort();
    const call = quantise('Q8_0', new Float32Array(32), 32, { signal });
    await expect(call).rejects.toMatchObject({ code: 'ABORTED' });
  });
});

describe('planTypes', () => {
  const layer = (n: number, experts = 0): [string, number[]][] => [
    [`blk.${n}.attn_norm.weight`, [512]],
    [`blk.${n}.attn_q.weight`, [512, 512]],
    [`blk.${n}.attn_k.weight`, [512, 512]],
    [`blk.${n}.attn_k_norm.weight`, [64, 8]],
    [`blk.${n}.attn_v.weight`, [512, 512]],
    [`blk.${n}.attn_output.weight`, [512, 512]],
    [`blk.${n}.attn_q.bias`, [512]],
    ...(experts
      ? ([
          [`blk.${n}.ffn_gate_inp.weight`, [512, experts]],
          [`blk.${n}.ffn_down_exps.weight`, [512, 512, experts]],
        ] as [string, number[]][])
      : ([[`blk.${n}.ffn_down.weight`, [512, 512]]] as [string, number[]][])),
  ];
  const model = (layers: number, experts = 0) =>
    [
      ['token_embd.weight', [512, 1000]] as [string, number[]],
      ['output.weight', [512, 1000]] as [string, number[]],
      ...Array.from({ length: layers }, (_, n) => layer(n, experts)).flat(),
    ].map(([name, shape]) => ({ name, shape }));
  const planned = (mix: Mix, tensors: { name: string; shape: number[] }[]) => {
    const types = planTypes(mix, tensors);
    return (name: string) => types[tensors.findIndex((tensor) => tensor.name === name)]?.type;
  };

  test('Q4_K_M spends more bits where it hurts', () => {
    const type = planned('Q4_K_M', model(16));
    expect(type('output.weight')).toBe('Q6_K');
    expect(type('token_embd.weight')).toBe('Q4_K');
    const fine = [...Array(16).keys()].filter((i) => type(`blk.${i}.ffn_down.weight`) === 'Q6_K');
    expect(fine).toEqual([0, 1, 4, 7, 10, 13, 14, 15]);
    for (let i = 0; i < 16; i++) {
      expect(type(`blk.${i}.attn_v.weight`)).toBe(type(`blk.${i}.ffn_down.weight`));
      expect(type(`blk.${i}.attn_output.weight`)).toBe('Q4_K');
    }
  });

  test.each(mixNames)('%s leaves norms, biases and routers alone', (mix) => {
    const type = planned(mix, model(2, 4));
    const small = ['attn_norm.weight', 'attn_k_norm.weight', 'attn_q.bias', 'ffn_gate_inp.weight'];
    for (const name of small) expect(type(`blk.1.${name}`)).toBeUndefined();
    expect(type('blk.1.ffn_down_exps.weight')).toBeDefined();
  });

  test('a tied embedding is a head, eight experts give attention more, and so do shared keys', () => {
    const tied = model(2).filter(({ name }) => name !== 'output.weight');
    expect(planned('Q4_0', tied)('token_embd.weight')).toBe('Q6_K');
    const eight = planned('Q3_K_S', model(2, 8));
    expect(eight('blk.0.attn_v.weight')).toBe('Q8_0');
    expect(eight('blk.0.attn_k.weight')).toBe('Q8_0');
    expect(eight('blk.0.attn_output.weight')).toBe('Q5_K');
    const shared = model(2).map(({ name, shape }) =>
      /attn_[kv]\.weight/.test(name) ? { name, shape: [512, 128] } : { name, shape },
    );
    expect(planned('Q2_K', shared)('blk.0.attn_v.weight')).toBe('Q4_K');
    expect(planned('Q2_K', model(2))('blk.0.attn_v.weight')).toBe('Q3_K');
  });

  test('rows that fit no block of 256 take a smaller block, others F16', () => {
    const tensors = [
      { name: 'blk.0.ffn_up.weight', shape: [96, 8] },
      { name: 'blk.0.ffn_down.weight', shape: [50, 8] },
      { name: 'output.weight', shape: [96, 8] },
    ];
    expect(planTypes('Q4_K_S', tensors)).toEqual([
      { type: 'Q5_0', wanted: 'Q4_K' },
      { type: 'F16', wanted: 'Q4_K' },
      { type: 'Q8_0', wanted: 'Q6_K' },
    ]);
  });

  test.each(goldens.filter(({ model }) => !/F32|F16/.test(model)).map(({ model }) => [model]))(
    'the tensors of %s have the types that other tools gave them',
    async (name) => {
      const path = goldenPath({ model: name, types: [], cases: [] });
      const { tensors } = await native().layout(path).promise;
      const mix = name.split('.')[1] as Mix;
      const types = planTypes(mix, tensors).map(({ type }, i) => type ?? tensors[i].type);
      expect(types).toEqual(tensors.map(({ type }) => type));
    },
  );
});
