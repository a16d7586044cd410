/** Encoding takes a microsecond a character: of megabytes that cannot fit, only as much as shows it. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Tokenizer } from '../text/tokenizer.js';
import { HttpError } from './errors.js';

/** Characters that are encoded without a pause. */
const slice = 1 << 14;
/** Tokens by which cutting a word in two may lengthen it, at the most generous. */
const slack = 32;
/** Characters of a token, on average over a whole prompt, at the most generous. */
const longest = 32;

/**
 * Rejects with 400 `context_length_exceeded` if a text must have more tokens than the context, slice
 * by slice, with turns of the event loop in between. A text that passes may still have a few more.
 * @param name of the text, for the message
 */
export async function refuseLongText(
  name: string,
  tokenizer: Tokenizer,
  text: string,
  context: number,
): Promise<void> {
  if (text.length > longest * context) throw tooLong(name, `${text.length} characters`, context);
  if (text.length <= slice) return;
  let tokens = 0;
  for (let from = 0; from < text.length; from += slice) {
    await turn();
    const part = text.slice(from, from + slice);
    tokens += Math.max(0, tokenizer.encode(part, { bos: false }).length - slack);
    if (tokens > context) throw tooLong(name, `more than ${tokens} tokens`, context);
  }
}

function tooLong(name: string, length: string, context: number): HttpError {
  return new HttpError(400, `${name} has ${length}, but the context has ${context} tokens`, {
    code: 'context_length_exceeded',
    param: name,
  });
}
