/** ReMDM: which positions change in a step, from the rates computed by hand and the drawn numbers. */
import { describe, expect, test } from 'vitest';
import {
  blocks,
  dualCache,
  remdm,
  threshold,
  wholeAnswer,
  type RemdmOptions,
} from '../../lib/decoding/index.js';
import { Stream, uniform } from '../../lib/decoding/philox.js';
import { generate } from '../../lib/generate.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { confident, FakeModel, mask, noisy, type Predict } from './fake.js';

const prompt = [7, 7];
const seed = 11;

async function run(remdmOptions: RemdmOptions, options: GenerateOptions = {}, predict = noisy) {
  const defaults = { maxTokens: 400, blocks: wholeAnswer(), stopAtEos: false, seed };
  const given = { ...defaults, ...remdm(remdmOptions), ...options };
  return generate(new FakeModel(predict), prompt, given).result;
}

/** [reveal, remask] by step. t goes 1, 0.75, 0.5, 0.25; the last step reveals what is left. */
const golden: [string, RemdmOptions, [number, number][]][] = [
  // σ_max = 1, 1, 0.5; reveal (α_s − (1 − σ) α_t) / (1 − α_t) with α 0, 0.25, 0.5, 0.75
  ['cap 0', { eta: 0 }, [[0.25, 0], [1 / 3, 0], [0.5, 0], [1, 0]]],
  ['cap', { kind: 'cap', eta: 0.1 }, [[0.25, 0.1], [0.275 / 0.75, 0.1], [0.6, 0.1], [1, 0]]],
  ['cap at σ_max', { eta: 0.9 }, [[0.25, 0.9], [0.475 / 0.75, 0.9], [1, 0.5], [1, 0]]],
  ['rescale', { kind: 'rescale', eta: 0.5 }, [[0.25, 0.5], [0.5, 0.5], [0.75, 0.25], [1, 0]]],
  // α 0, 0.5, 0.8, 1 − 0.25 · 0.2 / 0.3; between tOff and tOn (0.83333 − 0.98 · 0.8) / 0.2
  ['loop', { kind: 'loop', tOn: 0.6, tOff: 0.3, alphaOn: 0.8 },
    [[0.5, 0], [0.6, 0], [0.246667, 0.02], [1, 0]]],
  // another α: 1 − t² is 0, 0.4375, 0.75, 0.9375
  ['polynomial', { eta: 0, alpha: { kind: 'polynomial', exponent: 2 } },
    [[0.4375, 0], [0.3125 / 0.5625, 0], [0.75, 0], [1, 0]]],
]; // prettier-ignore

describe.each(golden)('%s', (_, options, rates) => {
  test('reveals and masks again at these rates', async () => {
    const { trace, canvas } = await run({ ...options, steps: 4 });
    expect(canvas).not.toContain(mask);
    const known = new Set<number>();
    rates.forEach(([reveal, remask], step) => {
      const { committed, remasked = [] } = trace[step];
      const changed = new Set([...committed.map(([p]) => p), ...remasked]);
      for (let position = 2; position < 402; position++) {
        const rate = known.has(position) ? remask : reveal;
        const drawn = uniform(seed, step, position, Stream.transfer);
        // the grid ends at 1e-5 instead of 0
        if (Math.abs(drawn - rate) > 1e-4) expect(changed.has(position)).toBe(drawn < rate);
      }
      for (const [position] of committed) known.add(position);
      for (const position of remasked) known.delete(position);
    });
    expect(trace.length).toBe(4);
  });
});

test('conf: unsure tokens are masked again more often, masks not at all', async () => {
  // tokens left of 102 are committed with 0.9, the others with 0.1
  const predict: Predict = (position) => confident(1, position < 102 ? 0.9 : 0.1);
  const { trace } = await run({ kind: 'conf', steps: 4 }, { maxTokens: 200 }, predict);
  const first = trace[0].committed.map(([position]) => position);
  const weight = (position: number) => Math.exp(position < 102 ? -0.9 : -0.1);
  const sum = first.reduce((total, position) => total + weight(position), 0);
  const expected = first.filter(
    (position) => uniform(seed, 1, position, Stream.transfer) < weight(position) / sum,
  );
  expect(trace[1].remasked ?? []).toEqual(expected);
  const revealed = trace[1].committed.map(([position]) => position);
  for (let position = 2; position < 202; position++) {
    if (first.includes(position)) continue;
    const drawn = uniform(seed, 1, position, Stream.transfer);
    if (Math.abs(drawn - 1 / 3) > 1e-4) expect(revealed.includes(position)).toBe(drawn < 1 / 3);
  }
});

test('confidence is that of the last commit, of the tempered distribution', async () => {
  const weights = async (temperature: number) => {
    const options = { maxTokens: 40, temperature };
    return (await run({ kind: 'conf', steps: 8 }, options)).trace;
  };
  const trace = await weights(2);
  for (const { committed } of trace) {
    for (const [, , p] of committed) expect(p).toBeLessThan(0.9); // noisy logits / 2
  }
  expect(trace).toEqual(await weights(2));
});

test('a full block goes on to the end of its schedule', async () => {
  const options = { kind: 'cap', eta: 0.3, steps: 12 } as const;
  let full = 0;
  for (const each of [1, 2, 3, 4, 5]) {
    const { trace, canvas } = await run(options, { maxTokens: 2, seed: each });
    let masks = 2;
    const after = trace.map(
      ({ committed, remasked = [] }) => (masks += remasked.length - committed.length),
    );
    full += after.slice(0, -1).filter((count, i) => count === 0 && after[i + 1] > 0).length;
    expect(canvas).not.toContain(mask);
    expect(trace.length).toBeLessThanOrEqual(12);
  }
  expect(full).toBeGreaterThan(0);
});

test('steps that change nothing make no forward', async () => {
  const { trace, forwards } = await run({ eta: 0, steps: 50 }, { maxTokens: 5 });
  expect(trace.filter(({ forwards: made }) => made === 0).length).toBeGreaterThan(30);
  expect(forwards).toBeLessThanOrEqual(5);
});

test('each block has its schedule; caches and limits go along', async () => {
  for (const kind of ['cap', 'rescale', 'conf', 'loop'] as const) {
    const options = { blocks: blocks(8), maxTokens: 20, cache: dualCache(), steps: 12 };
    const result = await run({ kind }, { ...options, temperature: 1 });
    expect(result.canvas.length).toBe(22);
    expect(result.canvas).not.toContain(mask);
    expect(result.steps).toBeLessThanOrEqual(12);
  }
});

test('the halves of two calls are refused', () => {
  const make = (options: GenerateOptions) => () => generate(new FakeModel(), prompt, options);
  const { decode, refine } = remdm();
  expect(make({ decode })).toThrow(/decode: remdm\(\) gives a decoder and a refinement/);
  expect(make({ decode: threshold(), refine })).toThrow(/refine: remdm\(\) gives/);
  expect(make({ decode, refine: remdm({ eta: 0.1 }).refine })).toThrow(/of the same call/);
  expect(() => remdm({ kind: 'cap', eta: 2 })).toThrow(/remdm\(\): eta/);
});
