import { readFileSync } from 'node:fs';
import { createTokenizer, type Tokenizer, type TokenizerData } from '../../lib/text/tokenizer.js';

const fixture = new URL('../fixtures/text/', import.meta.url);

export function readFixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(name, fixture), 'utf8')) as T;
}

const tok512 = readFixture<{ vocab: string[]; merges: [string, string][] }>('tok512.json');

/** The 512-token vocabulary of the goldens: 509 ordinary tokens, then start, end and mask. */
export function tokenizerData(changes: Partial<TokenizerData> = {}): TokenizerData {
  return {
    model: 'gpt2',
    pre: 'gpt-2',
    tokens: tok512.vocab,
    tokenTypes: tok512.vocab.map((_, id) => (id < 509 ? 1 : 3)),
    merges: tok512.merges.map((pair) => pair.join(' ')),
    bos: 509,
    eos: 510,
    mask: 511,
    ...changes,
  };
}

/** The same with more control and user-defined tokens, from id 512 on. */
export function extended(
  control: string[],
  userDefined: string[] = [],
  changes: Partial<TokenizerData> = {},
): Tokenizer {
  const data = tokenizerData();
  return createTokenizer({
    ...data,
    tokens: [...data.tokens, ...control, ...userDefined],
    tokenTypes: [
      ...Array.from(data.tokenTypes!),
      ...control.map(() => 3),
      ...userDefined.map(() => 4),
    ],
    ...changes,
  });
}
