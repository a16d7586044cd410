/** What holds for every decoder, whatever it is combined with. */
import { describe, expect, test } from 'vitest';
import {
  absoluteBlocks,
  adaBlocks,
  ancestral,
  blockCausalCache,
  blocks,
  dkvCache,
  dllmCache,
  dpad,
  cap,
  countTokens,
  dilated,
  daedal,
  draftAndEdit,
  dream,
  editTokens,
  fillAfterEos,
  prophet,
  randomStart,
  remask,
  remdm,
  wino,
  dualCache,
  entropyBound,
  factor,
  growUntilEos,
  klass,
  leftToRight,
  localLeap,
  lowConfidence,
  noCache,
  osdt,
  pcSampler,
  prefixCache,
  randomOrder,
  rightToLeft,
  sdar,
  spaced,
  threshold,
  topK,
  wholeAnswer,
} from '../../lib/decoding/index.js';
import { factsOf } from '../../lib/decoding/named.js';
import { generate } from '../../lib/generate.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { FakeModel, mask, vocabulary, type Request } from './fake.js';

const background = countTokens([[1, 2, 2, 3, 3, 3]], vocabulary);
const profile = {
  ...{ kind: 'thresholds', granularity: 'step', metric: 'mean', cap: 0.9, slack: 0.1 },
  ...{ overall: 0.3, thresholds: [[0.5, 0.2]] },
} as const;

const decoders = {
  lowConfidence: lowConfidence({ steps: 10 }),
  'lowConfidence margin': lowConfidence({ score: 'margin' }),
  'lowConfidence eos': lowConfidence({ logitsEosInf: true, confidenceEosEotInf: true }),
  randomOrder: randomOrder({ steps: 7 }),
  topK: topK({ k: 3, score: 'negEntropy' }),
  leftToRight: leftToRight({ k: 2 }),
  threshold: threshold({ tau: 0.3 }),
  'threshold strict': threshold({ tau: 0.3, strict: true, min: 2, statistics: 'sampled' }),
  factor: factor({ factor: 2 }),
  'factor literal': factor({ literal: true }),
  entropyBound: entropyBound({ gamma: 4 }),
  'dream origin': dream({ alg: 'origin', steps: 9 }),
  'dream maskgit_plus': dream({ alg: 'maskgit_plus', steps: 30 }),
  'dream topk_margin': dream({ alg: 'topk_margin', steps: 6 }),
  'dream entropy': dream(),
  'lowConfidence dilated': lowConfidence({ schedule: 'dilated', steps: 12 }),
  'randomOrder cosine': randomOrder({ schedule: 'cosine' }),
  rightToLeft: rightToLeft(),
  pcSampler: pcSampler({ background, steps: 11 }),
  klass: klass({ tau: 0.2, kappa: 0.5 }),
  'klass minKl': klass({ tau: 0.1, kappa: 1, history: 1, strict: false, pick: 'minKl' }),
  localLeap: localLeap({ kappa: 0.4, tau: 0.2 }),
  dilated: dilated(),
  'sdar dynamic': sdar({ tau: 0.3 }),
  'sdar static': sdar({ strategy: 'static', steps: 3 }),
  'sdar sequential': sdar({ strategy: 'sequential', steps: 3 }),
  'sdar entropyBounded': sdar({ strategy: 'entropyBounded', epsilon: 3 }),
  cap: cap(threshold({ tau: 0.1 }), { max: 3 }),
  spaced: spaced(entropyBound({ gamma: 9 })),
  ancestral: ancestral(),
  'ancestral cosine': ancestral({ alpha: 'cosine', grid: 'cosine', steps: 12 }),
  osdt: osdt({ profile: profile as never }),
  'dream alg_temp': dream({ alg: 'entropy', steps: 8, algTemp: 0.5 }),
};
const caches = { noCache: noCache(), prefixCache: prefixCache(), dualCache: dualCache() };
/** Caches whose rows depend on more than the block. */
const refreshing = {
  auto: 'auto' as const,
  'prefix refreshed': prefixCache({ refresh: 2 }),
  vicinity: dualCache({ around: 3, warmUp: 2, refresh: 5 }),
  dkv: dkvCache({ refresh: 3 }),
  dllm: dllmCache({ prompt: 5, response: 3 }),
  dpad: dpad({ window: 12 }),
  'dpad of dual': dpad({ window: 12, cache: dualCache() }),
  'dpad of dllm': dpad({ window: 12, cache: dllmCache() }),
};
const plans = { 'blocks(8)': blocks(8), absoluteBlocks: absoluteBlocks(6), whole: wholeAnswer() };
const prompt = [3, 1, 4, 1, 5];
const maxTokens = 19;

async function run(model: FakeModel, options: GenerateOptions) {
  const result = await generate(model, prompt, { maxTokens, ...options }).result;
  return { ...result, session: model.sessions[0] };
}

