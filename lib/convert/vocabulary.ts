/**
 * The vocabulary of a Hugging Face folder: tokenizer.json, or the vocab.json and merges.txt of the older
 * tokenizers (Dream has only those). Byte-level BPE; what else a tokenizer.json can say is refused.
 */
import { join } from 'node:path';
import { LacunaError } from '../errors.js';
import { preTokenizers, type PreTokenizer } from '../text/pretokenizers.js';
import { bad, isObject, parseObject, readObject, readText, show, type Json } from './folder.js';

export interface AddedToken {
  id: number;
  content: string;
  /** A control token, not part of any text. */
  special: boolean;
}

export interface Vocabulary {
  /** For messages. */
  path: string;
  ids: ReadonlyMap<string, number>;
  /** `'left right'`, most frequent first. */
  merges: readonly string[];
  added: readonly AddedToken[];
  /** Undefined: none of those that GGUF has a name for, for this reason. */
  pre: PreTokenizer | { unknown: string };
  /** Texts begin with the begin-of-text token; undefined: not said. */
  addsBos?: boolean;
}

/** Throws BAD_CHECKPOINT, FILE_ERROR, UNSUPPORTED_TOKENIZER. */
export async function readVocabulary(folder: string, config: Json): Promise<Vocabulary> {
  const modern = await readObject(folder, 'tokenizer.json');
  if (modern) return fromTokenizerJson(join(folder, 'tokenizer.json'), modern, config);
  const vocab = await readObject(folder, 'vocab.json');
  const merges = await readText(folder, 'merges.txt');
  if (vocab && merges !== undefined) return fromVocabJson(folder, vocab, merges, config);
  throw bad(folder, 'has neither tokenizer.json nor both vocab.json and merges.txt');
}

function refuse(path: string, what: string): LacunaError {
  return new LacunaError('UNSUPPORTED_TOKENIZER', `${path}: ${what}`);
}

function fromTokenizerJson(path: string, json: Json, config: Json): Vocabulary {
  const { model } = json;
  if (!isObject(model)) throw bad(path, 'model must be an object');
  if (model.type !== 'BPE' || model.byte_fallback === true)
    throw refuse(
      path,
      `model is ${show(model.type)}${model.byte_fallback === true ? ' with byte_fallback' : ''}; ` +
        'supported is byte-level BPE',
    );
  for (const key of ['continuing_subword_prefix', 'end_of_word_suffix'])
    if (model[key]) throw refuse(path, `model.${key} is ${show(model[key])}, must be empty`);
  if (!Array.isArray(model.merges)) throw bad(path, 'model.merges must be an array');
  return {
    path,
    ids: readIds(path, 'model.vocab', model.vocab),
    merges: model.merges.map((merge: unknown, i) =>
      readMerge(`${path}: model.merges[${i}]`, merge),
    ),
    added: readAdded(path, json.added_tokens ?? []),
    pre: preOf(json, model.ignore_merges === true),
    addsBos: addsBos(json.post_processor, config),
  };
}

function readIds(path: string, name: string, value: unknown): Map<string, number> {
  if (!isObject(value)) throw bad(path, `${name} must be an object: token → id`);
  const ids = new Map<string, number>();
  for (const [token, id] of Object.entries(value)) {
    if (!Number.isSafeInteger(id) || (id as number) < 0)
      throw bad(path, `${name}: ${show(token)} is ${show(id)}, must be a token id`);
    ids.set(token, id as number);
  }
  return ids;
}

/** `"a b"`, or since tokenizers 0.20 `["a", "b"]`. */
function readMerge(what: string, merge: unknown): string {
  const parts: unknown = typeof merge === 'string' ? merge.split(' ') : merge;
  const isPiece = (part: unknown) => typeof part === 'string' && part !== '' && !part.includes(' ');
  if (Array.isArray(parts) && parts.length === 2 && parts.every(isPiece)) return parts.join(' ');
  throw bad(what, `is ${show(merge)}, must be two pieces without spaces`);
}

function readAdded(path: string, value: unknown): AddedToken[] {
  if (!Array.isArray(value)) throw bad(path, 'added_tokens must be an array');
  return value.map((token: unknown) => {
    if (!isObject(token) || typeof token.content !== 'string' || !Number.isSafeInteger(token.id))
      throw bad(path, `added_tokens has ${show(token)}, must be { id, content, special, … }`);
    const added = {
      id: token.id as number,
      content: token.content,
      special: token.special === true,
    };
    const changesText = (['lstrip', 'rstrip', 'single_word'] as const).find((key) => token[key]);
    // Special tokens come from templates, which have no blanks around them to be taken in.
    if (!added.special && changesText)
      throw refuse(path, `${show(added.content)} has ${changesText}, which GGUF cannot say`);
    return added;
  });
}

