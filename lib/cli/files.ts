/** Files that commands read and write. */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { LacunaError } from '../errors.js';

/** @param option what named the file */
export function fileError(option: string, cause: unknown): LacunaError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new LacunaError('FILE_ERROR', `${option}: ${reason}`, { cause });
}

export function readText(option: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw fileError(option, cause);
  }
}

/** Throws `FILE_ERROR`, or `INVALID_ARGUMENT` for a file that is no JSON. */
export function readJson(option: string, path: string): unknown {
  return parseJson(option, path, readText(option, path));
}

/** The same for text that was read from `path`. */
export function parseJson(option: string, path: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new LacunaError('INVALID_ARGUMENT', `${option}: ${path} is no JSON file`, { cause });
  }
}

/** To the file that `option` named, or to standard output if there is no path. */
export async function writeJson(
  path: string | undefined,
  value: object,
  option = '--output',
): Promise<void> {
  const text = `${JSON.stringify(value)}\n`;
  if (path === undefined) {
    process.stdout.write(text);
    return;
  }
  await writeText(option, path, text);
}

export async function writeText(option: string, path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text);
  } catch (cause) {
    throw fileError(option, cause);
  }
}
