import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { comparisonTable } from '../../lib/cli/comparison.js';
import type { GenerationResult } from '../../lib/generation.js';
import { compare, type Comparison } from '../../lib/measure/compare.js';
import { leftToRight } from '../../lib/measure/left-to-right.js';
import { loadModel } from '../../lib/model.js';
import { lacuna, model as path, temporaryFolder } from './lacuna.js';

const folder = temporaryFolder();
const prompts = ['KING HENRY:\nMy lord, ', 'FIRST CITIZEN:\n'];

test('sums over prompts, scored by the model that wrote', async () => {
  await using model = await loadModel(path, { device: 'cpu', threads: 1 });
  const runs: [string, number][] = [];
  const options = { maxTokens: 8, bos: true, seed: 3 };
  const [llada, fast] = await compare(model, prompts, {
    ...options,
    presets: ['llada', 'fast-dllm'],
    onRun: (preset, prompt) => runs.push([preset, prompt]),
  });
  expect(runs.map(([preset, prompt]) => `${preset} ${prompt}`)).toEqual([
    ...['llada 0', 'fast-dllm 0', 'llada 1', 'fast-dllm 1'],
  ]);
  const results: GenerationResult[] = [];
  for (const prompt of prompts) {
    results.push(await model.generate(prompt, { ...options, preset: 'llada' }).result);
  }
  const sum = (of: (result: GenerationResult) => number) =>
    results.reduce((total, result) => total + of(result), 0);
  const scores = await Promise.all(
    results.map(({ canvas, prompt: { length }, tokens }) =>
      leftToRight(model, canvas, { start: length, end: length + tokens.length }),
    ),
  );
  const nats = scores.flatMap((list) => [...list]).reduce((a, b) => a + b, 0);
  expect(llada).toMatchObject({
    tokens: sum(({ tokens }) => tokens.length),
    forwards: sum(({ forwards }) => forwards),
    texts: results.map(({ text }) => text),
  });
  expect(llada.logProbability).toBeCloseTo(nats / llada.tokens, 6);
  expect(llada.tokensPerForward).toBeCloseTo(llada.tokens / llada.forwards, 12);
  expect(fast.forwards).toBeLessThanOrEqual(llada.forwards);
  expect(fast.tokensPerSecond).toBeGreaterThan(0);
});

test('the table lines up; what is not a number is a dash', () => {
  const row: Comparison = {
    ...{ preset: 'llada', tokens: 0, logProbability: NaN, forwards: 12, canvases: 12 },
    ...{ tokensPerForward: 0, tokensPerSecond: 0, texts: [] },
  };
  expect(comparisonTable([row]).split('\n')).toEqual([
    '| preset | tokens | nats/token | forwards | canvases | tokens/forward | tokens/s |',
    '| ------ | -----: | ---------: | -------: | -------: | -------------: | -------: |',
    '| llada  |      0 |          – |       12 |       12 |           0.00 |      0.0 |',
  ]);
});

test('the command prints the table and writes JSON', () => {
  const file = join(folder, 'prompts.txt');
  const output = join(folder, 'out.json');
  writeFileSync(file, 'Speak,\n\nMy lord\n');
  const presets = ['--presets', 'quality,fast', '-n', '8'];
  const { code, stdout } = lacuna(['compare', '--prompts', file, ...presets, '-o', output]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^\| preset .*\n\| -+ .*\n\| quality .*\n\| fast /);
  const rows = JSON.parse(readFileSync(output, 'utf8')) as Comparison[];
  expect(rows.map(({ preset, texts }) => [preset, texts.length])).toEqual([
    ['quality', 2],
    ['fast', 2],
  ]);
});

test.each([
  ['[1]', [], /no JSON list of texts/],
  ['["a"', [], /no JSON file/],
  ['\n', [], /holds no prompt/],
  ['x', ['--presets', 'quality,best'], /There is no best; presets are llada/],
])('prompts %j %j', (text, flags, message) => {
  const file = join(folder, 'bad');
  writeFileSync(file, text);
  const { code, stderr } = lacuna(['compare', '--prompts', file, ...flags]);
  expect(code).toBeGreaterThan(0);
  expect(stderr).toMatch(message);
});
