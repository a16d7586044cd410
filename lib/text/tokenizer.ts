/**
 * Text to token ids and back, from the vocabulary that a GGUF file carries. Byte-level BPE; the
 * merging is done by @huggingface/tokenizers. Special tokens, decoding and streaming are ours.
 */
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { LacunaError, type LacunaErrorCode } from '../errors.js';
import { boolean, integer, invalid, knownKeys, string, tokenIds } from '../validate.js';
import { byteChar, pieceBytes, toPiece } from './bytes.js';
import { preTokenizerNames, preTokenizers, type PreTokenizer } from './pretokenizers.js';

/** What a GGUF file says about its tokenizer (`tokenizer.ggml.*`). */
export interface TokenizerData {
  /** `tokenizer.ggml.model`; only `'gpt2'`, byte-level BPE, is supported. */
  model: string;
  /** `tokenizer.ggml.pre`, or the load option `pre`: how text is cut into words. */
  pre: string;
  /** (vocabulary) pieces in the byte-level alphabet; special tokens are plain text. */
  tokens: readonly string[];
  /** (vocabulary) `tokenizer.ggml.token_type`. Without it bos, eos and eot are control tokens. */
  tokenTypes?: ArrayLike<number>;
  /** `'left right'`, most frequent first. */
  merges: readonly string[];
  bos?: number;
  eos?: number;
  /** End of turn. Default: the token that is `<|eot_id|>`, `<|im_end|>` or `<|role_end|>`. */
  eot?: number;
  /** The mask is always a control token. */
  mask?: number;
  pad?: number;
  /** `tokenizer.ggml.add_bos_token`. Default: by pre-tokenizer. */
  addBos?: boolean;
  chatTemplate?: string;
  /** The file's name, for messages. */
  file?: string;
}

export interface EncodeOptions {
  /** Text of control tokens (`'<|eot_id|>'`) gives these tokens. Default false: it is plain text. */
  special?: boolean;
  /** Put the begin-of-text token in front. Default: as the file says. */
  bos?: boolean;
}

export interface DecodeOptions {
  /** Show the text of control and unused tokens. Default false: they are left out. */
  special?: boolean;
}

/** Decodes tokens as they come; the bytes of a character may be spread over several tokens. */
export interface StreamDecoder {
  /** @returns the text that is complete now; an unfinished character is kept for later */
  push(ids: ArrayLike<number>): string;
  /** @returns U+FFFD if a character was left unfinished, else `''`; the decoder starts afresh */
  end(): string;
}

/** What is used of the library. Its own declarations do not resolve in NodeNext projects. */
interface Bpe {
  /** `undefined`: a byte that has no token; see `createBpe` */
  encode(text: string, options: { add_special_tokens: false }): { ids: (number | undefined)[] };
}
const BpeTokenizer = HuggingFaceTokenizer as unknown as new (json: object, config: object) => Bpe;

// Values of tokenizer.ggml.token_type.
const tokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5 };
const hiddenTypes = [tokenType.unknown, tokenType.control, tokenType.unused];
const endOfTurnTexts = ['<|eot_id|>', '<|im_end|>', '<|role_end|>'];

/** Made by `createTokenizer`. */
export class Tokenizer {
  readonly vocabularySize: number;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly eot: number | undefined;
  readonly mask: number | undefined;
  readonly pad: number | undefined;
  readonly addBos: boolean;
  readonly chatTemplate: string | undefined;
  /** Text of every control token, and its id. */
  readonly controlTokens: ReadonlyMap<string, number>;

  readonly #tokens: readonly string[]; // (vocabulary)
  readonly #types: Uint8Array; // (vocabulary) tokenType
  readonly #ids: ReadonlyMap<string, number>; // piece -> id
  readonly #bpe: Bpe;
  readonly #userPattern: RegExp | undefined;
  readonly #controlPattern: RegExp | undefined;
  readonly #specialPattern: RegExp | undefined; // user-defined or control

  /** @internal */
  constructor(data: TokenizerData) {
    const rule = checkedRule(data);
    const types = checkedTypes(data);
    const ids = new Map<string, number>();
    data.tokens.forEach((piece, id) => {
      if (piece !== '' && !ids.has(piece)) ids.set(piece, id);
    });

    this.vocabularySize = data.tokens.length;
    this.#tokens = data.tokens;
    this.#types = types;
    this.#ids = ids;
    const ofType = (type: number) =>
      data.tokens.filter((piece, id) => types[id] === type && ids.get(piece) === id);
    this.controlTokens = new Map(ofType(tokenType.control).map((text) => [text, ids.get(text)!]));
    const userTexts = ofType(tokenType.userDefined);
    this.#userPattern = anyOf(userTexts);
    this.#controlPattern = anyOf([...this.controlTokens.keys()]);
    this.#specialPattern = anyOf([...userTexts, ...this.controlTokens.keys()]);
    this.#bpe = createBpe(data, rule, types, ids);

    const eotText = endOfTurnTexts.find((text) => this.controlTokens.has(text));
    this.bos = data.bos;
    this.eos = data.eos;
    this.eot = data.eot ?? (eotText === undefined ? undefined : this.controlTokens.get(eotText));
    this.mask = data.mask;
    this.pad = data.pad;
    this.addBos = (data.addBos ?? rule.addBos) && data.bos !== undefined;
    this.chatTemplate = data.chatTemplate;
  }

