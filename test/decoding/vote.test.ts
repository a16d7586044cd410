/** Votes over the steps of a run and over block sizes, counted by hand. */
import { describe, expect, test } from 'vitest';
import {
  blocks,
  dualCache,
  leftToRight,
  topK,
  voteOverBlocks,
  voteOverTime,
  wholeAnswer,
  type Normalise,
  type TimeVoteOptions,
} from '../../lib/decoding/index.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { confident, eos, FakeModel, mask, type Predict } from './fake.js';
import { prompt } from './scripted.js';

/** The last token of the answer says what it is; a 9 is none. */
const last: Normalise = (_, tokens) => (tokens.at(-1) === 9 ? undefined : String(tokens.at(-1)));

/** The last position changes its mind from step to step and is committed last. */
const wavering = (answers: readonly number[]): Predict => {
  return (position, _, step) =>
    position === prompt.length + answers.length - 1
      ? confident(answers[step], 0.3)
      : confident(1, 0.9 - 0.01 * position);
};

function overTime(answers: readonly number[], options: Partial<TimeVoteOptions> = {}) {
  const common = { decode: topK(), blocks: wholeAnswer(), maxTokens: answers.length };
  const model = new FakeModel(wavering(answers));
  return voteOverTime(model, prompt, { ...common, normalise: last, ...options });
}

describe('over time', () => {
  test.each<[Partial<TimeVoteOptions>, string, number[]]>([
    // answers 5 5 5 6 7 7 in steps 0 … 5, S = 6
    [{ weights: 'fixed' }, '5', [3, 2, 1]],
    [{ weights: 'linear' }, '7', [11 / 6, 1, 4 / 6]], // 7: (5 + 6)/6; 5: (1 + 2 + 3)/6
    [
      { weights: 'exponential' },
      '7',
      [
        Math.exp(20 / 6) + Math.exp(25 / 6),
        Math.exp(15 / 6),
        1 + Math.exp(5 / 6) + Math.exp(10 / 6),
      ],
    ],
    [
      { alpha: 0.1 },
      '5',
      [
        1 + Math.exp(0.1 / 6) + Math.exp(0.2 / 6),
        Math.exp(0.4 / 6) + Math.exp(0.5 / 6),
        Math.exp(0.3 / 6),
      ],
    ],
  ])('%j', async (options, answer, weights) => {
    const vote = await overTime([5, 5, 5, 6, 7, 7], options);
    expect(vote.answers).toEqual(['5', '5', '5', '6', '7', '7']);
    expect(vote.answer).toBe(answer);
    expect(vote.standings.map(({ weight }) => weight)).toEqual(
      weights.map((weight) => expect.closeTo(weight) as number),
    );
    expect(vote.standings.reduce((sum, { votes }) => sum + votes, 0)).toBe(6);
    expect(vote.result.forwards).toBe(6); // none more than without the vote
    expect([...vote.result.tokens].at(-1)).toBe(7);
  });

  test('ties to the answer that came first; what cannot be read has no vote', async () => {
    const tied = await overTime([6, 5, 9, 5, 6, 9], { weights: 'fixed' });
    expect(tied.answer).toBe('6');
    expect(tied.answers[2]).toBeUndefined();
    const nothing = await overTime([9, 9, 9]);
    expect(nothing).toMatchObject({ answer: undefined, standings: [] });
  });

  test('the whole canvas is read: later blocks too, known tokens as they are', async () => {
    const read: number[][] = [];
    const normalise: Normalise = (text, tokens) => {
      expect(text).toBe(''); // the fake model has no tokenizer
      read.push([...tokens]);
      return undefined;
    };
    const counting: Predict = (position, canvas, step) =>
      confident(canvas[position] === mask ? Math.min(step, 8) : 12, 0.5 + 0.01 * position);
    const options = { decode: leftToRight({ k: 2 }), blocks: blocks(2), maxTokens: 4, normalise };
    await voteOverTime(new FakeModel(counting), prompt, options);
    expect(read).toEqual([
      [0, 0, 0, 0],
      [0, 0, 1, 1],
    ]);
  });

  test('rows that a cache leaves out keep their last proposal', async () => {
    const read: number[][] = [];
    const normalise: Normalise = (_, tokens) => void read.push([...tokens]);
    const stepwise: Predict = (_, __, step) => confident(step, 0.5);
    const options = { decode: leftToRight(), blocks: blocks(2), cache: dualCache(), maxTokens: 4 };
    await voteOverTime(new FakeModel(stepwise), prompt, { ...options, normalise });
    expect(read).toEqual([
      [0, 0, 0, 0],
      [0, 1, 0, 0],
      [0, 1, 2, 2],
      [0, 1, 2, 3],
    ]);
  });

  test('reads up to the end of text', async () => {
    const ends: Predict = (position) => confident(position === 4 ? eos : 2, 0.9);
    const read: number[] = [];
    const normalise: Normalise = (_, tokens) => String(read.push(tokens.length));
    await voteOverTime(new FakeModel(ends), prompt, { normalise, maxTokens: 6, decode: topK() });
    expect(read).toEqual(read.map(() => 2));
  });

  test('goes along with refinements of the caller', async () => {
    let seen = 0;
    const refine: GenerateOptions['refine'] = () => ({ revise: () => void seen++ });
    const { answer } = await overTime([5, 5, 5, 6, 7, 7], { refine });
    expect([answer, seen]).toEqual(['7', 6]);
  });

  test.each<[object, RegExp]>([
    [{ normalise: undefined }, /voteOverTime\(\): normalise must be a function/],
    [{ weights: 'quadratic' }, /weights must be one of "fixed"/],
    [{ alpha: -1 }, /alpha .*at least 0/],
    [{ weight: 'fixed' }, /"weight"/],
  ])('refuses %j', async (options, message) => {
    await expect(overTime([5], options)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message) as string,
    });
  });

  test('what the normaliser throws is not swallowed', async () => {
    const normalise = () => {
      throw new RangeError('bad answer');
    };
    await expect(overTime([5], { normalise })).rejects.toThrow('bad answer');
  });
});

