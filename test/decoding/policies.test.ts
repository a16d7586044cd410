/** Each decoder and cache against what its original does, computed by hand on scripted statistics. */
import { describe, expect, test } from 'vitest';
import {
  absoluteBlocks,
  blockCausalCache,
  blocks,
  dream,
  dualCache,
  entropyBound,
  factor,
  leftToRight,
  lowConfidence,
  prefixCache,
  randomOrder,
  threshold,
  topK,
  wholeAnswer,
} from '../../lib/decoding/index.js';
import { gumbel, Stream, uniform } from '../../lib/decoding/philox.js';
import { generate } from '../../lib/generate.js';
import type { GenerateOptions } from '../../lib/plan.js';
import type { Range } from '../../lib/types.js';
import { confident, eos, eot, FakeModel, mask, type Predict } from './fake.js';

/** Position i proposes token i mod 10 with probability p[i − prompt]. */
function scripted(p: number[], prompt: number): Predict {
  return (position) => confident(position % 10, p[position - prompt] ?? 0.1);
}

const prompt = [7, 7];

/** Runs to the end; `order[k]` = positions committed by step k. */
async function decoded(model: FakeModel, options: GenerateOptions) {
  const run = generate(model, prompt, { stopAtEos: false, ...options });
  const result = await run.result;
  const order = result.trace.map(({ committed }) => committed.map(([position]) => position));
  return { ...result, order };
}

/** Order in which a decoder fills answers of the given confidence. */
async function order(options: GenerateOptions, p: number[]): Promise<number[][]> {
  const model = new FakeModel(scripted(p, prompt.length));
  return (await decoded(model, { maxTokens: p.length, ...options })).order;
}

describe('lowConfidence', () => {
  const p = [0.3, 0.9, 0.5, 0.8, 0.2, 0.6, 0.7];

  test('3, 2, 2 of 7 masks in 3 steps, the most confident first', async () => {
    const decode = lowConfidence({ steps: 3 });
    expect(await order({ decode, blocks: wholeAnswer() }, p)).toEqual([
      [3, 5, 8],
      [4, 7],
      [2, 6],
    ]);
  });

  test('block by block', async () => {
    const decode = lowConfidence({ steps: 4 });
    expect(await order({ decode, blocks: blocks(4) }, [...p, 0.1])).toEqual([
      [3, 5],
      [2, 4],
      [7, 8],
      [6, 9],
    ]);
  });

  test('scores by the untempered softmax', async () => {
    const model = new FakeModel();
    await decoded(model, {
      decode: lowConfidence(),
      temperature: 0.7,
      topP: 0.9,
      topK: 5,
      seed: 3,
    });
    const { sampling } = model.requests[2];
    expect(sampling).toMatchObject({ temperature: 0.7, topP: 0.9, topK: 5, seed: 3, step: 2 });
    expect(sampling?.statistics ?? 'model').toBe('model');
  });

  test('logitsEosInf removes end of text only', async () => {
    const model = new FakeModel();
    const { canvas } = await decoded(model, {
      decode: lowConfidence({ logitsEosInf: true }),
      suppress: [3],
      maxTokens: 40,
    });
    expect([...model.requests[0].suppress!]).toEqual([3, eos]);
    expect(canvas).not.toContain(eos);
    expect(canvas).not.toContain(3);
  });

  test.each([
    [0, false, [eot, eos]],
    [0, true, [eot, eos]],
    [0.5, false, [eot, eos]],
    [0.5, true, [eot]],
  ])('confidenceEosEotInf at temperature %f, literal %s', async (temperature, literal, tokens) => {
    const model = new FakeModel();
    const decode = lowConfidence({ confidenceEosEotInf: true, literal });
    await decoded(model, { decode, temperature, maxTokens: 4 });
    expect([...model.requests[0].unscored!]).toEqual(tokens);
  });

  test('confidenceEosEotInf commits end of text last', async () => {
    const ends: Predict = (position) => confident(position === 3 ? eos : 1, 0.9);
    const decode = lowConfidence({ confidenceEosEotInf: true });
    const { order } = await decoded(new FakeModel(ends), { decode, maxTokens: 4 });
    expect(order).toEqual([[2], [4], [5], [3]]);
  });

  test('a proposed MASK stays masked and uses up the quota only if literal', async () => {
    const masks: Predict = (position) => confident(position === 3 ? mask : 1, 1 - position / 10);
    const literal = await decoded(new FakeModel(masks), {
      decode: lowConfidence({ literal: true }),
      maxTokens: 4,
    });
    expect(literal.order).toEqual([[2], [], [], []]);
    expect(literal.finishReason).toBe('steps');
    expect([...literal.canvas]).toEqual([7, 7, 1, mask, mask, mask]);
    expect([...literal.tokens]).toEqual([1]);

    const sound = await decoded(new FakeModel(masks), { decode: lowConfidence(), maxTokens: 4 });
    expect(sound.order).toEqual([[2], [4], [5], [3]]);
    expect(sound.finishReason).toBe('length');
  });

  test('random order follows the seed, not the confidence', async () => {
    const options = { decode: randomOrder(), blocks: wholeAnswer(), seed: 11 };
    const expected: number[][] = [];
    const open = new Set(p.map((_, i) => i + 2));
    for (let step = 0; step < p.length; step++) {
      const score = (position: number) => uniform(11, step, position, Stream.score);
      const best = [...open].sort((a, b) => score(b) - score(a))[0];
      expected.push([best]);
      open.delete(best);
    }
    expect(await order(options, p)).toEqual(expected);
  });
});

