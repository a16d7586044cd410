/** The CUDA backend: in the emulator (cuda/emulator/) always, on a card where there is one. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { writeSynthetic } from '../lib/gguf/synthetic.js';
import { devices, loadModel } from '../lib/index.js';
import { fullSet } from './golden/reference-set.js';
import { halfMasked, modelFolder } from './session/models.js';

const root = join(import.meta.dirname, '..');
const goldens = join(fullSet ?? join(root, 'test', 'fixtures'), 'golden', 'index.json');
const minutes = 60_000;

interface Totals {
  passed: number;
  failed: number;
}

/** A failing check exits with 1 and names its cases, which execFile puts into the error's message. */
async function run(program: 'lacuna-ops' | 'lacuna-steps', ...args: string[]): Promise<Totals> {
  const path = join(root, 'build', 'Release', program);
  const { stdout } = await promisify(execFile)(path, [...args, '--json'], { cwd: root });
  return JSON.parse(stdout) as Totals;
}

const { cards, problem, driver } = await devices();
const ready = problem === undefined && cards.some((card) => card.problem === undefined);
const models = modelFolder();

// Every kernel, every option of a step.
describe.skipIf(process.platform === 'win32')('emulator', () => {
  const synthetic = join(models.folder, 'f32.gguf');
  beforeAll(async () => {
    await writeSynthetic(synthetic, {
      ...{ architecture: 'dream', layers: 2, dim: 64, heads: 4, kvHeads: 2, ffn: 96 },
      ...{ vocabulary: 300, type: 'F32', seed: 7 },
    });
  });

  test(
    'the op table holds, whatever the order of threads',
    async () => {
      const { passed, failed } = await run('lacuna-ops', '--check', '--backend=emulator');
      console.log(`emulator: ${passed} passed, ${failed} failed`);
      expect(failed).toBe(0);
      expect(passed).toBeGreaterThan(800);
    },
    10 * minutes,
  );

  test(
    'logits are those of the reference models',
    async () => {
      const { passed, failed } = await run('lacuna-steps', '--goldens', goldens);
      expect(failed).toBe(0);
      expect(passed).toBeGreaterThanOrEqual(9);
    },
    10 * minutes,
  );

  test(
    'every kind of step: F32 takes the way of the CPU, token by token',
    async () => {
      const { passed, failed } = await run('lacuna-steps', '--card', synthetic);
      expect(failed).toBe(0);
      expect(passed).toBeGreaterThan(100);
    },
    10 * minutes,
  );

  test(
    'every kind of step of a quantised mixture of experts',
    async () => {
      const model = 'test/fixtures/golden/llada-moe.Q4_K_M.gguf';
      const { passed, failed } = await run('lacuna-steps', '--card', model);
      expect(failed).toBe(0);
      expect(passed).toBeGreaterThan(20);
    },
    10 * minutes,
  );
});

// What the card's kernels are not made for is refused when the file is loaded, by key and limit.
describe.skipIf(process.platform === 'win32')('limits of the kernels', () => {
  const shape = { layers: 1, dim: 32, heads: 1, ffn: 32, vocabulary: 64, type: 'F32' } as const;
  const refusal = async (path: string): Promise<string> =>
    run('lacuna-steps', '--card', '--filter=full', path).then(
      () => 'no error',
      (error: unknown) => (error as { stderr: string }).stderr,
    );

  test('heads that are too wide', async () => {
    const path = join(models.folder, 'wide-heads.gguf');
    await writeSynthetic(path, { ...shape, architecture: 'qwen3', headDim: 288, seed: 1 });
    expect(await refusal(path)).toMatch(
      /^UNSUPPORTED_ARCHITECTURE: .*wide-heads\.gguf: qwen3\.attention\.key_length is 288, .*up to 256; .*'cpu'/,
    );
  });

  test('too many experts', async () => {
    const path = join(models.folder, 'many-experts.gguf');
    const experts = { experts: 1025, expertsUsed: 2, expertFfn: 32 };
    await writeSynthetic(path, { ...shape, ...experts, architecture: 'llada-moe', seed: 1 });
    expect(await refusal(path)).toMatch(
      /^UNSUPPORTED_ARCHITECTURE: .*many-experts\.gguf: llada-moe\.expert_count is 1025, .*up to 1024; .*'cpu'/,
    );
  });
});

test('devices says what is there, or why nothing is', () => {
  if (driver === undefined) {
    expect(problem).toMatch(/driver|nvcc/);
    expect(cards).toEqual([]);
  }
  cards.forEach((card, index) => {
    expect(card.index).toBe(index);
    expect(card.computeCapability).toMatch(/^\d+\.\d$/);
    expect(card.totalBytes).toBeGreaterThan(1e9);
  });
});

describe.skipIf(!ready)('card', () => {
  test('auto takes it, and steps as the CPU does', async () => {
    const path = await models.write('llada');
    const results = [];
    for (const device of ['auto', 'cpu'] as const) {
      await using model = await loadModel(path, { device });
      expect(model.info.device).toBe(device === 'auto' ? 'cuda' : 'cpu');
      using session = halfMasked(model);
      const { token, position } = await session.step({});
      results.push({ token, position });
    }
    expect(results[0]).toEqual(results[1]);
  });
});