describe('over blocks', () => {
  /** The answer depends on the size of the first block: that is what is known at the second step. */
  const bySize =
    (answers: Record<number, number>): Predict =>
    (position, canvas) => {
      const known = canvas.subarray(prompt.length).filter((token) => token !== mask).length;
      return confident(position === prompt.length + 15 ? (answers[known] ?? 9) : 1, 0.9);
    };
  const vote = (answers: Record<number, number>, options: object = {}) =>
    voteOverBlocks(new FakeModel(bySize(answers)), prompt, {
      ...{ maxTokens: 16, decode: topK({ k: 256 }), normalise: last, stopAtEos: false },
      ...options,
    });

  test('the majority; a run for each size', async () => {
    // blocks of s: before the last block 16 − s are known
    const { answer, answers, standings, results } = await vote(
      { 14: 5, 12: 6, 8: 6, 0: 5 },
      { sizes: [2, 4, 8] },
    );
    expect(answers).toEqual(['5', '6', '6']);
    expect(answer).toBe('6');
    expect(standings).toEqual([
      { answer: '6', weight: 2, votes: 2 },
      { answer: '5', weight: 1, votes: 1 },
    ]);
    expect(results.map(({ forwards }) => forwards)).toEqual([8, 4, 2]);
  });

  test('ties to the size that comes first; runs without an answer do not count', async () => {
    const tied = { 14: 5, 12: 6 };
    expect((await vote(tied, { sizes: [2, 4, 8] })).answer).toBe('5');
    expect((await vote(tied, { sizes: [8, 4, 2] })).answer).toBe('6');
    expect((await vote({}, { sizes: [2, 4] })).answer).toBeUndefined();
  });

  test.each([
    [256, [32, 16, 8, 4, 2]], // of 8, 16, 32, 64, 128
    [40, [40, 20, 8, 4, 2]], // 1, 2, 5, 10, 20
    [10, [10, 5, 2]], // 1, 2, 5
    [1, [1]],
  ])('sizes for %i tokens', async (maxTokens, forwards) => {
    const { results } = await vote({}, { maxTokens });
    expect(results.map((result) => result.forwards)).toEqual(forwards);
  });

  test.each<[object, RegExp]>([
    [{ normalise: 'last' }, /voteOverBlocks\(\): normalise must be a function/],
    [{ blocks: blocks(4) }, /blocks must be left out: give sizes/],
    [{ sizes: [] }, /number of sizes/],
    [{ sizes: [4, 0] }, /sizes\[1\]/],
    [{ size: 4 }, /"size"/],
  ])('refuses %j', async (options, message) => {
    await expect(vote({}, options)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message) as string,
    });
  });
});
