/** The command as a user runs it: a child process of the built package. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

export const root = join(import.meta.dirname, '..', '..');
export const main = join(root, 'dist', 'cli', 'main.js');
/** The model in the package. */
export const model = join(root, 'models', 'shakespeare-7m.Q8_0.gguf');
/** A run that takes little time. */
export const short = ['-n', '12', '--block-length', '4', '--steps', '6', '--threads', '1'];

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

export function lacuna(args: string[], input = '', env: NodeJS.ProcessEnv = {}): Ended {
  return ended(process.execPath, [main, ...args], input, env);
}

export function ended(
  program: string,
  args: string[],
  input = '',
  env: NodeJS.ProcessEnv = {},
  cwd?: string,
): Ended {
  const options = { cwd, input, encoding: 'utf8' as const, env: { ...process.env, ...env } };
  const { status, stdout, stderr } = spawnSync(program, args, options);
  return { code: status, stdout, stderr };
}

/** A folder for the tests of a file; removed after them. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lacuna-cli-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