describe('rules', () => {
  const p = [0.5, 0.95, 0.9, 0.89, 0.91];
  const whole = { blocks: wholeAnswer() };

  test('threshold', async () => {
    const loose = { decode: threshold({ tau: 0.899 }), ...whole };
    expect(await order(loose, p)).toEqual([[3, 4, 6], [5], [2]]);
    const two = { decode: threshold({ tau: 0.99, strict: true, min: 2 }), ...whole };
    expect(await order(two, p)).toEqual([[3, 6], [4, 5], [2]]);
  });

  test('factor', async () => {
    // (n + 1)(1 − p_n): –, .27, .4, .55, 3 → four pass 0.6
    expect(await order({ decode: factor({ factor: 0.6 }), ...whole }, p)).toEqual([
      [3, 4, 5, 6],
      [2],
    ]);
    expect(await order({ decode: factor({ factor: 0.3 }), ...whole }, p)).toEqual([
      [3, 6],
      [4],
      [5],
      [2],
    ]);
    expect(await order({ decode: factor({ factor: 0.6, literal: true }), ...whole }, p)).toEqual([
      [2, 3, 4, 5, 6],
    ]);
  });

  test('entropyBound', async () => {
    const model = new FakeModel(scripted(p, 2));
    const { order } = await decoded(model, {
      decode: entropyBound({ gamma: 0.7 }),
      maxTokens: 5,
      ...whole,
    });
    const h = (q: number) => -q * Math.log(q) - (1 - q) * Math.log((1 - q) / 15);
    expect(h(0.95)).toBeLessThan(0.7);
    expect(h(0.95) + h(0.91)).toBeGreaterThan(0.7);
    expect(order).toEqual([[3, 6], [4, 5], [2]]);
  });

  test('topK and leftToRight', async () => {
    expect(await order({ decode: topK({ k: 3 }), ...whole }, p)).toEqual([
      [3, 4, 6],
      [2, 5],
    ]);
    expect(await order({ decode: leftToRight({ k: 2 }), ...whole }, p)).toEqual([
      [2, 3],
      [4, 5],
      [6],
    ]);
  });
});

