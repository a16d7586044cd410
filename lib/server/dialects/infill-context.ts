/** What of a file and its neighbours goes into the context. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Tokenizer } from '../../text/tokenizer.js';
import type { Context } from '../context.js';
import { HttpError } from '../errors.js';

export interface Gap {
  prompt: Int32Array;
  suffix: string;
  /** Not all of the file is in it. */
  truncated: boolean;
}

/** Longer ones on average are rare: what would be too much is left aside before it is encoded. */
const charactersPerToken = 8;

/**
 * The text before the gap and behind it, as much as there is room for beside the answer: what is
 * nearest to the gap, at most a quarter of it behind. What is left goes to the other texts, the last
 * ones first.
 */
export async function fit(
  { engine }: Context,
  maxTokens: number,
  extra: readonly { filename: string; text: string }[],
  before: string,
  behind: string,
): Promise<Gap> {
  const { model, defaults, most } = engine;
  const { tokenizer } = model;
  const room = most - maxTokens - 1; // begin of text
  if (room < 1) {
    throw new HttpError(400, `an answer of up to ${maxTokens} leaves nothing of ${most}`, {
      code: 'context_length_exceeded',
      param: 'n_predict',
    });
  }
  const reach = charactersPerToken * room;
  const bos = defaults.bos ?? tokenizer.addBos;
  const prefix = tokenizer.encode(before.slice(-reach), { bos: false });
  const next = tokenizer.encode(behind.slice(0, reach), { bos: false });
  const suffixRoom = Math.min(next.length, Math.max(Math.floor(room / 4), room - prefix.length));
  const all = suffixRoom === next.length && behind.length <= reach;
  const suffix = all ? behind : wholeCharacters(tokenizer, next.subarray(0, suffixRoom));
  // What is cut off may be other tokens than it was.
  const left = room - (all ? next : tokenizer.encode(suffix, { bos: false })).length;
  const prefixRoom = Math.max(0, Math.min(prefix.length, left));
  const others = await extras(tokenizer, extra, left - prefixRoom);
  const first = bos && tokenizer.bos !== undefined ? [tokenizer.bos] : [];
  return {
    prompt: Int32Array.of(...first, ...others, ...prefix.subarray(prefix.length - prefixRoom)),
    suffix,
    truncated: !all || prefixRoom < prefix.length || before.length > reach,
  };
}

async function extras(
  tokenizer: Tokenizer,
  extra: readonly { filename: string; text: string }[],
  room: number,
): Promise<number[]> {
  let chosen: number[] = [];
  for (const { filename, text } of extra.toReversed()) {
    if (filename.length + text.length > charactersPerToken * (room - chosen.length)) break;
    await turn();
    const ids = tokenizer.encode(`--- ${filename} ---\n${text}\n`, { bos: false });
    if (ids.length > room - chosen.length) break;
    chosen = [...ids, ...chosen];
  }
  return chosen;
}

/** A cut may go through a character. */
function wholeCharacters(tokenizer: Tokenizer, tokens: Int32Array): string {
  return tokenizer.decoder().push(tokens);
}
