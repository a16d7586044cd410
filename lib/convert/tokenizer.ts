/** The tokenizer of a Hugging Face folder as keys of a GGUF file. */
import { join } from 'node:path';
import { LacunaError } from '../errors.js';
import type { MetadataValue } from '../gguf/writer.js';
import { preTokenizerNames } from '../text/pretokenizers.js';
import type { Family } from './families.js';
import { bad, isObject, readObject, readText, show, type Config, type Json } from './folder.js';
import { readVocabulary, type Vocabulary } from './vocabulary.js';

/** tokenizer.ggml.token_type. */
const tokenType = { normal: 1, control: 3, userDefined: 4, unused: 5 };

const endOfTurnTexts = ['<|eot_id|>', '<|im_end|>', '<|role_end|>'];

export interface TokenizerOptions {
  /** Name of the pre-tokenizer, whatever the folder says. */
  pre?: string;
  maskToken?: number;
}

/**
 * Keys as llama.cpp's converter writes them, so that other tools read them too: one token per row of
 * the embedding, those without a text as unused `[PAD<id>]`. add_bos_token is what the folder says, or
 * else false; llama.cpp writes true for LLaDA, whose own tokenizer adds none (its chat template does).
 *
 * Throws BAD_CHECKPOINT, FILE_ERROR, UNSUPPORTED_TOKENIZER, INVALID_ARGUMENT.
 *
 * @param rows of the embedding
 */
export async function tokenizerKeys(
  folder: string,
  config: Config,
  family: Family,
  rows: number,
  options: TokenizerOptions,
): Promise<Record<string, MetadataValue>> {
  const own = (await readObject(folder, 'tokenizer_config.json')) ?? {};
  const vocabulary = await readVocabulary(folder, own);
  const { texts, types } = listTokens(vocabulary, rows);
  const special = await specialTokens(folder, config, family, own, texts, options.maskToken);
  const ids = Object.entries(special).map(([kind, id]) => [`tokenizer.ggml.${kind}_token_id`, id]);
  return {
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': preName(vocabulary, options.pre),
    'tokenizer.ggml.tokens': { type: 'array', element: 'string', value: texts },
    'tokenizer.ggml.token_type': { type: 'array', element: 'i32', value: types },
    'tokenizer.ggml.merges': { type: 'array', element: 'string', value: vocabulary.merges },
    ...(Object.fromEntries(ids) as Record<string, number>),
    'tokenizer.ggml.add_bos_token': (vocabulary.addsBos ?? false) && special.bos !== undefined,
    ...(await templateKeys(folder, own)),
  };
}

function preName({ path, pre }: Vocabulary, given: string | undefined): string {
  const known = preTokenizerNames.join(', ');
  if (given !== undefined) {
    if (preTokenizerNames.includes(given)) return given;
    throw new LacunaError('INVALID_ARGUMENT', `pre is ${show(given)}, must be one of ${known}`);
  }
  if ('names' in pre) return pre.names[0];
  throw new LacunaError(
    'UNSUPPORTED_TOKENIZER',
    `${path}: ${pre.unknown}; supported are those of ${known}. If the model splits text like one of ` +
      'them, name it with the option `pre`',
  );
}

/** Text and kind of every id. Added tokens come over ordinary ones, as in the original. */
function listTokens({ path, ids, added }: Vocabulary, rows: number) {
  const texts = Array.from({ length: rows }, (_, id) => `[PAD${id}]`);
  const types = new Int32Array(rows).fill(tokenType.unused);
  const check = (text: string, id: number): void => {
    if (id < 0 || id >= rows)
      throw bad(path, `token ${show(text)} has id ${id}, but the embedding has ${rows} rows`);
  };
  for (const [text, id] of ids) {
    check(text, id);
    if (types[id] === tokenType.normal)
      throw bad(path, `tokens ${show(texts[id])} and ${show(text)} both have id ${id}`);
    texts[id] = text;
    types[id] = tokenType.normal;
  }
  for (const { id, content, special } of added) {
    check(content, id);
    texts[id] = content;
    // As in llama.cpp: a name like <|fim_prefix|> is for control, though Qwen does not call it special.
    const isControl = special || /^<\|.*\|>$/s.test(content);
    types[id] = isControl ? tokenType.control : tokenType.userDefined;
  }
  return { texts, types };
}

/** GGUF's word for a special token, and Hugging Face's. */
const kinds = { bos: 'bos', eos: 'eos', padding: 'pad', mask: 'mask' } as const;

