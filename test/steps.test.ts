/** Whole steps on the native side, without JavaScript: see test/steps/. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');
const program = join(root, 'build', 'Release', 'lacuna-steps');
const models = [
  'models/shakespeare-7m.Q8_0.gguf',
  'test/fixtures/golden/llada-moe.Q4_K_M.gguf',
  'test/fixtures/golden/dream.Q4_K_M.gguf',
];

/** Runs one mode. A failure exits with 1 and says what failed, which execFile puts into its error. */
async function run(mode: string): Promise<{ passed: number; failed: number }> {
  const { stdout } = await promisify(execFile)(program, [mode, '--json', ...models], { cwd: root });
  return JSON.parse(stdout) as { passed: number; failed: number };
}

test('steps compute the same on 1, 2 and 4 threads, alone, together and after an abort', async () => {
  const { passed, failed } = await run('--check');
  expect(failed).toBe(0);
  expect(passed).toBeGreaterThan(100);
}, 300_000);

test('a step allocates nothing after the first of its shape', async () => {
  const { passed, failed } = await run('--allocations');
  expect(failed).toBe(0);
  expect(passed).toBeGreaterThan(300);
}, 300_000);
