import { describe, expect, test } from 'vitest';
import { loadModel, type LoadOptions, type StepResult } from '../../lib/index.js';
import { native } from '../../lib/native.js';
import {
  goldenLogits,
  goldenOptions,
  goldenPath,
  goldens,
  type GoldenCase,
  type GoldenModel,
} from './reference-set.js';

const probe = Int32Array.of(3, 17, 510);
const list = 4;

/** One full forward over the case's tokens; statistics and logits of every position. */
async function evaluate(
  model: GoldenModel,
  options: LoadOptions,
): Promise<{ golden: GoldenCase; result: StepResult; mask: number }[]> {
  await using loaded = await loadModel(goldenPath(model), { ...goldenOptions(model), ...options });
  const results = [];
  for (const golden of model.cases) {
    using session = loaded.createSession({ length: golden.tokens.length });
    session.set(0, golden.tokens);
    const query = Int32Array.from(golden.tokens.keys());
    const result = await session.step({ query, logits: true, topK: list, probe });
    results.push({ golden, result, mask: loaded.info.tokens.mask! });
  }
  return results;
}

function relativeError(ours: Float32Array, theirs: Float32Array): number {
  expect(ours.length).toBe(theirs.length);
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < ours.length; i++) {
    difference += (ours[i] - theirs[i]) ** 2;
    norm += theirs[i] ** 2;
  }
  return Math.sqrt(difference / norm);
}

/** Largest relative error of any position. */
function worstRow(result: StepResult, golden: Float32Array): number {
  const vocabulary = golden.length / result.position.length;
  let worst = 0;
  for (let i = 0; i < golden.length; i += vocabulary) {
    const rows = [result.logits!, golden].map((a) => a.subarray(i, i + vocabulary));
    worst = Math.max(worst, relativeError(rows[0], rows[1]));
  }
  return worst;
}

/** The statistics, recomputed in double from the logits the same forward reported. */
function checkStatistics(result: StepResult, mask: number): void {
  const n = result.position.length;
  const vocabulary = result.logits!.length / n;
  for (let i = 0; i < n; i++) {
    const z = Array.from(result.logits!.subarray(i * vocabulary, (i + 1) * vocabulary));
    const largest = Math.max(...z);
    const sum = z.reduce((total, value) => total + Math.exp(value - largest), 0);
    const p = z.map((value) => Math.exp(value - largest) / sum);
    const order = [...p.keys()].sort((a, b) => p[b] - p[a] || a - b);
    const token = order.find((candidate) => candidate !== mask)!;
    expect(result.token[i]).not.toBe(mask);
    expect(p[result.token[i]]).toBeCloseTo(p[token], 5);
    expect(Math.abs(result.probability[i] - p[result.token[i]])).toBeLessThan(1e-4);
    expect(Math.abs(result.margin[i] - (p[order[0]] - p[order[1]]))).toBeLessThan(1e-4);
    const entropy = p.reduce(
      (total, value) => total - (value > 0 ? value * Math.log(value) : 0),
      0,
    );
    expect(Math.abs(result.entropy[i] - entropy)).toBeLessThan(1e-4);
    for (let k = 0; k < list; k++) {
      const at = i * list + k;
      expect(Math.abs(result.top!.probability[at] - p[order[k]])).toBeLessThan(1e-4);
      expect(Math.abs(result.top!.probability[at] - p[result.top!.token[at]])).toBeLessThan(1e-4);
    }
    probe.forEach((token, k) => {
      expect(Math.abs(result.probe![i * probe.length + k] - p[token])).toBeLessThan(1e-4);
    });
  }
}

const isFloat = (types: string[]) => types.every((type) => /^(F32|F16|BF16)$/.test(type));

/** The bound on ‖ours − golden‖ / ‖golden‖ on the CPU, for the mean over the cases of a model. */
function meanBound(model: GoldenModel): number {
  const peers = model.cases.map((golden) => golden.peer_rel_error);
  if (peers.some((peer) => peer === undefined || peer === null)) return 2.5e-2;
  return (1.25 * (peers as number[]).reduce((a, b) => a + b, 0)) / peers.length;
}

describe.each(goldens.map((model) => ({ name: `${model.model} ${model.attention ?? ''}`, model })))(
  '$name',
  ({ model }) => {
    test('ref: logits within 1e-5 at every position, statistics follow from them', async () => {
      for (const { golden, result, mask } of await evaluate(model, { device: 'ref' })) {
        expect(worstRow(result, goldenLogits(golden))).toBeLessThanOrEqual(1e-5);
        checkStatistics(result, mask);
      }
    });

    test.each(native().isas())('cpu %s: logits within the bound of the type', async (isa) => {
      const results = await evaluate(model, { device: 'cpu', isa, threads: 2 });
      const errors = [];
      for (const { golden, result, mask } of results) {
        const logits = goldenLogits(golden);
        if (isFloat(model.types)) {
          const bound = model.types.every((type) => type === 'F32') ? 1e-5 : 5e-3;
          expect(worstRow(result, logits)).toBeLessThanOrEqual(bound);
        }
        errors.push(relativeError(result.logits!, logits));
        checkStatistics(result, mask);
      }
      if (!isFloat(model.types)) {
        const mean = errors.reduce((a, b) => a + b, 0) / errors.length;
        expect(mean).toBeLessThanOrEqual(meanBound(model));
      }
    });
  },
);
