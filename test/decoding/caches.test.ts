/** Caches on real sessions: exact where they claim to be, and close to exact where they do not. */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  absoluteBlocks,
  blockCausalCache,
  blocks,
  dkvCache,
  dllmCache,
  dpad,
  dualCache,
  leftToRight,
  lowConfidence,
  noCache,
  prefixCache,
  threshold,
  wholeAnswer,
  type CachePlan,
} from '../../lib/decoding/index.js';
import { loadModel, type LoadOptions } from '../../lib/model.js';
import { checkOptions, planOf, type GenerateOptions } from '../../lib/plan.js';
import { distance, modelFolder } from '../session/models.js';

const file = fileURLToPath(new URL('../fixtures/golden/llada.Q8_0.gguf', import.meta.url));
const prompt = [5, 17, 300, 42, 8, 77, 123, 9, 250, 31];

const sparse = Int32Array.of(3, 19, 20, 22, 23, 24, 26, 27, 35);
const every = {
  auto: 'auto' as const,
  prefix: prefixCache({ refresh: 3 }),
  dual: dualCache({ refresh: 3, around: 2, warmUp: 2 }),
  dkv: dkvCache({ refresh: 4 }),
  dllm: dllmCache({ prompt: 6, response: 3 }),
  dpad: dpad({ window: 8 }),
  'dpad of dual': dpad({ window: 8, cache: dualCache() }),
  'dpad of dkv': dpad({ window: 8, cache: dkvCache() }),
  'dpad of dllm': dpad({ window: 8, cache: dllmCache() }),
};
const f32 = modelFolder();

/** What was committed when, and the rows computed for it. */
async function run(options: LoadOptions, generate: GenerateOptions, cache?: CachePlan | 'auto') {
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

  test.each<[string, CachePlan, CachePlan]>([
    ['prefix, every forward a full one', prefixCache({ refresh: 1 }), noCache()],
    ['dual, every forward a full one', dualCache({ refresh: 1 }), noCache()],
    ['dkv, every forward a full one', dkvCache({ refresh: 1 }), noCache()],
    ['dllm, prompt and answer every time', dllmCache({ prompt: 1, response: 1 }), noCache()],
    ['dual, with the whole canvas around', dualCache({ around: 32 }), noCache()],
    ['dpad that drops nothing', dpad({ sigma: 0, scale: 3 }), noCache()],
    ['dpad that drops nothing', dpad({ sigma: 0, scale: 3, cache: dualCache() }), dualCache()],
    ['dpad without a suffix left', dpad({ cache: prefixCache() }), prefixCache()],
  ])('bit for bit: %s', async (name, plan, other) => {
    const model = { device, threads: 2 };
    const whole = name.includes('suffix');
    const options = {
      decode: threshold({ tau: 0.02 }),
      blocks: whole ? wholeAnswer() : blocks(11),
      temperature: 1,
      seed: 3,
    };
    expect(await run(model, options, plan)).toEqual(await run(model, options, other));
  });

  test('a step with nothing stale equals the full step, bit for bit', async () => {
    for (const load of [{}, { shift: 1 } as const]) {
      await using model = await loadModel(file, { device, threads: 2, ...load });
      using session = model.createSession({ length: 40 });
      session.set(0, prompt);
      const query = Int32Array.of(20, 23, 24, 27);
      const full = await session.step({ query, logits: true });
      for (const rows of [{ start: 19, end: 28 }, { start: 19, end: 40 }, sparse]) {
        const part = await session.step({ rows, query, logits: true });
        expect(part.logits).toEqual(full.logits);
        expect(part.entropy).toEqual(full.entropy);
      }
    }
  });

  test.each<[string, LoadOptions]>([
    ['block-causal(4)', { attention: { blockCausal: 4 } }],
    ['block-causal(4) with a shift', { attention: { blockCausal: 4 }, shift: 1 }],
    ['causal with a shift', { attention: 'causal', shift: 1 }],
  ])('%s: logits of the exact cache are those of no cache', async (_, load) => {
    const model = await f32.load('llada', { device, ...load });
    const plan = planOf(
      model,
      [5, 17, 200, 42, 8, 77],
      checkOptions(model, {
        ...{ maxTokens: 18, decode: leftToRight(), blocks: absoluteBlocks(4) },
        cache: blockCausalCache(),
      }),
    );
    const { length } = plan.run;
    using exact = model.createSession({ length });
    using cached = model.createSession({ length });
    for (const session of [exact, cached]) session.set(0, plan.view.prompt);
    let [forwards, worst] = [0, 0];
    let changed = new Int32Array();
    for (const [block, range] of plan.run.blocks.entries()) {
      for (let step = 0; ; step++) {
        const masked = exact.masked.filter((i) => i >= range.start && i < range.end);
        if (masked.length === 0) break;
        const canvas = exact.tokens;
        const state = { step: forwards, block, blockStep: step, blockForwards: step, forwards };
        const written = { changed, stale: changed.at(0) ?? 0 };
        const rows = plan.cache({ ...state, ...written, range, masked, blockMasks: 4, canvas });
        const a = await exact.step({ query: masked, logits: true });
        const b = await cached.step({ ...rows, query: masked, logits: true });
        worst = Math.max(worst, distance(a.logits!, b.logits!));
        expect(b.token).toEqual(a.token);
        for (const s of [exact, cached]) s.commit([{ position: masked[0], token: a.token[0] }]);
        changed = Int32Array.of(masked[0]);
        forwards++;
      }
    }
    expect(forwards).toBe(18);
    expect(worst).toBeLessThan(1e-5);
  });

  test.each(Object.entries(every))('%s fills the canvas on a real model', async (_, cache) => {
    for (const shift of [0, 1] as const) {
      for (const plan of [blocks(8), wholeAnswer()]) {
        const options = { decode: lowConfidence({ steps: 11 }), blocks: plan, seed: 2 };
        const { order, rows, forwards } = await run({ device, shift }, options, cache);
        const written = order.flat().map(([position]) => position);
        expect(written.sort((a, b) => a - b)).toEqual(Array.from({ length: 22 }, (_, i) => 10 + i));
        expect(forwards).toBe(11);
        expect(rows).toBeLessThanOrEqual(11 * 32);
      }
    }
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
