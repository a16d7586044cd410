/** Holes of a template: their bounds, what ends them, how they grow, by hand on scripted models. */
import { describe, expect, test } from 'vitest';
import {
  blocks,
  editTokens,
  fillAfterEos,
  growUntilEos,
  leftToRight,
  lowConfidence,
  randomStart,
  remask,
  threshold,
  topK,
  wholeAnswer,
} from '../../lib/decoding/index.js';
import { generate } from '../../lib/generate.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { hole } from '../../lib/template/hole.js';
import type { Segment } from '../../lib/template/types.js';
import { confident, eos, eot, mask, type Predict } from '../decoding/fake.js';
import { fill, letters, TextModel } from './model.js';

/** Each position says its letter by its distance from the start of the canvas. */
const alphabet: Predict = (position) => confident(position % 12, 0.95);
/** Writes `text` from canvas position `at` on, then end of text; elsewhere the alphabet. */
const saying =
  (at: number, text: string): Predict =>
  (position) => {
    const i = position - at;
    if (i < 0 || i > text.length) return alphabet(position, new Int32Array(), 0);
    return confident(i === text.length ? eos : letters.indexOf(text[i]), 0.95);
  };
const unsure = new Float64Array(16);
const all = { decode: threshold({ tau: 0.5 }), blocks: wholeAnswer() };

describe('what is known', () => {
  test('stays, and all gaps are filled at once', async () => {
    const model = new TextModel(alphabet);
    const gap = (n: number) => hole({ min: n, max: n });
    const run = fill(model, ['ab', gap(2), 'ab', gap(3), 'l'], all);
    const frames = [];
    for await (const frame of run) frames.push(frame);
    const result = await run.result;
    expect(result.text).toBe('abcdabghil');
    expect(result.tokens).toEqual(Int32Array.of(0, 1, 2, 3, 0, 1, 6, 7, 8, 11));
    expect(result.finishReason).toBe('filled');
    expect(result.forwards).toBe(1);
    expect(result.holes).toEqual([
      { text: 'cd', tokens: Int32Array.of(2, 3), start: 2, ended: 'full' },
      { text: 'ghi', tokens: Int32Array.of(6, 7, 8), start: 6, ended: 'full' },
    ]);
    expect(result.counts.tokensPerForward).toBe(5);
    expect(frames.map(({ text, remaining }) => [text, remaining])).toEqual([['abcdabghil', 0]]);
    expect([...frames[0].committed]).toEqual([2, 3, 6, 7, 8]);
  });

  test('is seen from the first forward on', async () => {
    const seen: number[][] = [];
    const model = new TextModel((position, canvas) => {
      seen.push([...canvas]);
      return alphabet(position, canvas, 0);
    });
    await fill(model, ['ab', hole({ max: 2 }), 'l'], { prompt: 'k' }).result;
    expect(seen[0]).toEqual([10, 0, 1, mask, mask, 11]);
  });

  test('without holes there is nothing to do', async () => {
    const model = new TextModel(alphabet);
    const { text, forwards, holes, finishReason } = await fill(model, ['abc']).result;
    expect([text, forwards, holes, finishReason]).toEqual(['abc', 0, [], 'filled']);
  });

  test('policies that edit, take back or begin at random leave it alone', async () => {
    const gap = hole({ min: 3, max: 3 });
    for (const refine of [
      editTokens({ tau: 0.1, maxPostSteps: 2 }),
      randomStart({ share: 0.5 }),
      [randomStart({ share: 1 }), editTokens({ tau: 0.1, maxPostSteps: 2 })],
      remask({ k: 3, rounds: 3, after: 0.1 }),
    ]) {
      const model = new TextModel(() => confident(5, 0.95)); // wants f everywhere
      const options: GenerateOptions = { decode: topK({ k: 2 }), blocks: blocks(4), refine };
      const { text, holes } = await fill(model, ['ab', gap, 'cd', gap, 'e'], options).result;
      expect(text).toMatch(/^ab...cd...e$/);
      expect(holes.map(({ tokens }) => tokens.length)).toEqual([3, 3]);
    }
  });

  test('an end follows chat messages, or as asked', async () => {
    const model = new TextModel(alphabet);
    const message = [{ role: 'user', content: 'ab' }] as const;
    const chat = await fill(model, [hole({ min: 1, max: 1 }), 'k'], { prompt: message }).result;
    expect([...chat.canvas]).toEqual([0, 1, eot, 3, 10, eot]);
    expect([chat.text, chat.tokens]).toEqual(['dk', Int32Array.of(3, 10)]);
    const segments = [hole({ min: 1, max: 1 })];
    expect([...(await fill(model, segments, { end: true }).result).canvas]).toEqual([0, eot]);
    const open = await fill(model, segments, { end: false, prompt: message }).result;
    expect([...open.canvas]).toEqual([0, 1, eot, 3]);
  });
});

