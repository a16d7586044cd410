/** What goes along with a decoder: editing, remasking, random starts, step by step by hand. */
import { describe, expect, test } from 'vitest';
import {
  absoluteBlocks,
  blocks,
  draftAndEdit,
  dualCache,
  editTokens,
  fillAfterEos,
  leftToRight,
  lowConfidence,
  prophet,
  randomStart,
  remask,
  threshold,
  topK,
  wholeAnswer,
  wino,
} from '../../lib/decoding/index.js';
import { generate } from '../../lib/generate.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { confident, eos, eot, FakeModel, mask, noisy, vocabulary, type Predict } from './fake.js';

const prompt = [7, 7];

async function run(predict: Predict, options: GenerateOptions) {
  const model = new FakeModel(predict);
  const defaults = { maxTokens: 4, blocks: wholeAnswer(), stopAtEos: false };
  const result = await generate(model, prompt, { ...defaults, ...options }).result;
  const commits = result.trace.map(({ committed }) => committed.map(([position]) => position));
  const edits = result.trace.map(({ edited = [] }) => edited.map(([p, token]) => [p, token]));
  const back = result.trace.map(({ remasked = [] }) => remasked);
  return { ...result, answer: [...result.canvas.subarray(2)], model, commits, edits, back };
}

/** Proposals by step (the last goes on) and position: [token, probability]. */
function script(table: [number, number][][]): Predict {
  return (position, _, step) => {
    const [token, p] = table[Math.min(step, table.length - 1)][position - prompt.length];
    return confident(token, p);
  };
}

const half = Array.from({ length: vocabulary }, () => -Infinity); // two tokens, p = 0.5 exactly
half[1] = half[2] = 0;

describe('editTokens', () => {
  test('edits in the forwards that commit, and goes on until one edits nothing', async () => {
    const predict = script([
      [[2, 0.96], [3, 0.96], [4, 0.5], [5, 0.5]], // commits 2, 3
      [[9, 0.92], [8, 0.89], [4, 0.97], [5, 0.97]], // commits 4, 5; edits 2; 0.89 is too little
      [[9, 0.99], [3, 0.99], [1, 0.95], [5, 0.99]], // full: edits 4
      [[9, 0.99], [8, 0.3], [1, 0.99], [6, 0.9 - 1e-9]], // nothing: the end
    ]); // prettier-ignore
    const { commits, edits, answer, forwards, counts } = await run(predict, draftAndEdit());
    expect(commits).toEqual([[2, 3], [4, 5], [], []]);
    expect(edits).toEqual([[], [[2, 9]], [[4, 1]], []]);
    expect(answer).toEqual([9, 3, 1, 5]);
    expect(forwards).toBe(4);
    expect(counts.edits).toBe(2);
  });

  test('>: exactly tau does not edit, and the confidence is that of the new token', async () => {
    const predict: Predict = (_, __, step) => (step === 0 ? confident(3, 0.99) : half);
    for (const [tau, forwards] of [
      [0.5, 2],
      [0.49, 3],
    ]) {
      const refine = editTokens({ tau });
      expect((await run(predict, { decode: threshold(), refine })).forwards).toBe(forwards);
    }
  });

  test.each([0, 1, 3, 16])('at most %i forwards after the last mask', async (maxPostSteps) => {
    const restless: Predict = (_, __, step) => confident(step % 2, 0.99);
    const options = maxPostSteps === 16 ? {} : { maxPostSteps };
    const { forwards } = await run(restless, draftAndEdit(options));
    expect(forwards).toBe(1 + maxPostSteps);
  });

  test('the count begins anew in the next block, and finished blocks stay', async () => {
    const restless: Predict = (_, __, step) => confident(step % 2, 0.99);
    const options = { ...draftAndEdit({ maxPostSteps: 2 }), blocks: blocks(2) };
    const { trace, edits } = await run(restless, options);
    expect(trace.map(({ block }) => block)).toEqual([0, 0, 0, 1, 1, 1]);
    expect(edits.slice(3).flat().map(([position]) => position)).toEqual([4, 5, 4, 5]); // prettier-ignore
  });

  test('the end of the prompt in the first block is not edited', async () => {
    const options = { ...draftAndEdit(), blocks: absoluteBlocks(8), maxTokens: 6 };
    const { canvas } = await run((position) => confident(position === 0 ? 3 : 4, 0.99), options);
    expect([...canvas]).toEqual([7, 7, 4, 4, 4, 4, 4, 4]);
  });

  test('a block is filled and edited before end of text ends the run', async () => {
    const predict: Predict = (position, _, step) =>
      position === 2
        ? confident(step < 2 ? eos : 3, 0.99) // edited once the block is full
        : confident(position % 10, step === 0 ? 0.3 : 0.99);
    const options = { ...draftAndEdit(), blocks: blocks(2), stopAtEos: true };
    const { trace, tokens, finishReason } = await run(predict, options);
    expect(trace.map(({ block }) => block)).toEqual([0, 0, 0, 0, 1, 1]);
    expect([...tokens]).toEqual([3, 3, 4, 5]);
    expect(finishReason).toBe('length');
  });

  test('modes', () => {
    const facts = (mode: 'default' | 'quality' | 'speed') => {
      const { policies } = generate(new FakeModel(), prompt, draftAndEdit({ mode }));
      const options = [policies.decode, policies.refine[0]].map((policy) => policy.options);
      return options.map((given) => (given as { tau: number }).tau);
    };
    expect([facts('default'), facts('quality'), facts('speed')]).toEqual([
      [0.95, 0.9],
      [0.7, 0.5],
      [0.5, 0],
    ]);
  });
});

