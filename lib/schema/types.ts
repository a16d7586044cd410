/** Typed output: what a caller gives and gets, and the plan that a schema is compiled to. */
import type { GenerateOptions } from '../plan.js';
import type { Language } from './language.js';
import type { NumberRange } from './number.js';

/** A JSON Schema (draft 2020-12). */
export type JsonSchema = boolean | { readonly [keyword: string]: unknown };

/**
 * A Standard Schema with JSON Schema export (standardschema.dev), such as those of Zod ≥ 4.2. Only what
 * is used of it.
 */
export interface StandardSchema<Output = unknown> {
  readonly '~standard': {
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly output: Output } | undefined;
    readonly jsonSchema?: {
      readonly input: (options: { target: 'draft-2020-12' }) => Record<string, unknown>;
    };
  };
}

export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string; readonly path?: unknown }[] };

/** Options of `generate` that also make sense here; they hold for the free text inside of strings. */
type TextOptions = Pick<
  GenerateOptions,
  | 'decode'
  | 'blocks'
  | 'cache'
  | 'temperature'
  | 'topK'
  | 'topP'
  | 'seed'
  | 'signal'
  | 'deadline'
  | 'bos'
  | 'special'
  | 'chat'
>;

export interface ObjectOptions extends TextOptions {
  /** Most tokens of a string. Default 32. */
  maxStringTokens?: number;
  /** Most items of an array whose schema allows more; `minItems` counts more. Default 8. */
  maxItems?: number;
  /** How often a `$ref` may be inside of itself. Default 3. */
  depth?: number;
  /** Adds the schema to the last message of a chat prompt. Default true; text is left as it is. */
  instruct?: boolean;
}

/** One decision between alternatives. */
export interface Choice {
  /** JSON pointer of the value: `'/items/0/kind'`. */
  path: string;
  /** The text that was taken, and its probability among the alternatives. */
  text: string;
  probability: number;
}

export interface ObjectResult<Output> {
  value: Output;
  /** The JSON text as the model saw it. */
  text: string;
  /** Forwards of the model, for decisions, numbers and strings together. */
  forwards: number;
  choices: readonly Choice[];
}

export interface Member {
  key: string;
  required: boolean;
  node: Node;
}

/** What is to be written. Texts are JSON. */
export type Node =
  | { kind: 'choice'; texts: readonly string[] } // one: fixed
  | { kind: 'number'; range: NumberRange }
  | { kind: 'string'; min: number; max: number; language?: Language }
  | { kind: 'array'; min: number; max: number; first: readonly Node[]; rest: Node | undefined }
  | { kind: 'object'; members: readonly Member[] }
  | { kind: 'record'; max: number; key: number; value: Node } // free keys, so many of so many characters
  | { kind: 'union'; branches: readonly Node[] };

/** What a value may be, code unit by code unit. States are texts, so that they can be keys. */
export interface Guide {
  readonly start: string;
  /** `undefined`: no value goes on like that. */
  next(state: string, unit: string): string | undefined;
  ends(state: string): boolean;
  /** Units of which any may follow a value. */
  readonly closing: string;
}