describe('{ prefix, suffix }', () => {
  test('one hole of at most maxTokens, and a fixed ending', async () => {
    const model = new TextModel(saying(2, 'hij'));
    const prompt = { prefix: 'ab', suffix: 'kk' };
    const { text, holes, canvas } = await generate(model, prompt, { maxTokens: 9, ...all }).result;
    expect(text).toBe('hijkk');
    expect(holes[0]).toMatchObject({ text: 'hij', start: 2, ended: 'eos' });
    expect(canvas.length).toBe(2 + 3 + 2);
  });
});

describe('too many masks', () => {
  test.each([eos, eot])(
    'end of text or turn (%i) ends a hole; what follows moves up',
    async (end) => {
      const model = new TextModel((position) => confident(position === 4 ? end : position, 0.95));
      const run = fill(model, ['ab', hole({ max: 8 }), 'kl', hole({ min: 2, max: 2 })], {
        ...all,
        decode: leftToRight(),
      });
      const frames = [];
      for await (const frame of run) frames.push(frame);
      const { text, holes, trace, counts, canvas } = await run.result;
      expect(text).toBe('abcdklgh');
      expect(holes.map(({ start, ended }) => [start, ended])).toEqual([
        [2, 'eos'],
        [6, 'full'],
      ]);
      expect(canvas.length).toBe(8);
      expect(trace[2].splices).toEqual([{ at: 4, remove: 6, tokens: [] }]);
      expect([counts.removals, counts.insertions]).toEqual([6, 0]);
      expect(frames.map((frame) => frame.text)).toEqual([
        'abc░░░░░░░kl░░',
        'abcd░░░░░░kl░░',
        'abcdkl░░',
        'abcdklg░',
        'abcdklgh',
      ]);
      expect([...frames[2].committed]).toEqual([]); // the end went with the rest
    },
  );

  test('an end before known tokens of the hole takes them along; several in one step', async () => {
    const model = new TextModel((position) =>
      confident(position === 3 || position === 9 ? eos : position % 12, 0.95),
    );
    const gap = hole({ max: 5 });
    const { text, trace, forwards } = await fill(model, ['ab', gap, 'a', gap, 'b'], all).result;
    expect(text).toBe('abcaib');
    expect(forwards).toBe(1);
    expect(trace[0].splices?.map(({ at, remove }) => [at, remove])).toEqual([
      [3, 4],
      [9, 4],
    ]);
  });

  test('min holds: before it no end is proposed; with min 0 a hole may stay empty', async () => {
    const ends = new TextModel(() => confident(eos, 0.95));
    for (const min of [0, 1, 3]) {
      const { holes, text } = await fill(ends, ['a', hole({ min, max: 6 }), 'b'], all).result;
      expect(holes[0].tokens.length).toBe(min);
      expect(text).toBe(`a${'a'.repeat(min)}b`);
      expect(holes[0].ended).toBe('eos');
    }
    const { holes } = await fill(ends, [hole({ min: 4, max: 4 })], all).result;
    expect(holes[0]).toMatchObject({ text: 'aaaa', ended: 'full' });
  });

  test('masks that move into an earlier block are filled, too', async () => {
    // The stop "bc" begins in block 0 and ends in block 1: the hole behind it moves into block 0.
    const model = new TextModel((position) => confident([0, 0, 0, 1, 2, 3][position] ?? 5, 0.95));
    const segments = [hole({ max: 8, stop: 'bc' }), hole({ min: 4, max: 4 }), 'l'];
    const options = { decode: leftToRight(), blocks: blocks(4) };
    const { text, canvas, trace } = await fill(model, segments, options).result;
    expect(text).toBe('aaabcdfl');
    expect(canvas).not.toContain(mask);
    expect(trace[4].splices).toEqual([{ at: 3, remove: 5, tokens: [] }]);
    expect(trace.map(({ block }) => block)).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 0]);
  });
});

