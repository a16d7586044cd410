/** Files that one command writes and another reads; a child process of the built package. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { lacuna, short, temporaryFolder } from './lacuna.js';

const folder = temporaryFolder();

const json = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;

test('background of texts, for pc-sampler', () => {
  const [text, path] = [join(folder, 'text.txt'), join(folder, 'background.json')];
  writeFileSync(text, 'ROMEO:\nWhat light through yonder window breaks?\n');
  expect(lacuna(['background', text, text, '-o', path])).toEqual({
    code: 0,
    stdout: '',
    stderr: '',
  });
  const { vocabulary, total, counts } = json(path);
  expect(vocabulary).toBe(1024);
  const sum = Object.values(counts as Record<string, number>).reduce((a, b) => a + b, 0);
  expect(sum).toBe(total);
  expect(total).toBeGreaterThan(20);
  expect(JSON.parse(lacuna(['background', text]).stdout)).toMatchObject({
    total: Number(total) / 2,
  });
  const run = ['run', '-p', 'ROMEO:\n', '--json', ...short, '--decode', 'pc-sampler'];
  expect(lacuna([...run, '--background', path])).toMatchObject({ code: 0, stderr: '' });
  expect(lacuna(run).stderr).toMatch(/--decode pc-sampler needs --background/);
  expect(lacuna([...run, '--background', text]).stderr).toMatch(
    /INVALID_ARGUMENT: .* is no JSON file/,
  );
  expect(lacuna(['background', join(folder, 'none.txt')]).stderr).toMatch(
    /^lacuna: FILE_ERROR: text: /,
  );
});

test('thresholds of one run, for osdt', () => {
  const path = join(folder, 'profile.json');
  const prompt = ['-p', 'ROMEO:\n', '-n', '12', '--block-length', '4'];
  const made = lacuna([
    'calibrate',
    ...prompt,
    '--granularity',
    'step',
    '--metric',
    'q1',
    '-o',
    path,
  ]);
  expect(made).toEqual({ code: 0, stdout: '', stderr: '' });
  expect(json(path)).toMatchObject({
    kind: 'thresholds',
    granularity: 'step',
    metric: 'q1',
    cap: 0.9,
  });
  const run = ['run', ...prompt, '--json', '--decode', 'osdt'];
  const { code, stdout } = lacuna([...run, '--profile', path]);
  expect(code).toBe(0);
  expect((JSON.parse(stdout) as { forwards: number }).forwards).toBeGreaterThan(0);
  expect(lacuna(run)).toMatchObject({ code: 2 });
  expect(lacuna([...run, '--profile', join(folder, 'none.json')]).stderr).toMatch(
    /FILE_ERROR: --profile/,
  );
  expect(lacuna(['calibrate', ...prompt, '--decode', 'factor'])).toMatchObject({ code: 2 });
});
