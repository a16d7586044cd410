/** Scores: the orders they give, and PC-Sampler's against its formula. */
import { describe, expect, test } from 'vitest';
import {
  blocks,
  absoluteBlocks,
  countTokens,
  leftToRight,
  lowConfidence,
  pcSampler,
  pcScore,
  rightToLeft,
  topK,
  type Background,
  type ScorePlan,
} from '../../lib/decoding/index.js';
import { frequencies } from '../../lib/decoding/background.js';
import { Stream, uniform } from '../../lib/decoding/philox.js';
import { generate } from '../../lib/generate.js';
import { confident, FakeModel, vocabulary } from './fake.js';
import { decoded, order, prompt, scripted } from './scripted.js';

const p = [0.3, 0.9, 0.5, 0.8];

describe('orders', () => {
  test.each([
    ['probability', [3, 5, 4, 2]],
    ['margin', [3, 5, 4, 2]],
    ['negEntropy', [3, 5, 4, 2]],
    ['position', [2, 3, 4, 5]],
    ['rightToLeft', [5, 4, 3, 2]],
  ] as const)('%s', async (score, expected) => {
    expect((await order({ decode: topK({ score }) }, p)).flat()).toEqual(expected);
    expect((await order({ decode: lowConfidence({ score }) }, p)).flat()).toEqual(expected);
  });

  test('margin and entropy differ from probability where the runner-up does', async () => {
    // 2: .5 and .49; 3: .4 and fourteen times .0429
    const model = () =>
      new FakeModel((position) =>
        position === 2
          ? Float64Array.from({ length: vocabulary }, (_, t) => [0.5, 0.49][t] ?? 0.01 / 14).map(
              Math.log,
            )
          : confident(3, 0.4),
      );
    const first = async (score: 'probability' | 'margin' | 'negEntropy') =>
      (await decoded(model(), { decode: topK({ score }), maxTokens: 2 })).order[0];
    expect(await first('probability')).toEqual([2]);
    expect(await first('margin')).toEqual([3]);
    expect(await first('negEntropy')).toEqual([2]); // .79 nats against 2.3
  });

  test('random follows the seed', async () => {
    const [first] = await order({ decode: topK({ score: 'random' }), seed: 4 }, p);
    const score = (position: number) => uniform(4, 0, position, Stream.score);
    expect(first).toEqual([2, 3, 4, 5].sort((a, b) => score(b) - score(a)).slice(0, 1));
  });

  test('left to right and right to left keep to the active block', async () => {
    const plan = { blocks: blocks(2) };
    expect(await order({ decode: leftToRight(), ...plan }, p)).toEqual([[2], [3], [4], [5]]);
    expect(await order({ decode: rightToLeft(), ...plan }, p)).toEqual([[3], [2], [5], [4]]);
    expect(await order({ decode: rightToLeft({ k: 3 }) }, p)).toEqual([[3, 4, 5], [2]]);
  });

  test('right to left is a rule that native code applies', async () => {
    const model = new FakeModel(scripted(p));
    await decoded(model, { decode: rightToLeft(), maxTokens: 4 });
    expect(model.requests[0].commit).toMatchObject({ score: 'position', select: { kind: 'topK' } });
    expect(model.requests[0].commit!.bias![5]).toBe(10);
  });
});

describe('a score of the caller', () => {
  const even: ScorePlan = ({ prompt }) => ({
    ask: { topK: 2 },
    score: ({ step }, { position, top }) => {
      expect(top?.k).toBe(2);
      return Array.from(position, (at) => ((at - prompt) % 2 === 0 ? 1 : 0) + step / 1000);
    },
  });

  test('ranks, ties to the lower position', async () => {
    expect((await order({ decode: topK({ score: even }) }, p)).flat()).toEqual([2, 4, 3, 5]);
    const decode = lowConfidence({ score: even, steps: 2 });
    expect(await order({ decode }, p)).toEqual([
      [2, 4],
      [3, 5],
    ]);
  });

  test('NaN is never preferred, and no score is refused', async () => {
    const none: ScorePlan = () => ({
      score: (_, { position }) => Array.from(position, (at) => (at === 4 ? -5 : NaN)),
    });
    expect((await order({ decode: topK({ score: none }) }, p)).flat()).toEqual([4, 2, 3, 5]);
    expect(() => topK({ score: 'best' as never })).toThrow(
      /topK\(\): score must be one of .*, or a function/,
    );
  });
});