describe.each(Object.entries(decoders))('%s', (_, decode) => {
  describe.each(Object.entries(caches))('%s', (_, cache) => {
    test.each(Object.entries(plans))('%s', async (_, plan) => {
      for (const shift of [0, 1]) {
        for (const seed of [1, 2, 3]) {
          const options = { decode, cache, blocks: plan, seed, temperature: seed - 1 };
          const make = () => new FakeModel(undefined, { logitShift: shift });
          const result = await run(make(), { ...options, stopAtEos: false });
          const again = await run(make(), { ...options, stopAtEos: false });

          expect([...result.canvas.subarray(0, 5)]).toEqual(prompt);
          expect(result.canvas.subarray(5, 5 + maxTokens)).not.toContain(mask);
          expect(result.session.canvas).toEqual(result.canvas);
          expect(result.session.disposed).toBe(true);
          expect(again.canvas).toEqual(result.canvas);
          expect(again.trace).toEqual(result.trace);
          // at least one token per forward
          expect(result.forwards).toBeLessThanOrEqual(result.canvas.length - 5);
          const written = result.trace.flatMap(({ committed }) => committed.map(([p]) => p));
          expect(new Set(written).size).toBe(written.length);
          expect(written.every((position) => position >= 5)).toBe(true);
        }
      }
    });
  });

  test('stops at the end of text with everything before it known', async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const { tokens, canvas, finishReason } = await run(new FakeModel(), {
        decode,
        seed,
        temperature: 2,
        blocks: blocks(8),
      });
      expect(tokens).not.toContain(mask);
      expect([...tokens]).toEqual([...canvas.subarray(5, 5 + tokens.length)]);
      if (finishReason === 'eos') expect([13, 14]).toContain(canvas[5 + tokens.length]);
      else expect(tokens.length).toBe(maxTokens);
    }
  });

  test('never exceeds the limit of steps', async () => {
    const options = { decode: limited(decode), blocks: wholeAnswer(), stopAtEos: false };
    for (const steps of [1, 4]) {
      const model = new FakeModel(undefined, { tokens: { mask } }); // never ends by itself
      const { trace, tokens, finishReason } = await run(model, { ...options, steps });
      expect(trace.length).toBeLessThanOrEqual(steps);
      expect(finishReason).toBe(tokens.length === maxTokens ? 'length' : 'steps');
    }
  });

  test('guidance keeps the unconditional canvas in step', async () => {
    const model = new FakeModel();
    const { canvas } = await run(model, { decode, cfgScale: 1.5, stopAtEos: false });
    const [conditional, unconditional] = model.sessions;
    expect(conditional.requests[0].guidance?.scale).toBe(2.5);
    expect([...unconditional.canvas.subarray(0, 5)]).toEqual([mask, mask, mask, mask, mask]);
    expect(unconditional.canvas.subarray(5)).toEqual(canvas.subarray(5));
    expect(unconditional.disposed).toBe(true);
  });
});

describe.each(Object.entries(refreshing))('%s fills every canvas', (_, cache) => {
  test('while the canvas grows', async () => {
    for (const shift of [0, 1]) {
      const model = new FakeModel(undefined, { logitShift: shift, tokens: { mask } });
      const length = growUntilEos({ initial: 6, by: 5 });
      const options = { decode: threshold({ tau: 0.3 }), blocks: blocks(8), cache, length };
      const { canvas, trace } = await run(model, { ...options, stopAtEos: false });
      expect(canvas.subarray(5)).not.toContain(mask);
      // Every key that a row sees has been computed.
      const known = new Set<number>();
      model.requests.forEach(({ rows, visible }, i) => {
        const { length } = canvas;
        for (const row of positions(rows, length)) known.add(row);
        expect(positions(visible, length).every((key) => known.has(key))).toBe(true);
        expect(trace.filter((step) => step.forwards > 0)[i].rows).toBeGreaterThan(0);
      });
    }
  });

  test.each(Object.entries(decoders))('%s', async (name, decode) => {
    for (const seed of [1, 2, 3]) {
      for (const plan of [blocks(8), wholeAnswer()]) {
        const options = { decode, cache, blocks: plan, seed, temperature: seed - 1 };
        const make = () => new FakeModel(undefined, { logitShift: seed % 2 });
        const result = await run(make(), { ...options, stopAtEos: false });
        expect([...result.canvas.subarray(0, 5)]).toEqual(prompt);
        expect(result.canvas.subarray(5)).not.toContain(mask);
        expect(result.forwards).toBeLessThanOrEqual(maxTokens);
        const again = await run(make(), { ...options, stopAtEos: false });
        expect(again.trace).toEqual(result.trace);
        // KLASS also compares positions beyond the block with what they last reported.
        if (seed > 1 || factsOf(decode).traits.includes('remembers')) continue;
        // The fake model does not look at rows: whatever they are, the answer is that of no cache.
        const exact = await run(make(), { ...options, cache: noCache(), stopAtEos: false });
        expect(result.canvas).toEqual(exact.canvas);
      }
    }
  });
});