describe('randomStart', () => {
  test('writes the share, of tokens that are neither MASK nor an end', async () => {
    const options = { decode: topK({ k: 400 }), maxTokens: 400, seed: 3 };
    const { trace, answer } = await run(noisy, {
      ...options,
      refine: randomStart({ share: 0.25 }),
    });
    expect(trace[0].forwards).toBe(0);
    const written = trace[0].committed;
    expect(Math.abs(written.length - 100)).toBeLessThan(30); // 3.5 standard deviations
    const tokens = new Set(written.map(([, token]) => token));
    expect([...tokens].sort((a, b) => a - b)).toEqual(Array.from({ length: 13 }, (_, i) => i));
    expect(tokens).not.toContain(eot);
    for (const [position, token] of written) expect(answer[position - 2]).toBe(token);
  });

  test('share 0 changes nothing; the seed decides', async () => {
    const options = { decode: topK(), maxTokens: 12 };
    const plain = await run(noisy, options);
    const none = await run(noisy, { ...options, refine: randomStart({ share: 0 }) });
    expect(none.trace).toEqual(plain.trace);
    const start = async (seed: number) =>
      (await run(noisy, { ...options, seed, refine: randomStart({ share: 0.5 }) })).trace[0];
    expect(await start(1)).toEqual(await start(1));
    expect(await start(1)).not.toEqual(await start(2));
  });

  test('editing makes the noise good', async () => {
    const refine = [randomStart({ share: 1 }), editTokens()];
    const { answer, forwards } = await run((p) => confident(p, 0.95), { decode: topK(), refine });
    expect(answer).toEqual([2, 3, 4, 5]);
    expect(forwards).toBe(2);
  });
});

describe('remask', () => {
  const sure = [0.4, 0.8, 0.3, 0.9, 0.7, 0.6, 0.5, 0.2];
  const predict: Predict = (position) => confident(position, sure[position - 2]);
  const eight = { maxTokens: 8, decode: leftToRight() };

  test('at 7/8 of the block the least sure one comes back', async () => {
    const { commits, back, forwards } = await run(predict, { ...eight, refine: remask() });
    expect(back[6]).toEqual([4]); // 0.3; the seventh of eight was just committed
    expect(back.flat()).toEqual([4]);
    expect(commits.slice(6)).toEqual([[8], [4], [9]]);
    expect(forwards).toBe(9);
  });

  test('k, rounds, and after', async () => {
    const refine = remask({ k: 2, rounds: 2, after: 0.5 });
    const { commits, back, forwards } = await run(predict, { ...eight, refine });
    // 2, 3, 4, 5 known: 2 and 4 back; then 2 alone is too few; 2, 3, 4, 5 again: 4 is spared
    expect(back).toEqual([[], [], [], [2, 4], [], [2, 3], [], [], [], [], [], []]);
    expect(commits.map(([p]) => p)).toEqual([2, 3, 4, 5, 2, 4, 2, 3, 6, 7, 8, 9]);
    expect(forwards).toBe(12);
  });

  test('<: tokens of exactly that probability stay', async () => {
    for (const [below, count] of [
      [0.5, 0],
      [0.51, 1],
    ]) {
      const refine = remask({ below, after: 0 });
      const { counts } = await run(() => half, { decode: leftToRight(), refine });
      expect(counts.remasks).toBe(count);
    }
  });

  test('all at once: the surest of the step stays', async () => {
    const options = { maxTokens: 8, decode: topK({ k: 8 }), refine: remask({ k: 8 }) };
    const { commits, forwards, answer } = await run(predict, options);
    expect(commits[0]).toEqual([5]);
    expect(forwards).toBe(2);
    expect(answer).not.toContain(mask);
  });

  test('each block has its rounds', async () => {
    const options = { ...eight, blocks: blocks(4), refine: remask({ after: 1 }) };
    const { back } = await run(predict, options);
    expect(back.filter((list) => list.length > 0)).toEqual([[4], [8]]);
  });

  test('goes along with a decoder that takes back itself', async () => {
    const options = { decode: wino({ draft: 0.1 }), refine: remask({ k: 3, rounds: 9, after: 0 }) };
    for (const seed of [1, 2, 3]) {
      const result = await run(noisy, { ...options, maxTokens: 16, seed, temperature: 1 });
      expect(result.answer).not.toContain(mask);
    }
  });

  test('a schedule has no step for what comes back', () => {
    const make = () =>
      generate(new FakeModel(), prompt, { decode: lowConfidence(), refine: remask() });
    expect(make).toThrow(/lowConfidence\(\) shares out its steps .* refine: remask\(\)/);
  });
});

