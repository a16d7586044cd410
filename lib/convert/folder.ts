/** A Hugging Face folder: its JSON files, read with care. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LacunaError } from '../errors.js';

/** A file of the folder contradicts itself, or lacks what it must have. */
export function bad(file: string, what: string): LacunaError {
  return new LacunaError('BAD_CHECKPOINT', `${file}: ${what}`);
}

/** A file of the folder asks for what Lacuna cannot run. */
export function unsupported(file: string, what: string): LacunaError {
  return new LacunaError('UNSUPPORTED_ARCHITECTURE', `${file}: ${what}`);
}

export type Json = Record<string, unknown>;

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** For messages: the value as JSON, cut to a line. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'absent';
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

/** A text file of the folder; undefined when there is none. */
export async function readText(folder: string, name: string): Promise<string | undefined> {
  const path = join(folder, name);
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new LacunaError('FILE_ERROR', `${path}: cannot read: ${String(cause)}`, { cause });
  }
}

/** A file that holds one JSON object; undefined when there is none. */
export async function readObject(folder: string, name: string): Promise<Json | undefined> {
  const text = await readText(folder, name);
  return text === undefined ? undefined : parseObject(join(folder, name), text);
}

export function parseObject(path: string, text: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw bad(path, `is no JSON: ${(cause as Error).message}`);
  }
  if (!isObject(value)) throw bad(path, 'must hold a JSON object');
  return value;
}

/** The values of config.json. A key that is null counts as absent, as it does for transformers. */
export class Config {
  constructor(
    readonly path: string,
    readonly values: Json,
  ) {}

  /** The first of the keys that is there, and its value. */
  find(keys: string | readonly string[]): { key: string; value: unknown } | undefined {
    for (const key of typeof keys === 'string' ? [keys] : keys)
      if (this.values[key] !== undefined && this.values[key] !== null)
        return { key, value: this.values[key] };
    return undefined;
  }

  /** A whole number of at least `least`; undefined when absent. */
  integer(keys: string | readonly string[], least = 1): number | undefined {
    const found = this.find(keys);
    if (!found) return undefined;
    const { key, value } = found;
    if (Number.isSafeInteger(value) && (value as number) >= least) return value as number;
    throw bad(this.path, `${key} is ${show(value)}, must be a whole number of at least ${least}`);
  }

  needInteger(keys: string | readonly string[]): number {
    const value = this.integer(keys);
    if (value !== undefined) return value;
    const names = typeof keys === 'string' ? keys : keys.join(' or ');
    throw bad(this.path, `${names} is missing, must be a whole number of at least 1`);
  }

  /** A positive number, from `other` if that has it; NaN for `absent`: it must be there. */
  positive(key: string, absent: number, other?: Config): number {
    const value = (other?.find(key) ?? this.find(key))?.value ?? absent;
    if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
    const given = Number.isNaN(value) ? 'missing' : show(value);
    throw bad(this.path, `${key} is ${given}, must be a positive number`);
  }

  boolean(key: string): boolean | undefined {
    const value = this.find(key)?.value;
    if (value === undefined || typeof value === 'boolean') return value;
    throw bad(this.path, `${key} is ${show(value)}, must be true or false`);
  }

  object(key: string): Config | undefined {
    const value = this.find(key)?.value;
    if (value === undefined) return undefined;
    if (isObject(value)) return new Config(`${this.path}: ${key}`, value);
    throw bad(this.path, `${key} is ${show(value)}, must be an object`);
  }
}
