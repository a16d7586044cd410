/** From a plan to JSON text: what a writer needs besides the plan. */
import { generate } from '../generate.js';
import { hole } from '../template/hole.js';
import type { Segment } from '../template/types.js';
import type { Desk } from './desk.js';
import { mustEscape } from './strings.js';
import { TokenTexts } from './token-texts.js';
import type { Choice, Node, ObjectOptions } from './types.js';
import { Writer, type Blank, type FillBlanks } from './write.js';

/** Of `generate`, for the free text inside of strings. */
export type BlankOptions = Pick<
  ObjectOptions,
  'decode' | 'blocks' | 'cache' | 'temperature' | 'topK' | 'topP' | 'seed' | 'signal' | 'deadline'
>;

export interface WritingOptions {
  maxStringTokens: number;
  blanks: BlankOptions;
  /** The text of the answer so far, which the JSON follows. Default: none. */
  before?: string;
  /** Called with all that is written, `before` too, whenever there is more; none of it changes. */
  onText?: (text: string) => void;
}

/**
 * Writes a value behind the prompt of the desk. Rejects like steps of a session; with `AnswerFull` if
 * the tokens of the desk do not suffice.
 * @returns the text, `before` in front
 */
export async function writeJson(
  desk: Desk,
  node: Node,
  { maxStringTokens, blanks, before, onText }: WritingOptions,
): Promise<{ text: string; choices: readonly Choice[] }> {
  const texts = await TokenTexts.for(desk.model.tokenizer);
  const writer = new Writer(desk, texts, filler(desk, texts, maxStringTokens, blanks), onText);
  const text = await writer.write(node, before);
  return { text, choices: writer.choices };
}

/** Of each blank what the last look says, one after the other. */
async function glimpses(
  desk: Desk,
  texts: TokenTexts,
  maxStringTokens: number,
  parts: readonly (string | Blank)[],
): Promise<string[]> {
  const { eos, eot } = desk.model.info.tokens;
  const ends = [eos, eot].filter((token) => token !== undefined);
  const allow = Int32Array.from([...allowedIn(texts), ...ends]).sort();
  const found: string[] = [];
  let whole = '';
  for (const part of parts) {
    if (typeof part === 'string') {
      whole += part;
      continue;
    }
    const known = [...desk.encode(whole)];
    const most = known.length + Math.min(part.max, Math.max(maxStringTokens, part.min));
    let text = '';
    while (known.length < most) {
      const token = await desk.token(known, allow);
      if (token === undefined || ends.includes(token) || texts.of[token]!.startsWith('"')) break;
      known.push(token);
      text += texts.of[token]!;
    }
    found.push(text);
    whole += text;
  }
  return found;
}

const allowed = new WeakMap<TokenTexts, Int32Array>();

/** What may stand in a string or end it; made once for a vocabulary. */
function allowedIn(texts: TokenTexts): Int32Array {
  let tokens = allowed.get(texts);
  if (tokens === undefined) {
    tokens = texts.filter((text) => !mustEscape.test(text) || text.startsWith('"'));
    allowed.set(texts, tokens);
  }
  return tokens;
}

/** Strings without a pattern are holes that end at their quote. */
function filler(
  desk: Desk,
  texts: TokenTexts,
  maxStringTokens: number,
  options: BlankOptions,
): FillBlanks {
  const allow = allowedIn(texts);
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  );
  return async (parts) => {
    if (desk.late) return glimpses(desk, texts, maxStringTokens, parts);
    const fixed = parts.filter((part) => typeof part === 'string');
    const known = fixed.reduce((sum, text) => sum + desk.encode(text).length, 0);
    const share = Math.floor(desk.room(known) / (parts.length - fixed.length));
    const segments = parts.map((part): Segment => {
      if (typeof part === 'string') return part;
      const wanted = Math.min(part.max, Math.max(maxStringTokens, part.min));
      const max = Math.max(1, Math.min(wanted, share));
      return hole({ min: Math.min(part.min, 1), max, stop: '"', allow });
    });
    const { prompt } = desk;
    const { result } = generate(desk.model, { prompt, segments, end: false }, given);
    const { holes, forwards } = await result;
    desk.count(forwards);
    return holes.map(({ text }) => text);
  };
}