  /**
   * Text to token ids. Without `special` the result never holds a control token, whatever the text
   * says (save the leading begin-of-text token). User-defined tokens (`<think>`) are ordinary
   * vocabulary and always recognised, as in the original tokenizers. Lone surrogates are encoded as
   * U+FFFD; Qwen's tokenizers bring text to Unicode normal form C.
   */
  encode(text: string, options: EncodeOptions = {}): Int32Array {
    string('text', text);
    knownKeys('encode options', options, ['special', 'bos']);
    const special = boolean('special', options.special ?? false);
    const ids: number[] = [];
    if (boolean('bos', options.bos ?? this.addBos)) {
      if (this.bos === undefined) invalid('bos', true, 'false: this model has no such token');
      ids.push(this.bos);
    }

    const pattern = special ? this.#specialPattern : this.#userPattern;
    for (const part of this.#split(text, pattern)) {
      if (typeof part === 'number') ids.push(part);
      else this.#appendPlain(ids, part);
    }
    return Int32Array.from(ids);
  }

  /** @internal Text with the ids of the control tokens in it. */
  splitAtControlTokens(text: string): (string | number)[] {
    return this.#split(text, this.#controlPattern);
  }

  #split(text: string, pattern: RegExp | undefined): (string | number)[] {
    if (pattern === undefined) return [text];
    const parts: (string | number)[] = [];
    let from = 0;
    for (const match of text.matchAll(pattern)) {
      parts.push(text.slice(from, match.index), this.#ids.get(match[0])!);
      from = match.index + match[0].length;
    }
    parts.push(text.slice(from));
    return parts;
  }

