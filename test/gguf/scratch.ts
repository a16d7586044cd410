import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { native, type NativeFile } from '../../lib/native.js';

/** A folder of its own for the tests of a file; removed at the end. */
export function scratchFolder(): { path: (name: string) => string } {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lacuna-gguf-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return { path: (name) => join(folder, name) };
}

export const inspect = (path: string): Promise<NativeFile> => native().inspect(path).promise;