/** The pre-tokenizer by its structure, as far as a GGUF name stands for exactly that. */
function preOf(json: Json, wholeWords: boolean): Vocabulary['pre'] {
  const nfc = isNfc(json.normalizer);
  if (nfc === undefined) return { unknown: `normalizer is ${show(json.normalizer)}` };
  const pattern = splitPattern(json.pre_tokenizer);
  if (pattern === undefined) return { unknown: `pre_tokenizer is ${show(json.pre_tokenizer)}` };
  const alike = preTokenizers.find((rule) => rule.pattern === pattern);
  if (!alike) return { unknown: `pre_tokenizer splits by ${show(pattern)}` };
  if (alike.nfc !== nfc)
    return {
      unknown: `the normalizer is ${nfc ? 'NFC' : 'none'}, unlike that of ${alike.names[0]}`,
    };
  if (alike.wholeWords !== wholeWords)
    return { unknown: `ignore_merges is ${wholeWords}, unlike that of ${alike.names[0]}` };
  return alike;
}

/** Undefined: neither nothing nor form C. */
function isNfc(normalizer: unknown): boolean | undefined {
  if (normalizer === null || normalizer === undefined) return false;
  if (!isObject(normalizer)) return undefined;
  if (normalizer.type === 'NFC') return true;
  const parts = normalizer.type === 'Sequence' ? normalizer.normalizers : undefined;
  if (!Array.isArray(parts) || parts.length > 1) return undefined;
  return isNfc(parts[0]);
}

/** ByteLevel alone splits by GPT-2's pattern; otherwise a Split before it does. */
function splitPattern(value: unknown): string | undefined {
  if (!isObject(value)) return undefined;
  const parts: unknown[] =
    value.type === 'Sequence' && Array.isArray(value.pretokenizers) ? value.pretokenizers : [value];
  const level = parts[parts.length - 1];
  if (!isObject(level) || level.type !== 'ByteLevel' || level.add_prefix_space !== false)
    return undefined;
  if (parts.length === 1)
    return level.use_regex === false
      ? undefined
      : preTokenizers.find(({ names }) => names.includes('gpt-2'))?.pattern;
  const split = parts[0];
  const isSplit =
    parts.length === 2 &&
    level.use_regex === false &&
    isObject(split) &&
    split.type === 'Split' &&
    split.behavior === 'Isolated' &&
    split.invert !== true &&
    isObject(split.pattern);
  const regex = isSplit ? (split.pattern as Json).Regex : undefined;
  return typeof regex === 'string' ? regex : undefined;
}

/**
 * What tokenizer_config.json says, else whether the template of the post-processor begins with a
 * special token.
 */
function addsBos(processor: unknown, config: Json): boolean | undefined {
  if (typeof config.add_bos_token === 'boolean') return config.add_bos_token;
  if (!isObject(processor)) return undefined;
  const all: unknown[] = Array.isArray(processor.processors) ? processor.processors : [processor];
  const template = all.find((item) => isObject(item) && item.type === 'TemplateProcessing') as
    { single?: unknown } | undefined;
  const first: unknown = Array.isArray(template?.single) ? template.single[0] : undefined;
  return isObject(first) && isObject(first.SpecialToken) ? true : undefined;
}

/** Classes of the older tokenizers, whose rules are code: the name of the rule in GGUF. */
const preByClass: Record<string, string> = {
  DreamTokenizer: 'qwen2',
  Qwen2Tokenizer: 'qwen2',
  Qwen2TokenizerFast: 'qwen2',
  GPT2Tokenizer: 'gpt-2',
  GPT2TokenizerFast: 'gpt-2',
};

async function fromVocabJson(
  folder: string,
  vocab: Json,
  merges: string,
  config: Json,
): Promise<Vocabulary> {
  const path = join(folder, 'vocab.json');
  const name = String(config.tokenizer_class);
  const pre = preTokenizers.find(({ names }) => names.includes(preByClass[name]));
  const lines = merges.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#version'));
  return {
    path,
    ids: readIds(path, 'the file', vocab),
    merges: lines.map((line) => readMerge(join(folder, 'merges.txt'), line)),
    added: await olderAdded(folder, config),
    pre: pre ?? { unknown: `tokenizer_class is ${show(config.tokenizer_class)}` },
    addsBos: addsBos(undefined, config),
  };
}

/** From tokenizer_config.json, else added_tokens.json. */
async function olderAdded(folder: string, config: Json): Promise<AddedToken[]> {
  const path = join(folder, 'tokenizer_config.json');
  if (isObject(config.added_tokens_decoder))
    return readAdded(
      path,
      Object.entries(config.added_tokens_decoder).map(([id, token]) => ({
        ...(isObject(token) ? token : {}),
        id: Number(id),
      })),
    );
  const text = await readText(folder, 'added_tokens.json');
  if (text === undefined) return [];
  const ids = readIds('added_tokens.json', 'the file', parseObject('added_tokens.json', text));
  return [...ids].map(([content, id]) => ({ id, content, special: true }));
}
