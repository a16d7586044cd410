/** Text that only appends: whatever the pieces, together they are what one piece would be. */
import { expect, test } from 'vitest';
import { uniform } from '../../lib/decoding/philox.js';
import { AnswerText } from '../../lib/server/text.js';
import type { Tokenizer } from '../../lib/text/tokenizer.js';

/** Tokens are byte strings, some of them halves of characters. */
const pieces = ['a', 'b', 'ab', ' ', '\n', '€', '😀'].map((text) => new TextEncoder().encode(text));
pieces.push(pieces[5].subarray(0, 2), pieces[5].subarray(2), pieces[6].subarray(0, 1));
pieces.push(pieces[6].subarray(1, 3), pieces[6].subarray(3));
const tokenizer = {
  decoder() {
    const utf8 = new TextDecoder();
    const bytes = (ids: Int32Array) => Uint8Array.from([...ids].flatMap((id) => [...pieces[id]]));
    return {
      push: (ids: Int32Array) => utf8.decode(bytes(ids), { stream: true }),
      end: () => utf8.decode(),
    };
  },
} as unknown as Tokenizer;

const stops = [[], ['b'], ['ab\n', 'aba'], ['€😀'], ['\n ', ' \n', 'zz']];

test('10,000 random answers in random pieces', () => {
  const random = (i: number, j: number, n: number) => Math.floor(uniform(i, j, 0, 5) * n);
  let stopped = 0;
  for (let run = 0; run < 10_000; run++) {
    const ids = Int32Array.from({ length: random(run, 0, 24) }, (_, j) =>
      random(run, j + 1, run % 2 === 0 ? 7 : pieces.length),
    );
    const stop = stops[run % stops.length];
    const whole = new AnswerText(tokenizer, stop);
    const expected = whole.push(ids, true);

    const text = new AnswerText(tokenizer, stop);
    let got = '';
    for (let end = 0; end < ids.length; end += 1 + random(run, 50 + end, 3)) {
      const piece = text.push(ids.subarray(0, end));
      got += piece.text;
      // What is out is out: it begins the answer, and holds nothing of a stop string.
      expect(expected.text.startsWith(got)).toBe(true);
      if (piece.stopped !== undefined) break;
    }
    const last = text.push(ids, true);
    expect(got + last.text).toBe(expected.text);
    expect(last.stopped).toBe(expected.stopped);
    expect(text.tokens).toBe(whole.tokens);
    for (const s of stop) expect(expected.text).not.toContain(s);
    if (expected.stopped !== undefined) {
      stopped++;
      const plain = new AnswerText(tokenizer, []).push(ids, true).text;
      expect(stop.some((s) => plain.startsWith(expected.text + s))).toBe(true);
    }
  }
  expect(stopped).toBeGreaterThan(1000);
});

test('an unfinished character is held, then left out', () => {
  const text = new AnswerText(tokenizer, []);
  expect(text.push(Int32Array.of(0, 7))).toEqual({ text: 'a', stopped: undefined });
  expect(text.push(Int32Array.of(0, 7, 8)).text).toBe('€');
  expect(text.push(Int32Array.of(0, 7, 8, 9), true).text).toBe('');
});
