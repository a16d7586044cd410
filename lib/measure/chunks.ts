/** Texts as the canvases that a likelihood is measured on. */
import type { Model } from '../model.js';
import { integer, invalid, string } from '../validate.js';

/** A piece of text to score. */
export interface Chunk {
  /** (n) token ids */
  tokens: Int32Array;
  /** Unicode characters that they stand for, as a share of the text's where a token cuts one. */
  characters: number;
}

/**
 * Cuts a text into pieces of `length` tokens, the last one as short as it comes. Each becomes a canvas of
 * its own.
 */
export function chunksOf(model: Model, text: string, length: number): Chunk[] {
  string('text', text);
  integer('length', length, { min: 1 });
  const tokens = model.tokenizer.encode(text, { bos: false });
  if (tokens.length === 0) invalid('text', text, 'a text of at least one token');
  const chunks: Chunk[] = [];
  for (let at = 0; at < tokens.length; at += length) {
    const piece = tokens.slice(at, at + length);
    chunks.push({ tokens: piece, characters: charactersOf(model, piece) });
  }
  return chunks;
}

/** Counts the bytes that begin a character: cut ones count once, in the piece that holds their beginning. */
function charactersOf({ tokenizer }: Model, tokens: Int32Array): number {
  let characters = 0;
  for (const token of tokens) {
    for (const byte of tokenizer.bytes(token)) if ((byte & 0xc0) !== 0x80) characters++;
  }
  return characters;
}
