/** Options of a policy as data: one table checks them, fills in defaults and tells others of them. */
import { boolean, integer, knownKeys, number, oneOf } from '../validate.js';

interface Described {
  description: string;
}
interface Numeric extends Described {
  type: 'number' | 'integer';
  /** Left out: the option may be, too. */
  default?: number;
  minimum?: number;
  maximum?: number;
}
interface Switch extends Described {
  type: 'boolean';
  default: boolean;
}
interface Choice<T extends string = string> extends Described {
  type: 'string';
  default: T;
  enum: readonly T[];
}

/** One option, in the words of JSON Schema. */
export type Field = Numeric | Switch | Choice;
export type Fields = Readonly<Record<string, Field>>;

type ValueOf<F> = F extends { enum: readonly (infer T)[] }
  ? T
  : F extends { type: 'boolean' }
    ? boolean
    : F extends { default: number }
      ? number
      : number | undefined;

/** The values of all options: those given, else the defaults. */
export type Values<F extends Fields> = { [K in keyof F]: ValueOf<F[K]> };

/**
 * Checks options by their table. Throws `INVALID_ARGUMENT` for one that is misspelt or out of range.
 * @param name of who takes them: `'threshold()'`
 */
export function readFields<const F extends Fields>(
  name: string,
  fields: F,
  options: object,
): Values<F> {
  knownKeys(name, options, Object.keys(fields));
  const given = options as Record<string, unknown>;
  const values = Object.entries(fields).map(([key, field]) => [
    key,
    checked(`${name}: ${key}`, field, given[key] ?? field.default),
  ]);
  return Object.fromEntries(values) as Values<F>;
}

function checked(name: string, field: Field, value: unknown): unknown {
  if (value === undefined) return undefined;
  if (field.type === 'boolean') return boolean(name, value);
  if (field.type === 'string') return oneOf(name, value, field.enum);
  const range = { min: field.minimum, max: field.maximum };
  return field.type === 'integer' ? integer(name, value, range) : number(name, value, range);
}

/** 0 … 1 */
export const share = <const D extends number>(fallback: D, description: string) => ({
  ...({ type: 'number', default: fallback, minimum: 0, maximum: 1 } as const),
  description,
});

/** `statistics` of those who choose by confidence. */
export const statisticsField = {
  type: 'string',
  enum: ['model', 'sampled'],
  default: 'model',
  description: "confidence by the model's own softmax or by the distribution that is drawn from",
} as const;
