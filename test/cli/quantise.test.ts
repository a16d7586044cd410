/** `lacuna quantize` as a user runs it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { writeSynthetic } from '../../lib/gguf/synthetic.js';
import { lacuna, temporaryFolder } from './lacuna.js';

const folder = temporaryFolder();
const source = join(folder, 'source.gguf');
const output = join(folder, 'out.gguf');

beforeAll(async () => {
  const shape = { layers: 1, dim: 256, heads: 4, ffn: 96, vocabulary: 300 };
  await writeSynthetic(source, { ...shape, architecture: 'llada', type: 'F32', tokenizer: true });
});

test('a table of what every matrix loses, and a file that runs', () => {
  const { code, stdout, stderr } = lacuna(['quantize', source, output, 'Q4_K_M']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^tensor +shape +from +to +bytes +RMS error +relative$/m);
  expect(stdout).toMatch(
    /^blk\.0\.attn_q\.weight +256 × 256 +F32 +Q4_K +36\.0 KiB +\d\.\d\de-\d +\d\.\d\d %$/m,
  );
  expect(stdout).toMatch(/^blk\.0\.ffn_down\.weight .*Q8_0.*rows of 96 do not fit Q6_K$/m);
  expect(stdout).toMatch(/^kept as they are +3 of 12 tensors$/m);
  expect(stdout).not.toContain('attn_norm');
  const run = lacuna(['run', output, '-p', 'x', '-n', '4', '--threads', '1']);
  expect(run.code).toBe(0);
});

test('--json has all numbers', () => {
  const { stdout } = lacuna(['quantize', source, output, 'Q8_0', '--json', '--threads', '1']);
  const result = JSON.parse(stdout) as { type: string; rms: number; tensors: object[] };
  expect(result).toMatchObject({ type: 'Q8_0', path: output });
  expect(result.rms).toBeGreaterThan(0);
  expect(result.tensors).toHaveLength(12);
  expect(result.tensors[0]).toMatchObject({ name: 'token_embd.weight', from: 'F32', to: 'Q8_0' });
});

test.each([
  [[source, output, 'Q4_K'], 2, /'Q4_K' is invalid for argument 'type'.*Q4_K_M/s],
  [[source, output], 2, /missing required argument 'type'/],
  [[source, source, 'Q8_0'], 1, /INVALID_ARGUMENT: output is .* which is the input/],
  [[join(folder, 'none.gguf'), join(folder, 'new.gguf'), 'Q8_0'], 1, /FILE_ERROR: .*none\.gguf/],
])('refuses %j', (args, code, message) => {
  const ended = lacuna(['quantize', ...args]);
  expect(ended.code).toBe(code);
  expect(ended.stderr).toMatch(message);
  expect(existsSync(join(folder, 'new.gguf'))).toBe(false);
});
