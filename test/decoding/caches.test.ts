/** Caches on real sessions: exact where they claim to be, and close to exact where they do not. */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  absoluteBlocks,
  blockCausalCache,
  blocks,
  dualCache,
  leftToRight,
  lowConfidence,
  noCache,
  prefixCache,
  threshold,
  type CachePlan,
} from '../../lib/decoding/index.js';
import { loadModel, type LoadOptions } from '../../lib/model.js';
import type { GenerateOptions } from '../../lib/plan.js';

const file = fileURLToPath(new URL('../fixtures/golden/llada.Q8_0.gguf', import.meta.url));
const prompt = [5, 17, 300, 42, 8, 77, 123, 9, 250, 31];

/** What was committed when, and the rows computed for it. */
async function run(options: LoadOptions, generate: GenerateOptions, cache?: CachePlan) {
  await using model = await loadModel(file, options);
  const common = { maxTokens: 22, stopAtEos: false, cache };
  const { trace, forwards } = await model.generate(prompt, { ...common, ...generate }).result;
  const rows = trace.reduce((sum, step) => sum + step.rows, 0);
  const order = trace.map(({ committed }) => committed.map(([p, token]) => [p, token]));
  const probability = trace.flatMap(({ committed }) => committed.map(([, , p]) => p));
  return { order, probability, rows, forwards };
}

describe.each(['ref', 'cpu'] as const)('%s', (device) => {
  test.each<[string, LoadOptions, GenerateOptions]>([
    [
      'block-causal(8)',
      { attention: { blockCausal: 8 } },
      { decode: threshold({ tau: 0.3 }), blocks: absoluteBlocks(8) },
    ],
    [
      'block-causal(4) in blocks of 8, with a shift',
      { attention: { blockCausal: 4 }, shift: 1 },
      { decode: lowConfidence({ steps: 16 }), blocks: absoluteBlocks(8) },
    ],
    [
      'block-causal(8), guided',
      { attention: { blockCausal: 8 } },
      { decode: lowConfidence({ steps: 12 }), blocks: absoluteBlocks(8), cfgScale: 1 },
    ],
    ['causal with a shift', { attention: 'causal', shift: 1 }, { decode: leftToRight() }],
  ])('the block-causal cache is exact: %s', async (_, load, options) => {
    const model = { ...load, device, threads: 2 };
    const exact = await run(model, options, noCache());
    const cached = await run(model, options, blockCausalCache());
    expect(cached.order).toEqual(exact.order);
    expect(cached.forwards).toBe(exact.forwards);
    expect(cached.rows).toBeLessThan(exact.rows / 2);
    cached.probability.forEach((p, i) => expect(p).toBeCloseTo(exact.probability[i], 5));
  });

  test('prefix and dual: a full forward per block, fewer rows after it', async () => {
    const options = { decode: lowConfidence({ steps: 12 }), blocks: blocks(11) };
    const exact = await run({ device, threads: 2 }, options, noCache());
    const prefix = await run({ device, threads: 2 }, options, prefixCache());
    const dual = await run({ device, threads: 2 }, options, dualCache());
    expect(exact.rows).toBe(12 * 32);
    expect(prefix.rows).toBe(2 * 32 + 5 * 22 + 5 * 11);
    expect(dual.rows).toBe(2 * 32 + 10 * 11);
    // the forwards at the beginning are full ones
    expect(prefix.order[0]).toEqual(exact.order[0]);
    expect(dual.order[0]).toEqual(exact.order[0]);
    // with the prompt frozen what follows is an approximation
    expect(dual.probability[2]).not.toBe(exact.probability[2]);
  });

  test('a cached run repeats itself', async () => {
    const options = {
      decode: threshold({ tau: 0.02 }),
      blocks: blocks(11),
      temperature: 1,
      seed: 4,
    };
    const once = await run({ device, threads: 1 }, options, dualCache());
    const again = await run({ device, threads: 2 }, options, dualCache());
    expect(again).toEqual(once);
  });
});
