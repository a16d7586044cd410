/** Holes that become one of several texts. */
import { describe, expect, test } from 'vitest';
import { leftToRight, threshold, topK, wholeAnswer } from '../../lib/decoding/index.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { hole } from '../../lib/template/hole.js';
import { confident, mask, noisy, type Predict } from '../decoding/fake.js';
import { fill, letters, TextModel } from './model.js';

/** Wants these letters from canvas position 0 on. */
const wanting =
  (text: string): Predict =>
  (position) =>
    confident(letters.indexOf(text[position] ?? 'l'), 0.95);
const all = { decode: threshold({ tau: 0.5 }), blocks: wholeAnswer() };

describe('choices', () => {
  test('the text that the model wants, as long as it is', async () => {
    const choices = ['cd', 'bef', 'a'];
    for (const [wanted, text] of [
      ['kc', 'cd'],
      ['kb', 'bef'],
      ['ka', 'a'],
    ]) {
      const model = new TextModel(wanting(wanted));
      const { result } = fill(model, ['k', hole({ choices }), 'j'], all);
      const { text: whole, holes, finishReason, forwards } = await result;
      expect(whole).toBe(`k${text}j`);
      expect(holes).toMatchObject([{ text, start: 1, ended: 'full' }]);
      expect(finishReason).toBe('filled');
      expect(forwards).toBe(1); // the rest follows from its first token
    }
  });

  test('tokens of different texts that came at once: the first decides', async () => {
    const model = new TextModel(wanting('ad'));
    const { text } = await fill(model, [hole({ choices: ['ab', 'cd'] }), 'k'], all).result;
    expect(text).toBe('abk');
  });

  test('what all have in common is known without asking', async () => {
    const seen: number[][] = [];
    const model = new TextModel((position, canvas) => {
      seen.push([...canvas]);
      return confident(4, 0.95);
    });
    const gap = hole({ choices: ['abce', 'abdf'] });
    expect((await fill(model, [gap, 'k'], all).result).text).toBe('abcek');
    expect(seen[0]).toEqual([0, 1, mask, mask, 10]);
    const one = await fill(model, [hole({ choices: ['abc'] }), 'k'], all).result;
    expect([one.text, one.forwards]).toEqual(['abck', 0]);
  });

  test('whatever is decoded, and what was stable stays', async () => {
    const choices = ['abcd', 'abdc', 'bacd', 'ca', 'dcba', 'cbad'];
    const gap = () => hole({ choices });
    const decoders: GenerateOptions[] = [
      { decode: topK({ k: 2 }) },
      { decode: leftToRight() },
      all,
    ];
    for (const options of decoders) {
      for (let seed = 0; seed < 12; seed++) {
        const model = new TextModel(noisy);
        const segments = ['k', gap(), 'l', gap()];
        const run = fill(model, segments, { ...options, temperature: 1, seed });
        const frames = [];
        for await (const { tokens, stable } of run) frames.push(tokens.slice(0, stable));
        const { holes, tokens } = await run.result;
        for (const { text } of holes) expect(choices).toContain(text);
        for (const one of frames) expect(tokens.slice(0, one.length)).toEqual(one);
      }
    }
  });

  test('what cannot be', async () => {
    const model = new TextModel(noisy);
    await expect(
      async () => fill(model, [hole({ choices: ['ab', 'abc'] })]).result,
    ).rejects.toThrow(/choices.*none begins with all tokens of another/);
    expect(() => hole({ choices: [] })).toThrow(/choices/);
    expect(() => hole({ choices: ['a', ''] })).toThrow(/not empty/);
    expect(() => hole({ choices: ['a'], max: 3 })).toThrow(/max.*left out with choices/);
  });
});
