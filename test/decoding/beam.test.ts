/** Joint search on models whose joint distribution is written down. */
import { describe, expect, test } from 'vitest';
import {
  beam,
  cap,
  credit,
  dualCache,
  softMask,
  spaced,
  topK,
  type BeamOptions,
} from '../../lib/decoding/index.js';
import { generate } from '../../lib/generate.js';
import { FakeModel, mask, noisy, vocabulary, type Predict, type Request } from './fake.js';
import { decoded, order, prompt } from './scripted.js';

/** Sequences of the answer and how often each occurs; conditionals follow by counting. */
function counted(sequences: [readonly number[], number][]): Predict {
  return (position, canvas) => {
    const at = position - prompt.length;
    const fits = sequences.filter(([tokens]) =>
      tokens.every((token, i) => i === at || [mask, token].includes(canvas[prompt.length + i])),
    );
    const sum = (list: typeof sequences) => list.reduce((n, [, count]) => n + count, 0);
    const p = (token: number) => sum(fits.filter(([tokens]) => tokens[at] === token)) / sum(fits);
    return Float64Array.from({ length: vocabulary }, (_, token) => Math.log(p(token)));
  };
}

// 100 sequences over {A, A'}{B, B'} C D E
const [A, A2, B, B2, C, D, E] = [1, 2, 3, 4, 5, 6, 7];
const toy = counted([
  [[A, B, C, D, E], 34],
  [[A, B2, C, D, E], 21],
  [[A2, B, C, D, E], 35],
  [[A2, B2, C, D, E], 10],
]);

async function answer(decode: ReturnType<typeof beam>, predict: Predict = toy, maxTokens = 5) {
  const model = new FakeModel(predict);
  const { canvas, trace, counts } = await decoded(model, { decode, maxTokens });
  return { tokens: [...canvas.subarray(2)], trace, counts, model };
}

describe('the toy joint distribution', () => {
  test('its marginals, and the wrong choice of independent argmax', async () => {
    const p = Array.from(toy(2, new Int32Array(7).fill(mask), 0), Math.exp);
    expect([p[A], p[A2]]).toEqual([expect.closeTo(0.55), expect.closeTo(0.45)]);
    const { tokens } = await answer(topK({ k: 5 }));
    expect(tokens).toEqual([A, B, C, D, E]); // 34 of 100
  });

  test.each<BeamOptions>([
    { depth: 2, width: 2 },
    { depth: 5, width: 2 },
    { depth: 2, width: 2, score: 'position' },
    { depth: 9, width: 20 },
  ])('%j finds the right one', async (options) => {
    const { tokens } = await answer(beam(options));
    expect(tokens).toEqual([A2, B, C, D, E]); // 35 of 100
  });

  test('a beam of one is the greedy chain: right in the order of confidence, wrong from the left', async () => {
    expect((await answer(beam({ depth: 5, width: 1 }))).tokens).toEqual([A2, B, C, D, E]);
    expect((await answer(beam({ depth: 5, width: 1, score: 'position' }))).tokens).toEqual([
      ...[A, B, C, D, E],
    ]);
    expect((await answer(topK())).tokens).toEqual([A2, B, C, D, E]);
  });

  test('one token a forward; each look is one forward over the hypotheses', async () => {
    const { trace, counts, model } = await answer(beam({ depth: 3, width: 2, score: 'position' }));
    expect(trace.map(({ forwards }) => forwards)).toEqual([3, 2]);
    // position 2 has two tokens, so two hypotheses; from 4 on there is one continuation
    expect(model.batches).toEqual([2, 2, 1]);
    expect(counts.canvases).toBe(1 + 2 + 2 + 1 + 1);
  });
});

