import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hfModel, sizes, writeFolder } from '../convert/folders.js';
import { lacuna, temporaryFolder } from './lacuna.js';

const place = temporaryFolder();
const folder = writeFolder(
  join(place, 'my-model'),
  hfModel('Qwen3ForCausalLM', 2, { qkNorm: true }),
);
const out = join(place, 'out.gguf');

test('writes a file that inspect and run take', () => {
  const options = ['--attention', 'block-causal:4', '--shift', '0', '--mask-token', '511'];
  const { code, stdout, stderr } = lacuna(['convert', folder, '-o', out, ...options]);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(
    /out\.gguf: qwen3, [\d.]+ K parameters in \d+ tensors, F32, [\d.]+ KiB\n$/,
  );
  const shown = lacuna(['inspect', out]).stdout;
  for (const part of ['my-model', 'qwen3', 'block-causal, blocks of 4', 'mask 511'])
    expect(shown).toContain(part);
  const run = lacuna(['run', out, '-p', 'a', '-n', '4', '--json']);
  expect(JSON.parse(run.stdout)).toMatchObject({ model: { architecture: 'qwen3' } });
});

test('says which tensors do not fit the type; --json', () => {
  const named = ['--type', 'Q4_0', '--name', 'mine'];
  const { stdout } = lacuna(['convert', folder, '-o', out, ...named]);
  const matrices = 2 + 7 * sizes.layers;
  expect(stdout).toContain(`${matrices - 1} tensors F16 instead of Q4_0: rows are no multiple`);
  const json = JSON.parse(lacuna(['convert', folder, '-o', out, ...named, '--json']).stdout) as {
    bytes: number;
    substituted: unknown[];
  };
  expect(json).toMatchObject({ path: out, architecture: 'qwen3', type: 'Q4_0' });
  expect(json.substituted).toHaveLength(matrices);
  expect(readFileSync(out)).toHaveLength(json.bytes);
});

test('errors: one line, no file', () => {
  const path = join(place, 'none.gguf');
  const { code, stderr } = lacuna(['convert', join(place, 'nowhere'), '-o', path]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^lacuna: BAD_CHECKPOINT: .*nowhere: has no config\.json\n$/);
  expect(lacuna(['convert', folder]).code).toBe(2);
  expect(lacuna(['convert', folder, '-o', path, '--type', 'Q9']).code).toBe(2);
  expect(existsSync(path)).toBe(false);
});
