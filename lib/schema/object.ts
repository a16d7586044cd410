/** Typed output: a value that fits a schema, from any model. */
import { Validator } from '@cfworker/json-schema';
import { LacunaError } from '../errors.js';
import type { GenerationModel } from '../plan.js';
import { isChat, maskOf, promptIds, type PlainPrompt } from '../prompt.js';
import type { ChatMessage } from '../text/template.js';
import { abortSignal, boolean, integer, invalid, knownKeys } from '../validate.js';
import { compile } from './compile.js';
import { Desk } from './desk.js';
import type { JsonSchema, ObjectOptions, ObjectResult, StandardSchema } from './types.js';
import { writeJson } from './writing.js';

const generateKeys = [
  ...(['decode', 'blocks', 'cache', 'temperature', 'topK', 'topP'] as const),
  ...(['seed', 'signal', 'deadline', 'bos', 'special', 'chat'] as const),
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
  model: GenerationModel,
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
  const { decode, blocks, cache, temperature, topK, topP, seed, signal, deadline } = options;
  abortSignal('deadline', deadline);
  const sampling = { temperature, topK, topP, seed };
  const desk = new Desk(model, ids, { sampling, signal, deadline });
  try {
    const blanks = { decode, blocks, cache, signal, deadline, ...sampling };
    const { maxStringTokens } = limits;
    const { text, choices } = await writeJson(desk, node, { maxStringTokens, blanks });
    const value = await checked(schema, plain, JSON.parse(text));
    return { value, text, forwards: desk.forwards, choices };
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

/** The schema in the words of the last message. */
export function instructed(
  prompt: readonly ChatMessage[],
  schema: JsonSchema,
): readonly ChatMessage[] {
  const last = prompt[prompt.length - 1];
  const content = `${last.content}\n\nAnswer with JSON that fits this schema:\n${JSON.stringify(schema)}`;
  return [...prompt.slice(0, -1), { ...last, content }];
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
