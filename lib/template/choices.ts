/** A hole that holds one of several texts: which of them it can still be. */
import type { Tokenizer } from '../text/tokenizer.js';
import { invalid } from '../validate.js';

/**
 * Token ids of each text. Throws `INVALID_ARGUMENT` if one is the beginning of another: where it ends
 * could not be told from going on.
 */
export function encodeChoices(
  name: string,
  texts: readonly string[],
  tokenizer: Tokenizer,
): Int32Array[] {
  const all = [...new Set(texts)].map((text) => tokenizer.encode(text, { bos: false }));
  const begins = (a: Int32Array, b: Int32Array) => a.every((token, i) => token === b[i]);
  all.forEach((one, i) => {
    const longer = all.findIndex((other, j) => i !== j && begins(one, other));
    if (longer >= 0) invalid(name, texts, 'texts of which none begins with all tokens of another');
  });
  return all;
}

/** Those that agree with what is known. A token that none of them has gives way to those before it. */
export function agreeing(
  choices: readonly Int32Array[],
  content: Int32Array,
  mask: number,
): readonly Int32Array[] {
  let left = choices;
  content.forEach((token, i) => {
    if (token === mask) return;
    const some = left.filter((choice) => choice[i] === token);
    if (some.length > 0) left = some;
  });
  return left;
}

/** (length of the shortest) The tokens that all of them have, MASK where they differ. */
export function common(choices: readonly Int32Array[], mask: number): number[] {
  const [first] = choices;
  const length = Math.min(...choices.map((choice) => choice.length));
  return Array.from({ length }, (_, i) =>
    choices.every((choice) => choice[i] === first[i]) ? first[i] : mask,
  );
}
