/** Files that commands read and write. */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { LacunaError } from '../errors.js';

/** @param option what named the file */
export function fileError(option: string, cause: unknown): LacunaError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new LacunaError('FILE_ERROR', `${option}: ${reason}`, { cause });
}

/** Rejects with `FILE_ERROR`, or `INVALID_ARGUMENT` for a file that is no JSON. */
export function readJson(option: string, path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw fileError(option, cause);
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new LacunaError('INVALID_ARGUMENT', `${option}: ${path} is no JSON file`, { cause });
  }
}

/** To a file, or to standard output if there is no path. */
export async function writeJson(path: string | undefined, value: object): Promise<void> {
  const text = `${JSON.stringify(value)}\n`;
  if (path === undefined) {
    process.stdout.write(text);
    return;
  }
  try {
    await writeFile(path, text);
  } catch (cause) {
    throw fileError('--output', cause);
  }
}
