import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { syntheticArchitectures, writeSynthetic } from '../lib/gguf/synthetic.js';
import { tensorTypes, type TensorType } from '../lib/gguf/types.js';

const count = Number(process.env['LACUNA_FUZZ_COUNT'] ?? 20_000);
const program = join(import.meta.dirname, '..', 'build', 'Release', 'lacuna-fuzz');

/** One small model of every architecture and of every tensor type, and a few special ones. */
async function writeSeeds(folder: string): Promise<void> {
  const path = (name: string): string => join(folder, `${name}.gguf`);
  const small = { layers: 1, dim: 32, heads: 2, kvHeads: 1, ffn: 32, vocabulary: 16 };
  for (const architecture of syntheticArchitectures)
    await writeSynthetic(path(architecture), { ...small, architecture });
  for (const type of Object.keys(tensorTypes) as TensorType[])
    await writeSynthetic(path(type), {
      ...small,
      architecture: 'llada',
      dim: Math.max(32, tensorTypes[type].blockSize),
      headDim: 32,
      type,
      tied: true,
    });
  await writeSynthetic(path('tokenizer'), {
    ...small,
    architecture: 'dream',
    vocabulary: 260,
    tokenizer: true,
  });
  await writeSynthetic(path('yarn'), {
    ...small,
    architecture: 'qwen2',
    ropeScaling: { type: 'yarn', factor: 4, originalContext: 1024 },
  });
  await writeSynthetic(path('factors'), {
    ...small,
    architecture: 'llama',
    ropeScaling: { type: 'linear', factor: 2, frequencyFactors: [1, 1, 1, 1, 2, 4, 8, 8] },
  });
}

// Ten minutes: the machine may be busy with other tests.
test(`${count} damaged GGUF files end in an error or a model`, { timeout: 600_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lacuna-fuzz-'));
  await writeSeeds(folder);
  // A failing mutation makes the program, and so this call, fail; its file stays in the folder.
  const { stdout } = await promisify(execFile)(program, [folder, String(count)]);
  console.log(stdout);
  expect(stdout).toMatch(/^\d{3} checks of the encoders$/m);
  expect(stdout).toContain(`${count} mutations`);
  expect(stdout).toContain(' 0 failures');
  await rm(folder, { recursive: true });
});