describe('stop', () => {
  const cd = saying(1, 'bcdef');

  test.each<[Segment, string]>([
    [hole({ max: 6, stop: 'd' }), 'bc'],
    [hole({ max: 6, stop: ['zz', 'de'] }), 'bc'],
    [hole({ max: 6, stop: 3 }), 'bc'],
    [hole({ max: 6, stop: 'b' }), 'bcdef'], // not before the min-th token
    [hole({ max: 6, min: 0, stop: 'b' }), ''],
    [hole({ max: 6, min: 3, stop: ['c', 'e'] }), 'bcd'],
    [hole({ max: 6, stop: (content) => (content.includes(4) ? 2 : undefined) }), 'bc'],
  ])('%o', async (gap, expected) => {
    for (const decode of [all.decode, leftToRight()]) {
      const options = { ...all, decode };
      const { text, holes } = await fill(new TextModel(cd), ['a', gap, 'l'], options).result;
      expect(text).toBe(`a${expected}l`);
      expect(holes[0].ended).toBe(expected === 'bcdef' ? 'eos' : 'stop');
    }
  });

  test('a stop ends a hole whose beginning is not known yet', async () => {
    const model = new TextModel((position) => confident(position, 0.5 + position / 12));
    const gap = hole({ max: 6, stop: 'd' });
    const run = fill(model, [gap, 'l'], { ...all, decode: topK() });
    const { text, trace } = await run.result;
    expect(text).toBe('abcl');
    expect(trace.map(({ committed }) => committed[0][0])).toEqual([5, 4, 3, 2, 1, 0]);
    expect(trace[2].splices).toEqual([{ at: 3, remove: 3, tokens: [] }]);
  });
});

describe('too few masks', () => {
  /** Needs six tokens between its neighbours: unsure while there is less room. */
  const roomy: Predict = (position, canvas) => {
    const length = canvas.indexOf(11, 1) - 1;
    if (length < 6) return unsure;
    return confident(position % 12, 0.95);
  };

  test('a mask that the model is unsure of makes room, within max', async () => {
    for (const max of [12, 6]) {
      const gap = hole({ initial: 2, max, expand: 3 });
      const options = { decode: threshold({ tau: 0.9, strict: true }), blocks: wholeAnswer() };
      const { text, counts, holes } = await fill(new TextModel(roomy), ['a', gap, 'l'], options)
        .result;
      // What was committed while there was no room has moved; the model was sure of the rest.
      expect(text).toMatch(/^a.{6}l$/);
      expect(holes[0].tokens.length).toBe(6);
      expect(counts.insertions).toBe(4);
    }
  });

  test('as many masks as given are kept where the model is sure', async () => {
    const gap = hole({ initial: 2, max: 9 });
    const { text, counts } = await fill(new TextModel(alphabet), ['a', gap, 'l'], all).result;
    expect([text, counts.insertions]).toEqual(['abcl', 0]);
  });

  test('no room for a hole that expects its end', async () => {
    const model = new TextModel((position) =>
      position === 1 ? unsure : confident(position === 3 ? eos : position, 0.95),
    );
    const gap = hole({ initial: 4, max: 20 });
    const options = { ...all, decode: topK() };
    const { holes, counts } = await fill(model, ['a', gap, 'l'], options).result;
    expect(counts.insertions).toBe(0);
    expect(holes[0].tokens.length).toBe(2);
  });

  test('a full hole that waits for its stop gets more, up to max', async () => {
    const gap = (max: number) => hole({ initial: 2, max, expand: 3, stop: 'g' });
    const options = { decode: leftToRight(), blocks: blocks(4) };
    const found = await fill(new TextModel(alphabet), ['a', gap(20), 'kl'], options).result;
    expect([found.text, found.holes[0].ended]).toEqual(['abcdefkl', 'stop']);
    expect(found.canvas).not.toContain(mask);
    const cut = await fill(new TextModel(alphabet), ['a', gap(4), 'kl'], options).result;
    expect([cut.text, cut.holes[0].ended]).toEqual(['abcdekl', 'full']);
  });
});

