/** Holes of a template: their bounds, what ends them, how they grow, by hand on scripted models. */
import { describe, expect, test } from 'vitest';
import { threshold, wholeAnswer } from '../../lib/decoding/index.js';
import { hole } from '../../lib/template/hole.js';
import { confident, type Predict } from '../decoding/fake.js';
import { fill, TextModel } from './model.js';

/** Each position says its letter by its distance from the start of the canvas. */
const alphabet: Predict = (position) => confident(position % 12, 0.95);

describe('holes', () => {
  test('known text stays, gaps are filled at once', async () => {
    const model = new TextModel(alphabet);
    const run = fill(model, ['ab', hole({ max: 2, min: 2 }), 'ab', hole({ max: 3, min: 3 }), 'l'], {
      decode: threshold({ tau: 0.5 }),
      blocks: wholeAnswer(),
    });
    const result = await run.result;
    expect(result.text).toBe('abcdabghil');
    expect(result.finishReason).toBe('filled');
    expect(result.forwards).toBe(1);
    expect(result.holes).toEqual([
      { text: 'cd', tokens: Int32Array.of(2, 3), start: 2, ended: 'full' },
      { text: 'ghi', tokens: Int32Array.of(6, 7, 8), start: 6, ended: 'full' },
    ]);
    expect(result.counts.tokensPerForward).toBe(5);
  });
});
