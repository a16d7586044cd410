/** Where a hole ends: token ids, texts and rules against what it holds so far. */
import type { Tokenizer } from '../text/tokenizer.js';
import type { Hole, StopRule } from './types.js';

/** What ends a hole. */
export interface Ends {
  min: number;
  max: number;
  /** End of text and of turn. */
  eos: ReadonlySet<number>;
  tokens: ReadonlySet<number>;
  /** In UTF-8. */
  texts: readonly Buffer[];
  rules: readonly StopRule[];
}

/** The first `keep` tokens stay, `tail` follows them, the rest goes. */
export interface End {
  keep: number;
  tail: readonly number[];
  by: 'eos' | 'stop';
}

export function endsOf({ min, max, stop }: Hole, eos: ReadonlySet<number>): Ends {
  return {
    min,
    max,
    eos,
    tokens: new Set(stop.filter((item) => typeof item === 'number')),
    texts: stop.filter((item) => typeof item === 'string').map((text) => Buffer.from(text)),
    rules: stop.filter((item) => typeof item === 'function'),
  };
}

/** The earliest end in a hole, MASK where nothing is known yet. */
export function endIn(
  content: Int32Array,
  ends: Ends,
  mask: number,
  tokenizer: Tokenizer | undefined,
): End | undefined {
  const found = [
    tokenEnd(content, ends),
    ...ends.texts.map((text) => textEnd(content, text, ends, mask, tokenizer!)),
    ...ends.rules.map((rule) => ruleEnd(content, rule, ends, mask)),
  ].filter((end) => end !== undefined);
  if (found.length === 0) return undefined;
  return found.reduce((a, b) => (b.keep + b.tail.length < a.keep + a.tail.length ? b : a));
}

function tokenEnd(content: Int32Array, { min, eos, tokens }: Ends): End | undefined {
  const keep = content.findIndex((token, i) => i >= min && (eos.has(token) || tokens.has(token)));
  if (keep < 0) return undefined;
  return { keep, tail: [], by: eos.has(content[keep]) ? 'eos' : 'stop' };
}

function ruleEnd(
  content: Int32Array,
  rule: StopRule,
  { min }: Ends,
  mask: number,
): End | undefined {
  const keep = rule(content, mask);
  const inside = keep !== undefined && keep >= min && keep <= content.length;
  return inside ? { keep, tail: [], by: 'stop' } : undefined;
}

/**
 * A text may begin inside a token, which then is cut: what is in front of the text is encoded anew,
 * unless that is only part of a character.
 */
function textEnd(
  content: Int32Array,
  text: Buffer,
  { min, max }: Ends,
  mask: number,
  tokenizer: Tokenizer,
): End | undefined {
  for (let start = 0; start < content.length;) {
    if (content[start] === mask) {
      start++;
      continue;
    }
    const gap = content.indexOf(mask, start);
    const run = content.subarray(start, gap < 0 ? content.length : gap);
    const pieces = [...run].map((token) => tokenizer.bytes(token));
    const bytes = Buffer.concat(pieces);
    for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) {
      const { token, offset } = tokenAt(pieces, at);
      const keep = start + token;
      if (keep + (offset > 0 ? 1 : 0) < min) continue;
      const tail = encoded(tokenizer, pieces[token].subarray(0, offset));
      return { keep, tail: tail.slice(0, max - keep), by: 'stop' };
    }
    start += run.length;
  }
  return undefined;
}

/** The token that holds the `at`-th byte, and which byte of it that is. */
function tokenAt(pieces: readonly Uint8Array[], at: number): { token: number; offset: number } {
  let offset = at;
  let token = 0;
  while (offset >= pieces[token].length) offset -= pieces[token++].length;
  return { token, offset };
}

function encoded(tokenizer: Tokenizer, bytes: Uint8Array): number[] {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return [...tokenizer.encode(text, { bos: false })];
  } catch (error) {
    if (error instanceof TypeError) return []; // not UTF-8 by itself
    throw error;
  }
}