describe('allow and suppress', () => {
  test('by hole; what ends it comes on top', async () => {
    const model = new TextModel(saying(1, 'bbb'));
    const segments = ['a', hole({ max: 5, allow: [2, 3] }), 'a', hole({ max: 2, suppress: [6] })];
    const { holes } = await fill(model, segments, all).result;
    expect(holes[0]).toMatchObject({ text: 'ccc', ended: 'eos' });
    expect(holes[1].text).not.toContain('g');
  });
});

describe('refused', () => {
  const gap = hole({ max: 3 });
  const fails = (code: string, message: RegExp): unknown =>
    expect.objectContaining({ code, message: expect.stringMatching(message) as string });

  test.each<[() => unknown, RegExp]>([
    [() => hole({ max: 0 }), /hole\(\): max must be an integer of at least 1/],
    [() => hole({ min: 9, max: 8 }), /max must be an integer of at least 9/],
    [() => hole({ max: 8, initial: 9 }), /initial must be an integer from 1 to 8/],
    [() => hole({ stop: '' }), /stop must be a text that is not empty/],
    [() => hole({ allow: [] }), /allow must be left out, or hold a token/],
    [() => hole({ mx: 3 } as never), /unknown option "mx"/],
  ])('%#', (make, message) => {
    expect(make).toThrow(fails('INVALID_ARGUMENT', message));
  });

  test.each<[Segment[], GenerateOptions, RegExp]>([
    [[], {}, /segments must be a text or a hole at least/],
    [[''], {}, /segments must be a text or a hole at least/],
    [[gap], { maxTokens: 4 }, /maxTokens must be left out/],
    [[gap], { length: growUntilEos() }, /length must be left out/],
    [[gap], { stopAtEos: false }, /stopAtEos must be left out/],
    [[gap], { decode: lowConfidence() }, /does not go with length: template\(\)/],
    [[gap], { refine: remask() }, /does not go with/],
    [[gap], { refine: fillAfterEos() }, /fills up what is behind the first end of text/],
    [[gap, [1, mask]], {}, /segment 1: token 1 is MASK/],
    [[gap, [99]], {}, /segment 1\[0\] must be an integer from 0 to 15/],
    [[hole({ allow: [99] })], {}, /segment 0: allow\[0\] must be/],
    [[hole({ stop: 99 })], {}, /segment 0: stop\[0\] must be/],
  ])('%o %o', (segments, options, message) => {
    expect(() => fill(new TextModel(), segments, options)).toThrow(
      fails('INVALID_ARGUMENT', message),
    );
  });

  test('steps that do not suffice leave a hole open', async () => {
    const options = { ...all, decode: leftToRight(), steps: 2 };
    const { finishReason, holes } = await fill(
      new TextModel(alphabet),
      ['a', hole({ min: 3, max: 3 })],
      options,
    ).result;
    expect(finishReason).toBe('steps');
    expect(holes[0]).toMatchObject({ text: 'bc', ended: 'steps' });
  });

  test('abort ends the run', async () => {
    const controller = new AbortController();
    const model = new TextModel(alphabet);
    const run = fill(model, ['a', hole({ max: 9 })], { decode: topK(), signal: controller.signal });
    for await (const { step } of run) {
      expect(step).toBe(0);
      controller.abort();
      break;
    }
    await expect(run.result).rejects.toMatchObject({ code: 'ABORTED' });
    expect(model.sessions.every(({ disposed }) => disposed)).toBe(true);
  });
});
