/** Rope scaling: every kind is one frequency per pair, so the kinds can be held against each other. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { writeSynthetic, type SyntheticOptions } from '../../lib/gguf/synthetic.js';
import { all, devices, modelFolder } from './models.js';

const { folder, open } = modelFolder();
const length = 16;
const headDim = 16;
const base = 500_000; // of the synthetic llada models
let files = 0;

/** All logits of a fixed canvas. */
async function logits(
  device: (typeof devices)[number],
  ropeScaling: SyntheticOptions['ropeScaling'],
): Promise<Float32Array> {
  const path = join(folder, `rope-${files++}.gguf`);
  const shape = { architecture: 'llada', layers: 2, dim: 64, heads: 4, ffn: 96 } as const;
  await writeSynthetic(path, { ...shape, vocabulary: 300, type: 'F32', seed: 3, ropeScaling });
  const model = await open(path, { device });
  using session = model.createSession({ length });
  session.set(
    0,
    all(length).map((i) => (i * 41 + 5) % 290),
  );
  return (await session.step({ query: all(length), logits: true })).logits!;
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i])), 0);
}

const factors = (of: (pair: number) => number): number[] =>
  Array.from({ length: headDim / 2 }, (_, pair) => of(pair));

/** What YaRN divides the frequency of a pair by (arXiv 2309.00071, section 3.2; betas 32 and 1). */
function yarnFactor(pair: number, scale: number, context: number): number {
  const dimension = (rotations: number) =>
    (headDim * Math.log(context / (rotations * 2 * Math.PI))) / (2 * Math.log(base));
  const low = Math.max(Math.floor(dimension(32)), 0);
  const high = Math.min(Math.ceil(dimension(1)), headDim - 1);
  const ramp = Math.min(Math.max((pair - low) / (high - low), 0), 1);
  return 1 / (ramp / scale + 1 - ramp);
}

describe.each(devices)('on %s', (device) => {
  test('linear scaling divides every frequency', async () => {
    const plain = await logits(device, undefined);
    const linear = await logits(device, { type: 'linear', factor: 4 });
    const frequencyFactors = factors(() => 4);
    const divided = await logits(device, { type: 'linear', factor: 1, frequencyFactors });
    expect(largestDifference(linear, plain)).toBeGreaterThan(1e-2);
    expect(largestDifference(linear, divided)).toBeLessThan(1e-5);
  });

  test('YaRN keeps high frequencies, divides low ones, and ramps between', async () => {
    const scale = 4;
    const originalContext = 64;
    const magnitude = 1 + 0.1 * Math.log(scale);
    const yarn = { type: 'yarn', factor: scale, originalContext } as const;
    const frequencyFactors = factors((pair) => yarnFactor(pair, scale, originalContext));
    expect(frequencyFactors[0]).toBe(1);
    expect(frequencyFactors[1]).toBeLessThan(scale);
    expect(frequencyFactors.at(-1)).toBe(scale);
    const divided = await logits(device, { type: 'linear', factor: 1, frequencyFactors });
    const cancelled = await logits(device, { ...yarn, attentionFactor: 1 / magnitude });
    expect(largestDifference(cancelled, divided)).toBeLessThan(1e-5);
    // By itself it also makes attention sharper.
    expect(largestDifference(await logits(device, yarn), divided)).toBeGreaterThan(1e-2);
  });
});
