import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { taskCorpus, taskWords } from '../../lib/tasks/index.js';
import { lacuna, temporaryFolder } from './lacuna.js';

const folder = temporaryFolder();

test('writes a corpus and the words it is made of', () => {
  const [corpus, words] = [join(folder, 'corpus.jsonl'), join(folder, 'words.json')];
  const args = ['parallelbench', '--count', '30', '--seed', '4', '--tasks', 'copy,sentence'];
  const ended = lacuna([...args, '--write-corpus', corpus, '--write-words', words]);
  expect(ended).toEqual({ code: 0, stdout: '', stderr: '' });
  const lines = readFileSync(corpus, 'utf8').trimEnd().split('\n');
  const expected = taskCorpus(30, { seed: 4, tasks: ['copy', 'sentence'], split: 'train' });
  expect(lines.map((line) => JSON.parse(line) as object)).toEqual(
    Array.from(expected, ({ task, n, prompt, answer }) => ({ task, n, prompt, answer })),
  );
  expect(JSON.parse(readFileSync(words, 'utf8'))).toEqual(taskWords);
});

test('says what is wrong', () => {
  const run = (...args: string[]) => lacuna(['parallelbench', ...args]);
  expect(run()).toMatchObject({ code: 2 });
  const unknown = run('--tasks', 'copy,juggle');
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toMatch(/There is no task juggle; there are copy, reverse/);
  const path = join(folder, 'none', 'corpus.jsonl');
  const nowhere = run('--write-corpus', path, '--count', '1');
  expect(nowhere.code).toBe(1);
  expect(nowhere.stderr).toMatch(/^lacuna: FILE_ERROR: --write-corpus: ENOENT/);
});

test('the oracle: table, JSON and charts', () => {
  const [json, chart] = [join(folder, 'points.json'), join(folder, 'curves.svg')];
  const few = ['--tasks', 'copy,shuffle', '--size', '4', '--samples', '3'];
  const args = ['--oracle', ...few, '--strategies', 'confidence,threshold'];
  const ended = lacuna(['parallelbench', ...args, '-o', json, '--chart', chart]);
  expect(ended).toMatchObject({ code: 0, stderr: '' });
  expect(ended.stdout).toMatch(/^strategy +T +at +right +95 % +tokens\/forward$/m);
  expect(ended.stdout).toMatch(/^confidence +1 +k 1 +100\.0 % /m);
  expect(ended.stdout).toMatch(/^Fastest with at least 80 %/m);
  const points = JSON.parse(readFileSync(json, 'utf8')) as object[];
  // two tasks, two temperatures, k = 1 … 4 and eight thresholds
  expect(points).toHaveLength(2 * 2 * (4 + 8));
  for (const t of [0, 1]) {
    const svg = readFileSync(join(folder, `curves-${t}.svg`), 'utf8');
    expect(svg).toMatch(/^<svg /);
    for (const text of ['all tasks', 'copy', 'shuffle', 'threshold']) expect(svg).toContain(text);
  }
});
