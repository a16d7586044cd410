/** Typed output: a value that fits a schema, from any model. */
import { Validator } from '@cfworker/json-schema';
import { LacunaError } from '../errors.js';
import type { Model } from '../model.js';
import { isChat, maskOf, promptIds, type PlainPrompt } from '../prompt.js';
import { hole } from '../template/hole.js';
import type { Segment } from '../template/types.js';
import { boolean, integer, invalid, knownKeys } from '../validate.js';
import { compile } from './compile.js';
import { Desk } from './desk.js';
import { mustEscape } from './strings.js';
import { TokenTexts } from './token-texts.js';
import type { JsonSchema, ObjectOptions, ObjectResult, StandardSchema } from './types.js';
import { Writer, type FillBlanks } from './write.js';

const generateKeys = [
  ...(['decode', 'blocks', 'cache', 'temperature', 'topK', 'topP'] as const),
  ...(['seed', 'signal', 'bos', 'special', 'chat'] as const),
] as const;
const ownKeys = ['maxStringTokens', 'maxItems', 'depth', 'instruct'] as const;

/**
 * A value that fits the schema. Braces, keys and punctuation are written as they are; enums, booleans,
 * branches, optional keys and the ends of arrays are decided by what the model finds more probable;
 * numbers and strings with a pattern grow token by token within their rules; all other strings are
 * holes of a template, those between two decisions filled at once.
 *
 * Throws `INVALID_ARGUMENT` for a schema with a keyword that is not supported, naming it and its path.
 */
export async function object(
  model: Model,
  schema: JsonSchema | StandardSchema,
  prompt: PlainPrompt,
  options: ObjectOptions = {},
): Promise<ObjectResult<unknown>> {
  knownKeys('object options', options, [...generateKeys, ...ownKeys]);
  const plain = jsonSchemaOf(schema);
  const limits = {
    maxStringTokens: integer('maxStringTokens', options.maxStringTokens ?? 32, { min: 1 }),
    maxItems: integer('maxItems', options.maxItems ?? 8, { min: 0 }),
    depth: integer('depth', options.depth ?? 3, { min: 0 }),
  };
  const node = compile(plain, limits);
  maskOf(model);
  const instruct = boolean('instruct', options.instruct ?? true);
  const asked = instruct && isChat(prompt) ? instructed(prompt, plain) : prompt;
  const ids = promptIds(model, asked, options);
  const { temperature, topK, topP, seed, signal } = options;
  const desk = new Desk(model, ids, { sampling: { temperature, topK, topP, seed }, signal });
  try {
    const texts = await TokenTexts.for(model.tokenizer);
    const fill = filler(desk, ids, texts, limits.maxStringTokens, options);
    const writer = new Writer(desk, texts, fill);
    const text = await writer.write(node);
    const value = await checked(schema, plain, JSON.parse(text));
    const { forwards } = desk;
    return { value, text, forwards, choices: writer.choices };
  } finally {
    desk.dispose();
  }
}

function isStandard(schema: unknown): schema is StandardSchema {
  const given = typeof schema === 'object' || typeof schema === 'function';
  return given && schema !== null && '~standard' in schema;
}

function jsonSchemaOf(schema: unknown): JsonSchema {
  if (!isStandard(schema)) {
    const right = 'a JSON Schema or a Standard Schema';
    const given = typeof schema === 'boolean' || (typeof schema === 'object' && schema !== null);
    return given ? (schema as JsonSchema) : invalid('schema', schema, right);
  }
  const { jsonSchema } = schema['~standard'];
  if (jsonSchema === undefined) {
    throw new LacunaError(
      'INVALID_ARGUMENT',
      'schema: this Standard Schema cannot be exported as a JSON Schema; give the JSON Schema itself',
    );
  }
  return jsonSchema.input({ target: 'draft-2020-12' });
}

function instructed(prompt: Extract<PlainPrompt, readonly object[]>, schema: JsonSchema) {
  const last = prompt[prompt.length - 1];
  const content = `${last.content}\n\nAnswer with JSON that fits this schema:\n${JSON.stringify(schema)}`;
  return [...prompt.slice(0, -1), { ...last, content }];
}

/** Strings without a pattern are holes that end at their quote. */
function filler(
  desk: Desk,
  prompt: Int32Array,
  texts: TokenTexts,
  maxStringTokens: number,
  options: ObjectOptions,
): FillBlanks {
  const allow = texts.filter((text) => !mustEscape.test(text) || text.startsWith('"'));
  const given = Object.fromEntries(
    (['decode', 'blocks', 'cache', 'temperature', 'topK', 'topP', 'seed', 'signal'] as const)
      .filter((key) => options[key] !== undefined)
      .map((key) => [key, options[key]]),
  );
  return async (parts) => {
    const segments = parts.map((part): Segment => {
      if (typeof part === 'string') return part;
      const max = Math.max(1, Math.min(part.max, Math.max(maxStringTokens, part.min)));
      return hole({ min: Math.min(part.min, 1), max, stop: '"', allow });
    });
    const { result } = desk.model.generate({ prompt, segments, end: false }, given);
    const { holes, forwards } = await result;
    desk.count(forwards);
    return holes.map(({ text }) => text);
  };
}

/** What the plan promises, and then what the schema checks beyond its JSON Schema. */
async function checked(schema: unknown, plain: JsonSchema, value: unknown): Promise<unknown> {
  const { valid, errors } = new Validator(plain, '2020-12').validate(value);
  if (!valid) {
    const { error, instanceLocation } = errors[errors.length - 1];
    throw new LacunaError(
      'INTERNAL',
      `object: the value does not fit at ${instanceLocation}: ${error}`,
    );
  }
  if (!isStandard(schema)) return value;
  const result = await schema['~standard'].validate(value);
  if (result.issues === undefined) return result.value;
  throw new LacunaError(
    'INVALID_ARGUMENT',
    `schema: the value fits its JSON Schema, but not the schema itself: ${result.issues[0].message}; ` +
      'a rule that the JSON Schema does not state cannot be kept',
  );
}
