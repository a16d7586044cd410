import { describe, expect, it } from 'vitest';
import { fileTokenizer } from '../../lib/info.js';
import type { NativeFile, NativeSpec } from '../../lib/native.js';
import { toPiece } from '../../lib/text/bytes.js';
import { preTokenizerNames } from '../../lib/text/pretokenizers.js';
import { createTokenizer, type TokenizerData } from '../../lib/text/tokenizer.js';
import { extended, readFixture, tokenizerData } from './vocabulary.js';

interface Golden {
  pre: Record<string, { text: string; plain: number[]; special: number[] }[]>;
}

const golden = readFixture<Golden>('tokenizer.json');
const tokenizer = createTokenizer(tokenizerData());

describe.each(Object.keys(golden.pre))('golden texts, pre-tokenizer %s', (pre) => {
  const goldenTokenizer = createTokenizer(tokenizerData({ pre, addBos: false }));
  it.each(golden.pre[pre])('$text', ({ text, plain, special }) => {
    expect(Array.from(goldenTokenizer.encode(text))).toEqual(plain);
    expect(Array.from(goldenTokenizer.encode(text, { special: true }))).toEqual(special);
    expect(goldenTokenizer.decode(plain)).toBe(text);
    expect(goldenTokenizer.decode(special, { special: true })).toBe(text);
  });
});

describe('the strings of a file', () => {
  const pack = (texts: (string | number[])[]) => {
    const parts = texts.map((text) =>
      typeof text === 'string' ? new TextEncoder().encode(text) : Uint8Array.from(text),
    );
    const offsets = [0];
    for (const part of parts) offsets.push(offsets[offsets.length - 1] + part.length);
    return {
      strings: Uint8Array.from(parts.flatMap((part) => [...part])),
      offsets: Uint32Array.from(offsets),
    };
  };
  const { model, pre, tokens, tokenTypes, merges } = tokenizerData();
  const vocabulary = tokens.length;
  /** The tokenizer of a file that has more control tokens. */
  const fromFile = (more: (string | number[])[]) => {
    const types = Array.from({ length: vocabulary + more.length }, (_, id) => tokenTypes![id] ?? 3);
    const metadata = {
      'tokenizer.ggml.model': model,
      'tokenizer.ggml.pre': pre,
      'tokenizer.ggml.tokens': pack([...tokens, ...more]),
      'tokenizer.ggml.token_type': Float64Array.from(types),
      'tokenizer.ggml.merges': pack([...merges]),
    };
    const file = { path: 'x.gguf', metadata } as unknown as NativeFile;
    const spec = { bos: -1, eos: -1, eot: -1, mask: -1, pad: -1 } as NativeSpec;
    return fileTokenizer(file, spec, {});
  };
  // Characters of one to four bytes, one of which is a byte order mark.
  const special = ['<|a|>', '', '<|é|>', '\uFEFF<|€|>', '<|😀😀|>', '<|z|>'];

  it.each<[string, number[], string]>([
    ['whole', [0x78], 'x'],
    ['a stray byte', [0xff], '\uFFFD'],
    ['a character cut short', [0xf0, 0x9f], '\uFFFD'],
    ['the rest of a character', [0x98, 0x80], '\uFFFD\uFFFD'],
  ])('%s', (_, bytes, shown) => {
    const made = fromFile([...special.slice(0, 3), bytes, ...special.slice(3)]);
    const expected = [...special.slice(0, 3), shown, ...special.slice(3)];
    expected.forEach((text, i) =>
      expect(made.decode([vocabulary + i], { special: true })).toBe(text),
    );
    expect(made.encode('To be')).toEqual(tokenizer.encode('To be', { bos: false }));
  });

  it('a character may not be spread over two of them', () => {
    const made = fromFile([[0xc3], [0xa9]]);
    for (const id of [vocabulary, vocabulary + 1]) expect(made.token(id)).toBe('\uFFFD');
  });
});