describe('prophet', () => {
  /** A gap of ln(15 p / (1 − p)): 0.995: 8.0; 0.99: 7.3; 0.9: 4.9; 0.45: 2.51; 0.44: 2.47 */
  const even =
    (p: number): Predict =>
    (position) =>
      confident(position % 10, p);

  test.each([
    [0.995, 0],
    [0.99, 4], // 4 of 12 are 0.33 or more
    [0.9, 9], // 9 of 12 are 0.67 or more
    [0.45, 9],
    [0.44, 11], // never: one by one
  ])('p = %f: everything at once after %i', async (p, after) => {
    const options = { maxTokens: 12, decode: topK(), refine: prophet() };
    const { counts, answer } = await run(even(p), options);
    expect(counts.commits).toEqual([...new Array<number>(after).fill(1), 12 - after]);
    expect(answer).toEqual(Array.from({ length: 12 }, (_, i) => (i + 2) % 10));
  });

  test('a progress of exactly 33 % is no longer early', async () => {
    const options = { maxTokens: 100, decode: topK({ k: 33 }), refine: prophet() };
    expect((await run(even(0.99), options)).counts.commits).toEqual([33, 67]);
  });

  test('≥: a gap of exactly the threshold suffices', async () => {
    const options = { decode: topK(), refine: prophet({ early: 0 }) };
    expect((await run(() => half, options)).counts.commits).toEqual([4]);
  });

  test('known positions count too, and the region may be narrower', async () => {
    const learns: Predict = (position, canvas) =>
      confident(position % 10, canvas[position] === mask ? 0.5 : 1 - 1e-9); // 2.7 and 23.4
    // 1 of 4 known: mean 7.9
    expect((await run(learns, { decode: topK(), refine: prophet() })).counts.commits).toEqual([
      1, 3,
    ]);
    const last: Predict = (position) => confident(1, position === 5 ? 0.999 : 0.3);
    const region = prophet({ from: 3, count: 1 });
    expect((await run(last, { decode: topK(), refine: region })).forwards).toBe(1);
    expect((await run(last, { decode: topK(), refine: prophet() })).forwards).toBe(4);
  });

  test('forwards that leave out rows do not decide', async () => {
    const grows: Predict = (position, _, step) =>
      confident(position % 10, step === 0 ? 0.3 : 0.999);
    const options = { blocks: blocks(4), maxTokens: 8, decode: topK(), refine: prophet() };
    const dual = await run(grows, { ...options, cache: dualCache() });
    expect(dual.counts.commits).toEqual([1, 1, 1, 1, 4]); // at the next block's full forward
    expect((await run(grows, options)).counts.commits).toEqual([1, 7]);
  });

  test('a region beyond the answer is refused', () => {
    const make = () =>
      generate(new FakeModel(), prompt, { maxTokens: 4, refine: prophet({ from: 4 }) });
    expect(make).toThrow(/prophet\(\): from must be below maxTokens \(4\), but is 4/);
  });
});

describe('fillAfterEos', () => {
  const predict: Predict = (position) =>
    confident(position === 4 ? eot : position, position === 4 ? 0.9 : 0.5);

  test('what follows the end becomes end of text', async () => {
    const options = { decode: topK(), maxTokens: 6, refine: fillAfterEos() };
    const { answer, counts, finishReason } = await run(predict, options);
    expect(answer).toEqual([2, 3, eot, eos, eos, eos]);
    expect(counts.commits).toEqual([4, 1, 1]);
    expect(finishReason).toBe('eos');
  });

  test('tokens behind the end stay, a prompt that holds one is no end', async () => {
    const model = new FakeModel((position) => confident(position === 5 ? 3 : eos, position / 10));
    const options = { maxTokens: 4, decode: topK(), stopAtEos: false, refine: fillAfterEos() };
    const { canvas } = await generate(model, [eos, 1], { ...options, blocks: wholeAnswer() })
      .result;
    expect([...canvas]).toEqual([eos, 1, eos, eos, eos, 3]);
  });
});
