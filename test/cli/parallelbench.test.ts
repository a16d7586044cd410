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
  expect(unknown.stderr).toMatch(/There is no juggle; tasks are copy, reverse/);
  const path = join(folder, 'none', 'corpus.jsonl');
  const nowhere = run('--write-corpus', path, '--count', '1');
  expect(nowhere.code).toBe(1);
  expect(nowhere.stderr).toMatch(/^lacuna: FILE_ERROR: --write-corpus: ENOENT/);
});