describe('PC-Sampler', () => {
  // token 4 is every second token of the text, 1 and 2 a quarter each, the rest unseen
  const background = countTokens(
    [
      [4, 4, 1, 2],
      [4, 1, 4, 2],
    ],
    vocabulary,
  );

  test('background: count / total, and 1 / total for what did not occur', () => {
    expect(background).toEqual({
      kind: 'background',
      vocabulary,
      total: 8,
      counts: { 1: 2, 2: 2, 4: 4 },
    });
    expect(
      [...frequencies(JSON.parse(JSON.stringify(background)), vocabulary)].slice(0, 5),
    ).toEqual([0.125, 0.25, 0.25, 0.125, 0.5]);
  });

  test('score: e^(−λ i) · min(−p ln(f + 1e-9), α)', () => {
    const facts = { vocabulary, prompt: 2 } as never;
    const score = pcScore({ background, alpha: 1.2 })(facts);
    const state = { range: { start: 0, end: 8 } } as never; // it takes in the end of the prompt
    const report = {
      position: Int32Array.of(2, 3, 6),
      token: Int32Array.of(4, 9, 1),
      probability: Float64Array.of(0.9, 0.8, 0.5),
    } as never;
    const expected = [
      0.9 * 0.693147180559945, // ln 2
      Math.exp(-0.25) * 1.2, // 0.8 · ln 8 = 1.66, clamped
      Math.exp(-1) * 0.5 * 1.386294361119891, // ln 4
    ];
    [...Array.from(score.score(state, report))].forEach((value, i) =>
      expect(value).toBeCloseTo(expected[i], 7),
    );
  });

  test('trivial tokens wait, early positions go first', async () => {
    // position i proposes i mod 10: 4 is the frequent one; alike otherwise
    const even = [0.6, 0.6, 0.9, 0.6, 0.6];
    const free = pcSampler({ background, lambda: 0 });
    // .6·ln 4 = .83 at 2, .6·ln 8 = 1.25 at 3, .9·ln 2 = .62 at 4, 1.25 at 5 and 6
    expect((await order({ decode: free }, even)).flat()).toEqual([3, 5, 6, 2, 4]);
    const calibrated = pcSampler({ background, lambda: 0.5 });
    // × 1, .61, .37, .22, .14: .83, .76, .23, .28, .17
    expect((await order({ decode: calibrated }, even)).flat()).toEqual([2, 3, 5, 4, 6]);
    // a block of its own starts anew: at 4 .62, at 5 .76, at 6 .46
    expect((await order({ decode: calibrated, blocks: blocks(2) }, even)).flat()).toEqual([
      2, 3, 5, 4, 6,
    ]);
  });

  test("takes LLaDA's schedule and options", async () => {
    const decode = pcSampler({ background, steps: 2, confidenceEosEotInf: true });
    const model = new FakeModel(scripted([0.6, 0.6, 0.9, 0.6, 0.6]));
    const result = await decoded(model, { decode, maxTokens: 5, blocks: absoluteBlocks(7) });
    expect(result.counts.commits).toEqual([3, 2]);
    expect([...model.requests[0].unscored!]).toEqual([13, 14]);
    expect(result.policies.decode).toMatchObject({
      name: 'pcSampler',
      options: { steps: 2, background: { total: 8 } },
    });
  });

  test.each<[unknown, RegExp]>([
    [undefined, /background.kind must be "background"/],
    [{ kind: 'background', vocabulary: 3, total: 0, counts: {} }, /background.total/],
    [{ kind: 'background', vocabulary: 3, total: 4, counts: { 3: 1 } }, /background.counts: token/],
    [{ kind: 'background', vocabulary: 3, total: 4, counts: { 1: 5 } }, /background.counts\[1\]/],
  ])('%j is no background', (value, message) => {
    expect(() => pcSampler({ background: value as Background })).toThrow(message);
  });

  test('a background of another vocabulary is refused when the generation is made', () => {
    const decode = pcSampler({ background: { ...background, vocabulary: 17 } });
    expect(() => generate(new FakeModel(), prompt, { decode })).toThrow(
      /background.vocabulary must be 16, as this model's, but is 17/,
    );
  });
});