describe('pre-tokenizers', () => {
  // One token per word: every word of the text is in the vocabulary, and nothing else but bytes.
  const words = (pre: string, text: string, expected: string[]) => {
    const bytes = Array.from({ length: 256 }, (_, byte) => tokenizerData().tokens[byte]);
    const tokens = [...bytes];
    const merges: string[] = [];
    for (const word of expected) {
      const chars = [...toPiece(word)];
      for (let end = 2; end <= chars.length; end++) {
        const piece = chars.slice(0, end).join('');
        if (tokens.includes(piece)) continue;
        merges.push(`${chars.slice(0, end - 1).join('')} ${chars[end - 1]}`);
        tokens.push(piece);
      }
    }
    const data = { model: 'gpt2', pre, tokens, merges, addBos: false };
    const own = createTokenizer(data);
    return Array.from(own.encode(text), (id) => own.token(id));
  };

  it.each([
    [
      'gpt-2',
      "We'LL it's 1234  x!\n\n\n y",
      ['We', "'", 'LL', ' it', "'s", ' 1234', ' ', ' x', '!', '\n\n\n', ' y'],
    ],
    [
      'llama-bpe',
      "We'LL it's 1234  x!\n\n\n y",
      ['We', "'LL", ' it', "'s", ' ', '123', '4', ' ', ' x', '!\n\n\n', ' y'],
    ],
    [
      'qwen2',
      "We'LL it's 12  x!\n\n\n y",
      ['We', "'LL", ' it', "'s", ' ', '1', '2', ' ', ' x', '!\n\n\n', ' y'],
    ],
    [
      'llada-moe',
      "We'LL it's 12  x\n\n\n y",
      ['We', "'LL", ' it', "'s", ' ', '1', '2', ' ', ' x', '\n\n\n', ' y'],
    ],
  ])('%s cuts words where the original does', (pre, text, expected) => {
    expect(words(pre, text, expected)).toEqual(expected);
  });

  it('qwen2 brings text to normal form C, the others keep it', () => {
    const text = 'e\u0301';
    const qwen = createTokenizer(tokenizerData({ pre: 'qwen2' }));
    expect(qwen.decode(qwen.encode(text))).toBe('\u00e9');
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  it('llama-bpe takes a whole word that is a token, whatever the merges', () => {
    const data = tokenizerData({
      tokens: [...tokenizerData().tokens, 'zq'],
      tokenTypes: undefined,
    });
    const llama = createTokenizer({ ...data, pre: 'llama-bpe', addBos: false });
    const gpt2 = createTokenizer(data);
    expect(Array.from(llama.encode('zq'))).toEqual([512]);
    expect(gpt2.encode('zq')).toHaveLength(2);
  });
});

describe('encode', () => {
  it('agrees with merging by the definition, on random words', () => {
    const { merges, tokens } = tokenizerData();
    const rank = new Map(merges.map((merge, i) => [merge, i]));
    const byDefinition = (word: string): number[] => {
      let parts = [...toPiece(word)];
      for (;;) {
        const ranks = parts.slice(1).map((part, i) => rank.get(`${parts[i]} ${part}`) ?? Infinity);
        const best = Math.min(...ranks);
        if (best === Infinity) return parts.map((part) => tokens.indexOf(part));
        const at = ranks.indexOf(best);
        parts = [...parts.slice(0, at), parts[at] + parts[at + 1], ...parts.slice(at + 2)];
      }
    };
    let state = 12345;
    const random = (n: number) => (state = (state * 1103515245 + 12345) & 0x7fffffff) % n;
    for (let i = 0; i < 2000; i++) {
      const word = Array.from({ length: 1 + random(12) }, () => 'etaonhsrdI'[random(10)]).join('');
      expect(Array.from(tokenizer.encode(word)), word).toEqual(byDefinition(word));
    }
  });

  it('never makes a control token out of plain text', () => {
    const chat = extended(['<|eot_id|>', 'er', '[x]'], ['<think>']);
    const text = '<|endoftext|> <|mask|><|eot_id|>other[x] <|startoftext|>';
    const ids = chat.encode(text);
    const control = new Set(chat.controlTokens.values());
    expect(Array.from(ids).some((id) => control.has(id))).toBe(false);
    expect(chat.decode(ids)).toBe(text);
    expect(chat.encode('<|eot_id|>', { special: true })).toEqual(Int32Array.of(512));
  });

  it('keeps merges and whole words from ending in a control token', () => {
    // "he" is a merged piece of this vocabulary; here the file says that it is a control token.
    const { tokens } = tokenizerData();
    for (const pre of ['gpt-2', 'llama-bpe']) {
      const tokenTypes = tokens.map((piece, id) => (piece === 'he' || id >= 509 ? 3 : 1));
      const odd = createTokenizer(tokenizerData({ pre, tokenTypes, addBos: false }));
      const ids = odd.encode('he the where');
      expect(Array.from(ids)).not.toContain(tokens.indexOf('he'));
      expect(odd.decode(ids)).toBe('he the where');
    }
  });

  it('recognises user-defined tokens always, and the longest special token', () => {
    const chat = extended(['<a>', '<a><b>'], ['<think>']);
    expect(Array.from(chat.encode('<think>'))).toEqual([514]);
    expect(Array.from(chat.encode('<a><b><a>', { special: true }))).toEqual([513, 512]);
  });

  it('puts the begin-of-text token in front where the file or the caller says so', () => {
    expect(Array.from(tokenizer.encode('', { bos: true }))).toEqual([509]);
    const adding = createTokenizer(tokenizerData({ addBos: true }));
    expect(Array.from(adding.encode('H'))).toEqual([509, 72]);
    expect(Array.from(adding.encode('H', { bos: false }))).toEqual([72]);
    expect(createTokenizer(tokenizerData({ pre: 'llama-bpe' })).addBos).toBe(true);
    const without = createTokenizer(tokenizerData({ bos: undefined, addBos: true }));
    expect(Array.from(without.encode('H'))).toEqual([72]);
    expect(() => without.encode('H', { bos: true })).toThrow(/bos must be false/);
  });

  it('survives odd text', () => {
    expect(tokenizer.encode('')).toHaveLength(0);
    expect(tokenizer.decode(tokenizer.encode('a\ud800b\udc00'))).toBe('a\ufffdb\ufffd');
    const bom = '\ufeffa\ufeff\0\u0085';
    expect(tokenizer.decode(tokenizer.encode(bom))).toBe(bom);
    for (const text of [
      'a'.repeat(20_000),
      'theare'.repeat(4000),
      ' '.repeat(50_000) + 'x',
      '\n'.repeat(20_000),
    ]) {
      expect(tokenizer.decode(tokenizer.encode(text)) === text).toBe(true);
    }
    const every = Array.from({ length: 0x3000 }, (_, code) => String.fromCodePoint(code)).join('');
    for (const pre of ['gpt-2', 'llama-bpe', 'llada-moe']) {
      const own = createTokenizer(tokenizerData({ pre }));
      expect(own.decode(own.encode(every)) === every, pre).toBe(true);
    }
  });

  it('refuses wrong arguments', () => {
    expect(() => tokenizer.encode(7 as never)).toThrow('text must be a string');
    expect(() => tokenizer.encode('a', { specials: true } as never)).toThrow(
      'unknown option "specials"; the options are special, bos',
    );
    expect(() => tokenizer.encode('a', { special: 1 as never })).toThrow('special must be true or');
  });
});

describe('decode', () => {
  it('leaves control and unused tokens out unless asked', () => {
    const ids = [72, 510, 105, 511];
    expect(tokenizer.decode(ids)).toBe('Hi');
    expect(tokenizer.decode(ids, { special: true })).toBe('H<|endoftext|>i<|mask|>');
    expect(tokenizer.decode([])).toBe('');
    const padded = createTokenizer({
      ...tokenizerData({ tokens: [...tokenizerData().tokens, '[PAD512]'] }),
      tokenTypes: [...Array.from(tokenizerData().tokenTypes!), 5],
    });
    expect(padded.decode([72, 512])).toBe('H');
    expect(padded.encode('[PAD512]')).not.toContain(512);
  });

  it('streams: pushing tokens one by one equals decoding all', () => {
    const text = 'naïve 日本 👩‍👧 🎉 O Romeo';
    const ids = tokenizer.encode(text);
    const decoder = tokenizer.decoder();
    const parts = Array.from(ids, (id) => decoder.push([id]));
    expect(parts.join('')).toBe(text);
    expect(parts.some((part) => part.includes('\ufffd'))).toBe(false);
    expect(decoder.end()).toBe('');
  });

  it('ends an unfinished character with U+FFFD, once, and starts afresh', () => {
    const euro = tokenizer.encode('€');
    const decoder = tokenizer.decoder();
    expect(decoder.push(euro.subarray(0, 2))).toBe('');
    expect(decoder.end()).toBe('\ufffd');
    expect(decoder.push(euro)).toBe('€');
    expect(tokenizer.decode(euro.subarray(1))).toMatch(/^\ufffd+$/);
  });

  it('takes any array-like and refuses ids outside the vocabulary', () => {
    expect(tokenizer.decode(Uint16Array.of(72, 105))).toBe('Hi');
    for (const id of [-1, 512, 1.5, NaN]) {
      expect(() => tokenizer.decode([72, id])).toThrow(/ids\[1\] must be an integer from 0 to 511/);
    }
  });
});

describe('single tokens', () => {
  it('gives text, bytes and ids', () => {
    const the = tokenizer.id(' the')!;
    expect(tokenizer.token(the)).toBe(' the');
    expect(Array.from(tokenizer.bytes(0xc3))).toEqual([0xc3]);
    expect(tokenizer.token(0xc3)).toBe('\ufffd');
    expect(tokenizer.token(511)).toBe('<|mask|>');
    expect(tokenizer.id('<|mask|>')).toBe(511);
    expect(tokenizer.id('Ġthe')).toBe(undefined);
    expect(tokenizer.id('no such token')).toBe(undefined);
    for (let id = 256; id < 509; id++) expect(tokenizer.id(tokenizer.token(id))).toBe(id);
    expect(() => tokenizer.token(512)).toThrow(/^id must be an integer from 0 to 511/);
  });

  it('knows the special tokens', () => {
    expect(tokenizer).toMatchObject({ vocabularySize: 512, bos: 509, eos: 510, mask: 511 });
    expect(tokenizer.eot).toBe(undefined);
    expect(extended(['<|im_end|>']).eot).toBe(512);
    expect(extended(['<|im_end|>'], [], { eot: 510 }).eot).toBe(510);
    const untyped = createTokenizer(tokenizerData({ tokenTypes: undefined }));
    expect(Array.from(untyped.controlTokens.values())).toEqual([509, 510, 511]);
    const normalMask = createTokenizer(tokenizerData({ tokenTypes: new Int32Array(512).fill(1) }));
    expect(Array.from(normalMask.controlTokens.values())).toEqual([511]);
  });

  it('copes with pieces that are names of object properties', () => {
    const tokens = [...tokenizerData().tokens, '__proto__', 'constructor', '7'];
    const odd = createTokenizer(tokenizerData({ tokens, tokenTypes: undefined, pre: 'llama-bpe' }));
    expect(Array.from(odd.encode('constructor', { bos: false }))).toEqual([513]);
    expect(odd.decode(odd.encode('__proto__ constructor 7'))).toBe('__proto__ constructor 7');
  });
});

describe('createTokenizer refuses', () => {
  const { tokens, merges } = tokenizerData();
  const cases: [string, Partial<TokenizerData>, string, RegExp][] = [
    ['another model', { model: 'llama' }, 'UNSUPPORTED_TOKENIZER', /^a\.gguf: .*"llama".*"gpt2"/],
    [
      'an unknown pre-tokenizer',
      { pre: 'tekken' },
      'UNSUPPORTED_TOKENIZER',
      /"tekken".*gpt-2, llama-bpe.*option `pre`/,
    ],
    [
      'types of the wrong length',
      { tokenTypes: [1] },
      'BAD_GGUF',
      /token_type has 1 entries for 512/,
    ],
    ['a special id outside the vocabulary', { mask: 512 }, 'BAD_GGUF', /the mask token is 512/],
    ['a merge of one piece', { merges: [...merges, 'xx'] }, 'BAD_GGUF', /merges\[253\] is "xx"/],
    ['a merge of three', { merges: ['t h e'] }, 'BAD_GGUF', /merges\[0\] is "t h e"/],
    [
      'a merge into no token',
      { merges: ['q z'] },
      'BAD_GGUF',
      /merges\[0\] is "q z", not two pieces/,
    ],
    ['an empty merge', { merges: [''] }, 'BAD_GGUF', /merges\[0\] is ""/],
  ];
  it.each(cases)('%s', (_, changes, code, message) => {
    const create = () => createTokenizer(tokenizerData({ file: 'a.gguf', ...changes }));
    expect(create).toThrow(message);
    expect(create).toThrow(expect.objectContaining({ name: 'LacunaError', code }));
  });

  it('lists every supported pre-tokenizer', () => {
    const create = () => createTokenizer(tokenizerData({ pre: '' }));
    for (const name of preTokenizerNames) expect(create).toThrow(name);
  });

  it('text that a vocabulary without all bytes cannot express, when it comes', () => {
    const lacking = createTokenizer(
      tokenizerData({
        tokens: tokens.map((piece, id) => (id === 0xc3 ? '' : piece)),
        merges: merges.filter((merge) => !merge.includes('Ã')),
      }),
    );
    expect(lacking.decode(lacking.encode('plain'))).toBe('plain');
    const encode = () => lacking.encode('caf\u00e9 ok');
    expect(encode).toThrow(/cannot express "\u00e9"/);
    expect(encode).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_TOKENIZER' }));
  });
});