type Special = Partial<Record<keyof typeof kinds | 'eot', number>>;

/** By the first of tokenizer_config.json, special_tokens_map.json, config.json, generation_config.json. */
async function specialTokens(
  folder: string,
  config: Config,
  family: Family,
  own: Json,
  texts: readonly string[],
  maskToken: number | undefined,
): Promise<Special> {
  const map = (await readObject(folder, 'special_tokens_map.json')) ?? {};
  const generation = (await readObject(folder, 'generation_config.json')) ?? {};
  const idOf = new Map(texts.map((text, id) => [text, id]));
  const special: Special = {};
  for (const [kind, word] of Object.entries(kinds) as [keyof typeof kinds, string][]) {
    const id =
      byText(join(folder, 'tokenizer_config.json'), `${word}_token`, own, idOf) ??
      byText(join(folder, 'special_tokens_map.json'), `${word}_token`, map, idOf) ??
      byId(config.path, `${word}_token_id`, config.values, texts.length) ??
      byId(join(folder, 'generation_config.json'), `${word}_token_id`, generation, texts.length);
    if (id !== undefined) special[kind] = id;
  }
  const mask = maskOf(config.path, family, special, idOf, texts.length, maskToken);
  if (mask === undefined) delete special.mask;
  else special.mask = mask;
  const eot = endOfTurnTexts.map((text) => idOf.get(text)).find((id) => id !== undefined);
  if (eot !== undefined) special.eot = eot;
  return special;
}

function byText(
  path: string,
  key: string,
  json: Json,
  ids: ReadonlyMap<string, number>,
): number | undefined {
  const value = isObject(json[key]) ? json[key].content : json[key];
  if (value === undefined || value === null || value === '') return undefined;
  const id = typeof value === 'string' ? ids.get(value) : undefined;
  if (id !== undefined) return id;
  throw bad(path, `${key} is ${show(value)}, must be the text of a token`);
}

/** Of a list the first. */
function byId(path: string, key: string, json: Json, rows: number): number | undefined {
  const value: unknown = Array.isArray(json[key]) ? json[key][0] : json[key];
  if (value === undefined || value === null) return undefined;
  if (Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < rows)
    return value as number;
  throw bad(path, `${key} is ${show(value)}, must be a token id below ${rows}`);
}

function maskOf(
  path: string,
  { mask, architecture }: Family,
  found: Special,
  ids: ReadonlyMap<string, number>,
  rows: number,
  given: number | undefined,
): number | undefined {
  if (given !== undefined) {
    if (given < rows) return given;
    throw new LacunaError('INVALID_ARGUMENT', `maskToken is ${given}, must be below ${rows}`);
  }
  // Configurations of LLaDA-MoE name the end token here, which cannot be meant.
  if (found.mask !== undefined && found.mask !== found.eos) return found.mask;
  if (!mask) return undefined;
  const id = mask.texts.map((text) => ids.get(text)).find((at) => at !== undefined) ?? mask.id;
  if (id < rows) return id;
  throw bad(
    path,
    `no mask token: no mask_token_id, and no token ${mask.texts.join(' or ')}, which a ` +
      `${architecture} model must have; name it with the option maskToken`,
  );
}

/**
 * The chat template, from a file of its own or from tokenizer_config.json; of several named ones,
 * `default` and the others under their names.
 */
async function templateKeys(folder: string, own: Json): Promise<Record<string, MetadataValue>> {
  const key = 'tokenizer.chat_template';
  const file = await readText(folder, 'chat_template.jinja');
  if (file !== undefined) return { [key]: file };
  const value =
    own.chat_template ?? (await readObject(folder, 'chat_template.json'))?.chat_template;
  if (value === undefined || value === null) return {};
  if (typeof value === 'string') return { [key]: value };
  const isNamed = (item: unknown): item is { name: string; template: string } =>
    isObject(item) && typeof item.name === 'string' && typeof item.template === 'string';
  if (!Array.isArray(value) || !value.every(isNamed))
    throw bad(
      join(folder, 'tokenizer_config.json'),
      `chat_template is ${show(value)}, must be a template or a list of { name, template }`,
    );
  const others = value.filter(({ name }) => name !== 'default');
  const main = value.find(({ name }) => name === 'default');
  return {
    ...(main && { [key]: main.template }),
    ...Object.fromEntries(others.map(({ name, template }) => [`${key}.${name}`, template])),
    ...(others.length > 0 && { [`${key}s`]: others.map(({ name }) => name) }),
  };
}
