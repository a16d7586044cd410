import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { leftToRight } from '../../lib/decoding/low-confidence.js';
import { loadModel } from '../../lib/model.js';
import { toyExperiment } from '../../lib/measure/toy.js';
import { model as shakespeare, root, temporaryFolder } from '../cli/lacuna.js';

const path = join(root, 'models', 'toy.F32.gguf');
const folder = temporaryFolder();

test.each(['ref', 'cpu'] as const)('on %s', async (device) => {
  await using model = await loadModel(path, { device });
  const { conditionals, error, decodings } = await toyExperiment(model);
  const measured = new Map(conditionals.map(({ name, measured }) => [name, measured]));
  const expected = {
    ...{ 'p(A)': 0.55, "p(A')": 0.45, 'p(B)': 0.69, "p(B')": 0.31 },
    ...{ 'p(A | B)': 34 / 69, "p(A | B')": 21 / 31, 'p(B | A)': 34 / 55, "p(B | A')": 35 / 45 },
    ...{ "p(A' | B)": 35 / 69, "p(A' | B')": 10 / 31 },
    ...{ "p(B' | A)": 21 / 55, "p(B' | A')": 10 / 45 },
  };
  expect([...measured.keys()].sort()).toEqual(Object.keys(expected).sort());
  for (const [name, p] of Object.entries(expected)) expect(measured.get(name)).toBeCloseTo(p, 5);
  expect(error).toBeLessThan(1e-5); // 0.01 is asked for
  expect(decodings.map(({ answer, forwards, best }) => [answer, forwards, best])).toEqual([
    ['ABCDE', 1, false], // all at once
    ["A'BCDE", 3, true], // B, then A' in its light
    ["A'BCDE", 5, true],
    ['ABCDE', 5, false], // A comes first and is wrong
    ["A'BCDE", 5, true],
    ["A'BCDE", 5, true],
    ["A'BCDE", 5, true], // a second hypothesis makes up for that
  ]);
});

// In the order of confidence, where a likely sample goes first, they would not be.
test('samples of one token a step, left to right, have the frequencies of the sequences', async () => {
  await using model = await loadModel(path, { device: 'cpu', threads: 1 });
  const counts: Record<string, number> = {};
  for (let seed = 0; seed < 400; seed++) {
    const run = model.generate('', { maxTokens: 5, decode: leftToRight(), temperature: 1, seed });
    const { text } = await run.result;
    counts[text] = (counts[text] ?? 0) + 1;
  }
  const expected = { ABCDE: 0.34, "AB'CDE": 0.21, "A'BCDE": 0.35, "A'B'CDE": 0.1 };
  expect(Object.keys(counts).sort()).toEqual(Object.keys(expected).sort());
  for (const [text, p] of Object.entries(expected)) {
    const error = Math.sqrt((p * (1 - p)) / 400);
    expect(Math.abs(counts[text] / 400 - p)).toBeLessThan(4 * error);
  }
});

test('the script makes the committed file', () => {
  const made = join(folder, 'toy.gguf');
  execFileSync(process.execPath, [join(root, 'scripts', 'toy-model.mjs'), made]);
  expect(readFileSync(made).equals(readFileSync(path))).toBe(true);
});

test('another model is refused', async () => {
  await using model = await loadModel(shakespeare, { device: 'cpu' });
  await expect(toyExperiment(model)).rejects.toThrow(/no token <bos>; the toy experiment needs/);
});