/** Methods that take tokens back, edit them, or move where blocks and the canvas end. */
const refining: Record<string, GenerateOptions> = {
  wino: { decode: wino({ draft: 0.2, verify: 0.6 }) },
  'remdm cap': remdm({ eta: 0.2 }),
  'remdm rescale': remdm({ kind: 'rescale', eta: 0.2, steps: 12 }),
  'remdm conf': remdm({ kind: 'conf' }),
  'remdm loop': remdm({ kind: 'loop', eta: 0.1 }),
  draftAndEdit: draftAndEdit({ mode: 'speed', maxPostSteps: 3 }),
  editTokens: { decode: dream(), refine: editTokens({ tau: 0.2, maxPostSteps: 2 }) },
  remask: { decode: topK({ k: 2 }), refine: remask({ k: 2, rounds: 3, after: 0.5 }) },
  'remask and edit': { decode: threshold(), refine: [remask({ k: 9 }), editTokens({ tau: 0.1 })] },
  randomStart: { refine: randomStart({ share: 0.3 }) },
  'randomStart, wino': { decode: wino(), refine: randomStart({ share: 0.5 }) },
  prophet: { refine: prophet({ early: 1, middle: 0.5, late: 0.2 }) },
  fillAfterEos: { decode: topK(), refine: fillAfterEos() },
  daedal: { decode: threshold({ tau: 0.3 }), length: daedal({ initial: 4, window: 6, low: 0.4 }) },
  'daedal, wino': { decode: wino(), length: daedal({ initial: 9, expand: 3, low: 0.3 }) },
};

describe.each(Object.entries(refining))('%s', (_, method) => {
  describe.each(Object.entries(caches))('%s', (_, cache) => {
    const adaptive = adaBlocks({ delimiters: [9, 3], size: 5 });
    test.each(Object.entries({ ...plans, adaptive }))('%s', async (name, plan) => {
      for (const seed of [1, 2, 3]) {
        const options = { ...method, blocks: plan, cache, seed, stopAtEos: false };
        const make = () =>
          run(new FakeModel(undefined, { logitShift: seed % 2 }), {
            ...options,
            temperature: seed - 1,
          });
        if (name === 'adaptive' && !adapting(method)) {
          await expect(make()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
          continue;
        }
        const result = await make();
        expect([...result.canvas.subarray(0, 5)]).toEqual(prompt);
        expect(result.canvas.subarray(5)).not.toContain(mask);
        expect(result.session.canvas.subarray(0, result.canvas.length)).toEqual(result.canvas);
        expect((await make()).trace).toEqual(result.trace);
        expect(result.session.requests.length).toBe(result.forwards);
        const { remasks, edits, commits } = result.counts;
        const committed = commits.reduce((sum, count) => sum + count, 0);
        expect(committed - remasks).toBeLessThanOrEqual(result.canvas.length - 5);
        // each forward prepares, commits, takes back or edits; a block's last one may find nothing
        const ends = result.canvas.length - 5;
        expect(result.forwards).toBeLessThanOrEqual(committed + remasks + edits + 2 * ends);
      }
    });
  });
});

/** Neither shares out steps among blocks nor moves positions. */
function adapting({ decode, length }: GenerateOptions): boolean {
  const { traits } = factsOf(decode ?? lowConfidence());
  return length === undefined && !traits.includes('scheduled');
}

/** What a request names: everything, a length, a range or a list. */
function positions(part: Request['rows'] | Request['visible'], length: number): number[] {
  if (part instanceof Int32Array) return [...part];
  const { start, end } = typeof part === 'object' ? part : { start: 0, end: part ?? length };
  return Array.from({ length: end - start }, (_, i) => start + i);
}

/** Schedules of their own that are longer than the limit are refused; see schedule.test.ts. */
function limited(decode: (typeof decoders)[keyof typeof decoders]): typeof decode {
  return (run) => decode({ ...run, steps: undefined });
}

test.each([1, 4])('block-causal(%i): exact rows for every decoder', async (n) => {
  for (const decode of Object.values(decoders)) {
    for (const shift of [0, 1]) {
      const attention = n === 1 ? 'causal' : ({ blockCausal: n } as const);
      const tokens = { mask };
      const model = new FakeModel(undefined, { attention, logitShift: shift, tokens });
      const options = { decode: limited(decode), cache: blockCausalCache() };
      const result = await run(model, { ...options, blocks: absoluteBlocks(4), stopAtEos: false });
      expect(result.tokens.length).toBe(maxTokens);
    }
  }
});
