/**
 * Checks of what callers pass in. Each returns the value it checked, or throws a `LacunaError`
 * `INVALID_ARGUMENT` that names the option, the value given and what would be right.
 */
import { LacunaError } from './errors.js';

/** Inclusive bounds; either may be left out. */
export interface Range {
  min?: number;
  max?: number;
}

function show(value: unknown): string {
  if (typeof value === 'string') {
    return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  }
  if (typeof value === 'number' || typeof value === 'boolean' || value == null) {
    return String(value);
  }
  if (typeof value === 'bigint') return `${value}n`;
  if (Array.isArray(value)) return `an array of length ${value.length}`;
  return `a value of type ${typeof value}`;
}

function within({ min, max }: Range): string {
  if (min !== undefined && max !== undefined) return ` from ${min} to ${max}`;
  if (min !== undefined) return ` of at least ${min}`;
  if (max !== undefined) return ` of at most ${max}`;
  return '';
}

/** Throws `INVALID_ARGUMENT`: "`name` must be `right`, but is `value`". */
export function invalid(name: string, value: unknown, right: string): never {
  throw new LacunaError('INVALID_ARGUMENT', `${name} must be ${right}, but is ${show(value)}`);
}

function isNumberIn(value: unknown, { min = -Infinity, max = Infinity }: Range): value is number {
  return typeof value === 'number' && !Number.isNaN(value) && value >= min && value <= max;
}

/** A safe integer within the range. */
export function integer(name: string, value: unknown, range: Range = {}): number {
  if (Number.isSafeInteger(value) && isNumberIn(value, range)) return value;
  return invalid(name, value, `an integer${within(range)}`);
}

/** A finite number within the range. NaN and the infinities are refused. */
export function number(name: string, value: unknown, range: Range = {}): number {
  if (Number.isFinite(value) && isNumberIn(value, range)) return value;
  return invalid(name, value, `a number${within(range)}`);
}

export function boolean(name: string, value: unknown): boolean {
  return typeof value === 'boolean' ? value : invalid(name, value, 'true or false');
}

export function string(name: string, value: unknown): string {
  return typeof value === 'string' ? value : invalid(name, value, 'a string');
}

/** One of a fixed list of strings or numbers. */
export function oneOf<const T extends string | number>(
  name: string,
  value: unknown,
  choices: readonly T[],
): T {
  if ((choices as readonly unknown[]).includes(value)) return value as T;
  return invalid(name, value, `one of ${choices.map((choice) => show(choice)).join(', ')}`);
}

export function abortSignal(name: string, value: unknown): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value;
  return invalid(name, value, 'an AbortSignal');
}

/** A plain object of options: not null, not an array. `undefined` is an empty one. */
export function object(name: string, value: unknown): Record<string, unknown> {
  if (value === undefined) return {};
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  return invalid(name, value, 'an object');
}

/**
 * Refuses misspelt options: every key of `value` must be in `keys`.
 * @param what what the options are for, for the message: `'generate options'`
 */
export function knownKeys(what: string, value: unknown, keys: readonly string[]): void {
  for (const key of Object.keys(object(what, value))) {
    if (keys.includes(key)) continue;
    throw new LacunaError(
      'INVALID_ARGUMENT',
      `${what}: unknown option ${show(key)}; the options are ${keys.join(', ')}`,
    );
  }
}

function arrayLike(name: string, value: unknown, right: string): ArrayLike<unknown> {
  const array = value as ArrayLike<unknown> | null | undefined;
  const isList = typeof array === 'object' && array !== null && Number.isSafeInteger(array.length);
  return isList ? array : invalid(name, value, right);
}

/** Any array-like, as an array of its own. */
export function list(name: string, value: unknown, right = 'an array'): unknown[] {
  return Array.from(arrayLike(name, value, right));
}

/** Any array-like of integers within the range, copied. */
export function integers(
  name: string,
  value: unknown,
  range: Range,
  right = 'an array',
): Int32Array {
  const array = arrayLike(name, value, right);
  const copy = new Int32Array(array.length);
  // Runs between the steps of a generation: neither closures nor names for what is right.
  for (let i = 0; i < copy.length; i++) {
    const x = array[i];
    const isRight = Number.isSafeInteger(x) && isNumberIn(x, range);
    copy[i] = isRight ? x : integer(`${name}[${i}]`, x, range);
  }
  return copy;
}

/**
 * Token ids: any array-like of integers from 0 to `vocabularySize` − 1.
 * @returns a copy, so that later changes by the caller do not reach it
 */
export function tokenIds(name: string, value: unknown, vocabularySize: number): Int32Array {
  return integers(name, value, { min: 0, max: vocabularySize - 1 }, 'an array of token ids');
}

/** Canvas positions, each once: a sorted copy. */
export function positions(name: string, value: unknown, length: number): Int32Array {
  const sorted = integers(name, value, { min: 0, max: length - 1 }).sort();
  const repeated = sorted.find((position, i) => i > 0 && position === sorted[i - 1]);
  if (repeated === undefined) return sorted;
  throw new LacunaError(
    'INVALID_ARGUMENT',
    `${name} must hold each position once; ${repeated} repeats`,
  );
}