describe('dream', () => {
  const p = [0.3, 0.9, 0.5, 0.8, 0.2, 0.6, 0.7, 0.4];

  test('steps that reveal nothing make no forward', async () => {
    const model = new FakeModel(scripted(p, 2));
    const decode = dream({ alg: 'maskgit_plus', steps: 8 });
    const result = await decoded(model, { decode, maxTokens: 8, blocks: wholeAnswer() });
    expect(result.order).toEqual([[], [3], [5], [8], [7], [4], [9], [2, 6]]);
    expect(result.steps).toBe(8);
    expect(result.forwards).toBe(7);
    expect(result.trace[0]).toMatchObject({ step: 0, forwards: 0, rows: 0, committed: [] });
    expect(result.trace[0].timing).toBeUndefined();
    expect(model.requests[0].sampling).toMatchObject({ statistics: 'sampled', step: 1 });
  });

  test.each([
    ['maskgit_plus', 'probability'],
    ['topk_margin', 'margin'],
    ['entropy', 'negEntropy'],
  ] as const)('%s ranks by %s', async (alg, score) => {
    const model = new FakeModel(scripted(p, 2));
    await decoded(model, { decode: dream({ alg, steps: 2 }), maxTokens: 8 });
    expect(model.requests[0].commit).toMatchObject({ score, select: { kind: 'topK', k: 3 } });
    expect(model.requests[0].commit?.bias).toBeUndefined();
  });

  test('origin transfers each position by itself and asks for no other', async () => {
    const model = new FakeModel();
    const decode = dream({ alg: 'origin', steps: 4 });
    const { order } = await decoded(model, {
      decode,
      maxTokens: 60,
      seed: 5,
      blocks: wholeAnswer(),
    });
    const rate = (1 - 1e-3) / 4;
    const expected = Array.from({ length: 60 }, (_, i) => i + 2).filter(
      (position) => uniform(5, 0, position, Stream.transfer) < rate,
    );
    expect(order[0]).toEqual(expected);
    expect([...model.requests[0].query]).toEqual(expected);
    expect(order.flat().length).toBe(60);
  });

  test('algTemp draws by softmax(confidence / algTemp), without replacement', async () => {
    // confidences .8, .4, .4 at algTemp .4: the first with e² / (e² + 2e) = .576
    let first = 0;
    const runs = 400;
    for (let seed = 0; seed < runs; seed++) {
      const model = new FakeModel((position) => confident(1, position === 2 ? 0.8 : 0.4));
      const decode = dream({ alg: 'maskgit_plus', algTemp: 0.4, steps: 2 });
      const { order } = await decoded(model, {
        decode,
        maxTokens: 3,
        seed,
        blocks: wholeAnswer(),
      });
      expect(order.map((step) => step.length)).toEqual([1, 2]);
      if (order[0][0] === 2) first++;
    }
    expect(first / runs).toBeGreaterThan(0.576 - 0.05);
    expect(first / runs).toBeLessThan(0.576 + 0.05);
  });

  test('algTemp is a bias of Gumbel noise', async () => {
    const model = new FakeModel();
    const decode = dream({ alg: 'entropy', algTemp: 0.5, steps: 2 });
    await decoded(model, { decode, maxTokens: 8, seed: 9, blocks: wholeAnswer() });
    const bias = model.requests[0].commit!.bias!;
    expect(bias.length).toBe(10);
    expect(bias[0]).toBe(0);
    expect(bias[4]).toBe(Math.fround(0.5 * gumbel(9, 0, 4, Stream.order)));
  });

  test('with blocks, each runs the schedule by itself', async () => {
    const decode = dream({ alg: 'maskgit_plus', steps: 4 });
    expect(await order({ decode, blocks: blocks(4) }, p)).toEqual([[3], [2, 4, 5], [8], [6, 7, 9]]);
  });
});

describe('caches', () => {
  /** [first row, end, visible] of each forward; '–' = default. */
  function rows(model: FakeModel): string[] {
    return model.requests.map(({ rows, visible }) => {
      const range = rows as Range | undefined;
      const span = range ? `${range.start}…${range.end}` : 'all';
      return visible === undefined ? span : `${span} of ${visible as number}`;
    });
  }
  const options = { decode: topK({ k: 2 }), maxTokens: 10 };

  test('prefix: all, then block and suffix', async () => {
    const model = new FakeModel();
    await decoded(model, { ...options, blocks: blocks(6), cache: prefixCache() });
    expect(rows(model)).toEqual(['all', '2…12', '2…12', 'all', '8…12']);
  });

  test('dual: all, then the block', async () => {
    const model = new FakeModel();
    await decoded(model, { ...options, blocks: blocks(6), cache: dualCache() });
    expect(rows(model)).toEqual(['all', '2…8', '2…8', 'all', '8…12']);
  });

  test('with a logit shift, also the row before the block', async () => {
    const model = new FakeModel(undefined, { logitShift: 1 });
    await decoded(model, { ...options, blocks: blocks(6), cache: dualCache() });
    expect(rows(model)).toEqual(['all', '1…8', '1…8', 'all', '7…12']);
  });

  test('a step without a forward does not count as the full one', async () => {
    const model = new FakeModel();
    const decode = dream({ steps: 10 });
    await decoded(model, { decode, maxTokens: 10, cache: dualCache(), blocks: wholeAnswer() });
    expect(rows(model).slice(0, 2)).toEqual(['all', '2…12']);
  });

  test('block-causal: prompt and first block, the block, clean block and the next', async () => {
    const model = new FakeModel(undefined, { attention: { blockCausal: 4 } });
    const { canvas } = await decoded(model, {
      ...options,
      blocks: absoluteBlocks(4),
      cache: blockCausalCache(),
    });
    expect(canvas.length).toBe(12);
    expect(rows(model)).toEqual(['0…4 of 4', '0…8 of 8', '4…8 of 8', '4…12 of 12', '8…12 of 12']);
  });

  test('causal with a shift: one row per token, each clean', async () => {
    const model = new FakeModel(undefined, { attention: 'causal', logitShift: 1 });
    await decoded(model, { maxTokens: 4 });
    expect(rows(model)).toEqual(['0…2 of 3', '2…3 of 4', '3…4 of 5', '4…5 of 6']);
  });
});