describe('beam', () => {
  /** log p of a chain, and the best of all chains at these positions. */
  function best(positions: readonly number[], predict: Predict, length: number) {
    const canvas = new Int32Array(prompt.length + length).fill(mask);
    canvas.set(prompt);
    const search = (depth: number): { tokens: number[]; p: number } => {
      if (depth === positions.length) return { tokens: [], p: 0 };
      const logits = Array.from(predict(positions[depth], canvas, 0));
      const sum = Math.log(logits.reduce((total, z) => total + Math.exp(z), 0));
      const tails = [...logits.keys()]
        .filter((token) => token !== mask)
        .map((token) => {
          canvas[positions[depth]] = token;
          const { tokens, p } = search(depth + 1);
          return { tokens: [token, ...tokens], p: logits[token] - sum + p };
        });
      canvas[positions[depth]] = mask;
      return tails.reduce((a, b) => (b.p > a.p ? b : a));
    };
    return search(0).tokens;
  }

  test('wide enough it finds the best of all; MASK is never tried', async () => {
    const found: { wide: number[]; greedy: number[] }[] = [];
    for (const start of [0, 1, 2, 3, 4]) {
      const model: Predict = (position, canvas, step) => noisy(position + start, canvas, step);
      const tokens = async (width: number) =>
        (await answer(beam({ depth: 3, width, score: 'position' }), model, 3)).tokens;
      found.push({ wide: await tokens(225), greedy: await tokens(1) });
      expect(found[start].wide).toEqual(best([2, 3, 4], model, 3));
    }
    expect(found.some(({ wide, greedy }) => wide.join() !== greedy.join())).toBe(true);
  });

  test('the best positions first, ties to the lower; ragged ends', async () => {
    const p = [0.5, 0.9, 0.5, 0.8, 0.7];
    expect(await order({ decode: beam({ depth: 2 }) }, p)).toEqual([[3, 5], [2, 6], [4]]);
    expect(await order({ decode: beam({ depth: 2, score: 'position' }) }, p)).toEqual([
      [2, 3],
      [4, 5],
      [6],
    ]);
  });

  test('where nothing but MASK is probable, the proposal', async () => {
    const only: Predict = () =>
      Float64Array.from({ length: vocabulary }, (_, token) => (token === mask ? 0 : -2000 - token));
    expect((await answer(beam({ width: 2 }), only, 3)).tokens).toEqual([0, 0, 0]);
  });

  test('is asked with cached rows, suppressed tokens and the soft masks of the step', async () => {
    const model = new FakeModel(noisy);
    const options = { decode: beam({ depth: 2, width: 2 }), maxTokens: 6, cache: dualCache() };
    await decoded(model, { ...options, refine: softMask({ scale: 0.5 }), suppress: [4] });
    const [main, ...looked] = model.sessions;
    expect(main.requests.length).toBe(3);
    const rows: Request['rows'][] = [];
    for (const { requests } of looked) {
      for (const request of requests) {
        expect([...request.suppress!]).toEqual([4]);
        rows.push(request.rows);
        expect(request.query.length).toBe(1);
      }
    }
    const block = { start: 2, end: 8 };
    expect(rows).toEqual([undefined, undefined, block, block, block, block]);
    const soft = looked.flatMap(({ requests }) => requests.map(({ softMask }) => softMask));
    expect(soft.filter((mix) => mix !== undefined).length).toBe(4); // not those of the first step
  });

  test.each<[string, () => unknown, RegExp]>([
    [
      'cap',
      () => cap(beam(), { max: 2 }),
      /cap\(\): decoder must be one that decides each token by itself/,
    ],
    ['spaced', () => spaced(beam()), /spaced\(\): decoder .*"beam\(\)"/],
    [
      'credit',
      () => credit(beam()),
      /credit\(\): decoder must be one that decides from one forward/,
    ],
    ['depth', () => beam({ depth: 0 }), /beam\(\): depth .*at least 1/],
    ['width', () => beam({ width: 1.5 }), /beam\(\): width/],
    ['score', () => beam({ score: 'best' as never }), /beam\(\): score .*"probability"/],
    ['misspelt', () => beam({ beams: 2 } as never), /"beams".*depth, width, score/],
  ])('refuses: %s', (_, make, message) => {
    expect(make).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(message) as string,
      }),
    );
  });

  test('speculation would have to guess what it sees', async () => {
    const { freeDave } = await import('../../lib/decoding/index.js');
    expect(() =>
      generate(new FakeModel(), prompt, { decode: beam(), speculate: freeDave() }),
    ).toThrow(/freeDave\(\).*beam\(\)/);
  });
});
