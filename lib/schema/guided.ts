/** A value token by token, each one such that the value can still be finished. */
import { LacunaError } from '../errors.js';
import type { Desk } from './desk.js';
import type { TokenTexts } from './token-texts.js';
import type { Guide } from './types.js';

/**
 * What follows `text` by the guide, one token a forward; where only one can follow, without any.
 *
 * @param state to begin with; the guide's first by default
 * @returns the value's text, without what ends it
 */
export async function guided(
  desk: Desk,
  texts: TokenTexts,
  text: string,
  guide: Guide,
  path: string,
  state: string = guide.start,
): Promise<string> {
  const { eos, eot } = desk.model.info.tokens;
  const finals = [eos, eot].filter((token) => token !== undefined);
  const known = [...desk.encode(text)];
  let value = '';
  for (;;) {
    const { on, end } = texts.next(guide, state);
    const ends = guide.ends(state);
    if (on.length === 0 && ends) return value;
    if (on.length === 0) throw unwritable(path, text + value);
    const allow = ends ? Int32Array.from(new Set([...on, ...end, ...finals])).sort() : on;
    const found = allow.length === 1 ? allow[0] : await desk.token(known, allow);
    if (ends && (found === undefined || finals.includes(found))) return value;
    const token = found ?? soonest(texts, guide, state, on);
    for (const unit of texts.of[token]!.split('')) {
      const then = guide.next(state, unit);
      if (then === undefined) return value;
      state = then;
      value += unit;
    }
    known.push(token);
  }
}

/** Where nothing is known: a token behind which the value may end, else any. */
function soonest(texts: TokenTexts, guide: Guide, state: string, on: Int32Array): number {
  const after = (token: number) =>
    texts.of[token]!.split('').reduce<string | undefined>(
      (now, unit) => (now === undefined ? now : guide.next(now, unit)),
      state,
    );
  return on.find((token) => guide.ends(after(token) ?? '')) ?? on[0];
}

function unwritable(path: string, text: string): LacunaError {
  return new LacunaError(
    'UNSUPPORTED_TOKENIZER',
    `object: the vocabulary has no token that could go on with ${JSON.stringify(text.slice(-20))}, ` +
      `as the schema wants it at ${path || 'its root'}`,
  );
}
