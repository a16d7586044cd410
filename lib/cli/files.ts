/** Files that options name. */
import { readFile, writeFile } from 'node:fs/promises';
import { LacunaError } from '../errors.js';

/** @param option what to blame in the error, `FILE_ERROR` */
export async function readText(option: string, path: string): Promise<string> {
  return attempt(option, () => readFile(path, 'utf8'));
}

export async function writeText(option: string, path: string, text: string): Promise<void> {
  await attempt(option, () => writeFile(path, text));
}

async function attempt<T>(option: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new LacunaError('FILE_ERROR', `${option}: ${reason}`, { cause });
  }
}
