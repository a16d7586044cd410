/** train/: its own tests, and that a model which it exports answers here as it does in PyTorch. */
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { convert } from '../lib/convert/convert.js';
import { all, modelFolder } from './session/models.js';

const tests = join(import.meta.dirname, '..', 'train', 'tests');

/** PyTorch is not needed to use or build Lacuna; .ci/run installs it. */
const python = [process.env.PYTHON, 'python3', '/usr/bin/python3'].find(
  (name) => name !== undefined && spawnSync(name, ['-c', 'import torch, numpy']).status === 0,
);

const run = (...args: string[]) =>
  promisify(execFile)(python!, args, { env: { ...process.env, OMP_NUM_THREADS: '1' } });

interface Expected {
  canvas: number[];
  /** (canvas × vocabulary) */
  logits: number[];
  texts: string[];
  tokens: number[][];
  start: number;
  end: number;
  mask: number;
}

describe.skipIf(python === undefined)('train/ (needs PyTorch)', () => {
  const { folder, open } = modelFolder();

  test('its own tests', async () => {
    // A failing test exits with 1 and is named on stderr, which execFile puts into the message.
    const { stderr } = await run('-m', 'unittest', 'discover', '-s', tests);
    const [, count] = /^Ran (\d+) tests/m.exec(stderr) ?? [];
    expect(Number(count)).toBeGreaterThan(20);
  });

  test('export, convert, load: the logits are those of PyTorch', async () => {
    await run(join(tests, 'reference.py'), folder);
    const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected;
    const path = join(folder, 'reference.gguf');
    await convert(join(folder, 'export'), path, { type: 'F32' });
    for (const device of ['ref', 'cpu'] as const) {
      const model = await open(path, { device });
      const length = expected.canvas.length;
      using session = model.createSession({ length });
      session.set(0, expected.canvas);
      const { logits } = await session.step({ query: all(length), logits: true });
      const largest = logits!.reduce((most, value, i) => {
        return Math.max(most, Math.abs(value - expected.logits[i]));
      }, 0);
      expect(logits!.length).toBe(expected.logits.length);
      expect(largest).toBeLessThan(1e-4);
    }
  });

  test.each(['F32', 'Q8_0'] as const)('gguf.py reads %s files', async (type) => {
    await convert(join(folder, 'export'), join(folder, `${type}.gguf`), { type });
    const { stdout } = await run(join(tests, 'reference.py'), folder, `${type}.gguf`);
    const { largest, sameTokens } = JSON.parse(stdout) as { largest: number; sameTokens: boolean };
    expect(largest).toBeLessThan(type === 'F32' ? 1e-4 : 0.2);
    expect(sameTokens).toBe(true);
  });

  test('the Shakespeare of the recipe is better than the one before it', async () => {
    const bound = async (name: string): Promise<number> => {
      const file = join(tests, '..', '..', 'models', `${name}.Q8_0.gguf`);
      const { stdout } = await run(join(tests, '..', 'bound.py'), file, '--passes', '1');
      return (JSON.parse(stdout) as { bound_per_character: number }).bound_per_character;
    };
    expect(await bound('shakespeare')).toBeLessThan((await bound('shakespeare-7m')) - 0.1);
  });

  test('the tokenizer and the numbers of soft masks come along', async () => {
    const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected;
    const { tokenizer, info } = await open(join(folder, 'reference.gguf'), { device: 'cpu' });
    expected.texts.forEach((text, i) => {
      expect([...tokenizer.encode(text)]).toEqual(expected.tokens[i]);
      expect(tokenizer.decode(expected.tokens[i])).toBe(text);
    });
    const { start: bos, end: eos, mask } = expected;
    expect(tokenizer).toMatchObject({ bos, eos, mask, addBos: false });
    const { k, scale, slope, centre } = info.softMask!;
    expect(k).toBe(2);
    expect(scale).toBeCloseTo(0.25, 4);
    expect(slope).toBeCloseTo(4, 4);
    expect(centre).toBeCloseTo(-1.5, 4);
  });
});
