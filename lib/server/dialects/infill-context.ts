/** What of a file and its neighbours goes into the context. */
import type { Tokenizer } from '../../text/tokenizer.js';
import type { Context } from '../context.js';
import { HttpError } from '../errors.js';

export interface Gap {
  prompt: Int32Array;
  suffix: string;
  /** Not all of the file is in it. */
  truncated: boolean;
}

/** Longer tokens are rare: what is surely too much is left aside before it is encoded. */
const charactersPerToken = 16;

/**
 * The text before the gap and behind it, as much as there is room for beside the answer: what is
 * nearest to the gap, at most a quarter of it behind. What is left goes to the other texts, the last
 * ones first.
 */
export function fit(
  { engine, limits }: Context,
  maxTokens: number,
  extra: readonly { filename: string; text: string }[],
  before: string,
  behind: string,
): Gap {
  const { model, defaults } = engine;
  const { tokenizer } = model;
  const { context } = model.info;
  const most = Math.min(context || limits.canvas, limits.canvas);
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
  const prefixRoom = Math.min(prefix.length, room - suffixRoom);
  const truncated = prefixRoom < prefix.length || suffixRoom < next.length;
  const others = extras(tokenizer, extra, room - prefixRoom - suffixRoom);
  const first = bos && tokenizer.bos !== undefined ? [tokenizer.bos] : [];
  const suffix =
    suffixRoom === next.length && behind.length <= reach
      ? behind
      : wholeCharacters(tokenizer, next.subarray(0, suffixRoom));
  return {
    prompt: Int32Array.of(...first, ...others, ...prefix.subarray(prefix.length - prefixRoom)),
    suffix,
    truncated: truncated || before.length > reach || behind.length > reach,
  };
}

function extras(
  tokenizer: Tokenizer,
  extra: readonly { filename: string; text: string }[],
  room: number,
): number[] {
  let chosen: number[] = [];
  for (const { filename, text } of extra.toReversed()) {
    if (text.length > charactersPerToken * room) break;
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