  #appendPlain(ids: number[], text: string): void {
    if (text === '') return;
    for (const id of this.#bpe.encode(text, { add_special_tokens: false }).ids) {
      if (id === undefined) throw this.#missingByte(text);
      ids.push(id);
    }
  }

  #missingByte(text: string): LacunaError {
    const missing = (byte: number) => !this.#ids.has(byteChar(byte));
    const char = [...text].find((c) => new TextEncoder().encode(c).some(missing)) ?? text;
    return new LacunaError(
      'UNSUPPORTED_TOKENIZER',
      `the vocabulary cannot express ${JSON.stringify(char)}: ` +
        'it has no token for one of its bytes; a byte-level BPE vocabulary has all 256',
    );
  }

  /** Token ids to text. Incomplete UTF-8 becomes U+FFFD. */
  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    const decoder = this.decoder(options);
    return decoder.push(ids) + decoder.end();
  }

  /** For text that arrives in pieces: the concatenated results equal `decode` of all ids. */
  decoder(options: DecodeOptions = {}): StreamDecoder {
    knownKeys('decode options', options, ['special']);
    const special = boolean('special', options.special ?? false);
    // ignoreBOM: U+FEFF at the start is text of the model like any other
    const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
    return {
      push: (ids) => {
        const bytes: number[] = [];
        for (const id of tokenIds('ids', ids, this.vocabularySize)) {
          if (!special && hiddenTypes.includes(this.#types[id])) continue;
          for (const byte of this.#bytes(id)) bytes.push(byte);
        }
        return utf8.decode(Uint8Array.from(bytes), { stream: true });
      },
      end: () => utf8.decode(),
    };
  }

  /** The text of one token, for display: part of a character shows as U+FFFD. */
  token(id: number): string {
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(this.bytes(id));
  }

  /** The bytes that one token stands for; those of its name for a control token. */
  bytes(id: number): Uint8Array {
    return this.#bytes(integer('id', id, { min: 0, max: this.vocabularySize - 1 }));
  }

  #bytes(id: number): Uint8Array {
    const plainText = this.#types[id] !== tokenType.normal;
    return plainText ? new TextEncoder().encode(this.#tokens[id]) : pieceBytes(this.#tokens[id]);
  }

  /** The id of the token with exactly this text, ordinary (`' the'`) or special (`'<|eot_id|>'`). */
  id(text: string): number | undefined {
    string('text', text);
    const named = this.#ids.get(text);
    if (named !== undefined && this.#types[named] !== tokenType.normal) return named;
    const id = this.#ids.get(toPiece(text));
    return id !== undefined && this.#types[id] === tokenType.normal ? id : undefined;
  }
}

/**
 * A tokenizer from the metadata of a GGUF file.
 *
 * Errors: `UNSUPPORTED_TOKENIZER` for another tokenizer model or an unknown pre-tokenizer,
 * `BAD_GGUF` for a vocabulary that contradicts itself.
 */
export function createTokenizer(data: TokenizerData): Tokenizer {
  return new Tokenizer(data);
}

function fail(data: TokenizerData, code: LacunaErrorCode, message: string): never {
  throw new LacunaError(code, data.file === undefined ? message : `${data.file}: ${message}`);
}

function checkedRule(data: TokenizerData): PreTokenizer {
  if (data.model !== 'gpt2') {
    const message = `tokenizer.ggml.model is "${data.model}"; supported is "gpt2", byte-level BPE`;
    fail(data, 'UNSUPPORTED_TOKENIZER', message);
  }
  const rule = preTokenizers.find(({ names }) => names.includes(data.pre));
  if (rule !== undefined) return rule;
  return fail(
    data,
    'UNSUPPORTED_TOKENIZER',
    `pre-tokenizer "${data.pre}" (tokenizer.ggml.pre) is not supported; supported are ` +
      `${preTokenizerNames.join(', ')}. If the model splits text like one of them, ` +
      'name it with the option `pre`',
  );
}

function checkedTypes(data: TokenizerData): Uint8Array {
  const { tokens, tokenTypes, bos, eos, eot, mask, pad } = data;
  if (tokenTypes !== undefined && tokenTypes.length !== tokens.length) {
    const counts = `${tokenTypes.length} entries for ${tokens.length} tokens`;
    fail(data, 'BAD_GGUF', `tokenizer.ggml.token_type has ${counts}`);
  }
  for (const [name, id] of Object.entries({ bos, eos, eot, mask, pad })) {
    if (id === undefined || (Number.isInteger(id) && id >= 0 && id < tokens.length)) continue;
    fail(data, 'BAD_GGUF', `the ${name} token is ${id}, outside 0 to ${tokens.length - 1}`);
  }
  const types = Uint8Array.from(tokens, (_, id) => {
    const type = tokenTypes?.[id] ?? tokenType.normal;
    return type >= tokenType.unknown && type <= tokenType.unused ? type : tokenType.normal;
  });
  for (const id of tokenTypes === undefined ? [bos, eos, eot, mask] : [mask]) {
    if (id !== undefined) types[id] = tokenType.control;
  }
  return types;
}

function createBpe(
  data: TokenizerData,
  rule: PreTokenizer,
  types: Uint8Array,
  ids: ReadonlyMap<string, number>,
): Bpe {
  // Control tokens are not in this vocabulary, so that no merge can end in one.
  const ordinary = (id: number) =>
    types[id] === tokenType.normal || types[id] === tokenType.userDefined;
  // No prototype: '__proto__' is a possible piece.
  const vocab = Object.create(null) as Record<string, number>;
  data.tokens.forEach((piece, id) => {
    if (ordinary(id) && ids.get(piece) === id) vocab[piece] = id;
  });
  const idOf = (piece: string) => ids.get(piece) ?? -1;
  const merges: [string, string][] = [];
  data.merges.forEach((merge, i) => {
    const space = merge.indexOf(' ');
    const left = merge.slice(0, Math.max(space, 0));
    const right = merge.slice(space + 1);
    const [a, b, joined] = [idOf(left), idOf(right), idOf(left + right)];
    if (a < 0 || b < 0 || joined < 0 || right.includes(' ')) {
      const wanted = 'two pieces that are tokens, alone and joined, with a space between';
      fail(
        data,
        'BAD_GGUF',
        `tokenizer.ggml.merges[${i}] is ${JSON.stringify(merge)}, not ${wanted}`,
      );
    }
    if (ordinary(a) && ordinary(b) && ordinary(joined)) merges.push([left, right]);
  });

  const split = { type: 'Split', pattern: { Regex: rule.pattern }, behavior: 'Isolated' };
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, use_regex: false };
  return new BpeTokenizer(
    {
      normalizer: rule.nfc ? { type: 'NFC' } : null,
      pre_tokenizer: { type: 'Sequence', pretokenizers: [split, byteLevel] },
      // The library drops a symbol that is no token, unless there is an unknown token. This one has
      // no id either (no piece is empty), so such a symbol gives `undefined`, which encode() finds.
      model: { type: 'BPE', vocab, merges, unk_token: '', ignore_merges: rule.wholeWords },
      post_processor: null,
      decoder: null,
      added_tokens: [],
    },
    {},
  );
}

/** Matches any of these texts, the longest where several fit. */
function anyOf(texts: string[]): RegExp | undefined {
  if (texts.length === 0) return undefined;
  const longestFirst = [...texts].sort((a, b) => b.length - a.length);
  const quoted = longestFirst.map((text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'));
  return new RegExp(quoted.join('|'), 'g');
}
