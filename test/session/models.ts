/** Small models with random F32 weights, and the arithmetic that statistics are checked with. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import { writeSynthetic, type SyntheticOptions } from '../../lib/gguf/synthetic.js';
import {
  loadModel,
  type DiffusionSession,
  type LacunaErrorCode,
  type LoadOptions,
  type Model,
} from '../../lib/index.js';

export const devices = ['ref', 'cpu'] as const;
export const vocabulary = 300;
export const mask = vocabulary - 1;

const shapes = {
  llada: { architecture: 'llada', layers: 2, dim: 64, heads: 4, ffn: 96 },
  /** Logit shift 1. */
  dream: { architecture: 'dream', layers: 2, dim: 64, heads: 4, kvHeads: 2, ffn: 96 },
  causal: { architecture: 'llama', layers: 1, dim: 64, heads: 4, ffn: 96 },
  /** Keys and values of a row depend on its own token alone. */
  shallow: { architecture: 'llada', layers: 1, dim: 64, heads: 4, ffn: 96 },
  shallowShifted: { architecture: 'dream', layers: 1, dim: 64, heads: 4, ffn: 96 },
} satisfies Record<string, Omit<SyntheticOptions, 'vocabulary'>>;

export type ModelName = keyof typeof shapes;

/** Writes models into a folder that goes when the test file is done; disposes of what it loaded. */
export function modelFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'lacuna-session-'));
  const loaded: Model[] = [];
  afterAll(async () => {
    await Promise.all(loaded.map((model) => model.dispose()));
    rmSync(folder, { recursive: true });
  });
  const write = async (name: ModelName): Promise<string> => {
    const path = join(folder, `${name}.gguf`);
    await writeSynthetic(path, { ...shapes[name], vocabulary, type: 'F32', seed: 7 });
    return path;
  };
  const open = async (path: string, options: LoadOptions): Promise<Model> => {
    const model = await loadModel(path, { threads: 2, ...options });
    loaded.push(model);
    return model;
  };
  const load = async (name: ModelName, options: LoadOptions): Promise<Model> =>
    open(await write(name), options);
  return { folder, write, open, load };
}

/** A canvas with known tokens at the even positions. */
export function halfMasked(model: Model, length = 16): DiffusionSession {
  const session = model.createSession({ length });
  for (let i = 0; i < length; i += 2) session.set(i, [(i * 37 + 11) % 290]);
  return session;
}

export const all = (n: number): Int32Array => Int32Array.from({ length: n }, (_, i) => i);

/** One row of a (n × columns) array. */
export function row(values: Float32Array, columns: number, i: number): Float32Array {
  return values.subarray(i * columns, (i + 1) * columns);
}

/** softmax in double precision. */
export function softmax(logits: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(logits);
  const largest = values.reduce((a, b) => Math.max(a, b));
  const weights = values.map((z) => Math.exp(z - largest));
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((w) => w / sum);
}

/** Token ids by descending probability, ties to the lower id. */
export function ranking(p: Float64Array): number[] {
  return [...p.keys()].sort((a, b) => p[b] - p[a] || a - b);
}

export const entropy = (p: Float64Array): number =>
  p.reduce((sum, x) => (x > 0 ? sum - x * Math.log(x) : sum), 0);

/** Largest absolute difference. */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  return Array.from(a).reduce((worst, x, i) => Math.max(worst, Math.abs(x - b[i])), 0);
}

/** What a `LacunaError` looks like. */
export const failure = (code: LacunaErrorCode, message: RegExp = /./) => ({
  name: 'LacunaError',
  code,
  message: expect.stringMatching(message) as string,
});

/** What `body` throws. */
export const thrown = (body: () => unknown): unknown => {
  try {
    body();
  } catch (error) {
    return error;
  }
  return undefined;
};
