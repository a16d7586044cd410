/** `response_format`: which JSON an answer is to be. */
import { compile } from '../schema/compile.js';
import { anyObject } from '../schema/free.js';
import type { JsonSchema, Node } from '../schema/types.js';
import { object, oneOf, string } from '../validate.js';
import { LacunaError } from '../errors.js';
import { HttpError } from './errors.js';
import type { Limits } from './limits.js';

/** Most tokens of a string, and items of an array, where the schema has no bounds of its own. */
export const schemaDefaults = { maxStringTokens: 32, maxItems: 8, depth: 3 };

export interface JsonFormat {
  node: Node;
  /** What the model is told; undefined for any object. */
  schema: JsonSchema | undefined;
}

/**
 * OpenAI's `json_schema` and `json_object`, the latter also with llama.cpp's `schema`.
 * @returns undefined: text
 */
export function formatOf(value: unknown, limits: Limits): JsonFormat | undefined {
  if (value === undefined || value === null) return undefined;
  const format = object('response_format', value);
  const types = ['text', 'json_object', 'json_schema'] as const;
  const type = oneOf('response_format.type', format.type, types);
  if (type === 'text') return undefined;
  if (type === 'json_object' && (format.schema === undefined || format.schema === null)) {
    return { node: anyObject(schemaDefaults), schema: undefined };
  }
  const [name, schema] =
    type === 'json_object'
      ? ['response_format.schema', format.schema]
      : ['response_format.json_schema.schema', namedSchema(format.json_schema)];
  return { node: planOf(name, schema, limits), schema: schema as JsonSchema };
}

function namedSchema(value: unknown): unknown {
  const { name, schema } = object('response_format.json_schema', value);
  string('response_format.json_schema.name', name);
  return schema;
}

/** A schema of a client, within limits. @param name of the field, for messages */
export function planOf(name: string, schema: unknown, limits: Limits): Node {
  const given = object(name, schema ?? null);
  const bytes = Buffer.byteLength(JSON.stringify(given));
  const refuse = (message: string): never => {
    throw new HttpError(400, `${name}: ${message}`, { code: 'invalid_schema', param: name });
  };
  if (bytes > limits.schemaBytes) {
    refuse(`has ${bytes} bytes of JSON; there may be ${limits.schemaBytes}`);
  }
  try {
    const { schemaNodes: nodes, schemaDepth: levels } = limits;
    return compile(given, { ...schemaDefaults, nodes, levels });
  } catch (error) {
    if (!LacunaError.isInstance(error) || error.code !== 'INVALID_ARGUMENT') throw error;
    return refuse(error.message.replace(/^schema: /, ''));
  }
}
