/** The commands of docs/measure run as they stand, on a small sample; so do its examples in TypeScript. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { ended, main, root, temporaryFolder } from '../cli/lacuna.js';

const source = join(root, 'docs', 'measure');
const folder = join(temporaryFolder(), 'measure');
const pages = readdirSync(source).filter((name) => name.endsWith('.md'));

const short = ['--sample', '1', '-n', '6', '--threads', '1'];
/** Options that come last have their way. */
const reduced: Record<string, string[]> = {
  ...{ order: short, joint: short, oscillation: short, zipf: ['-n', '4'], toy: ['--threads', '1'] },
  positions: ['--sample', '2', '--masks', '9', '--threads', '1'],
  likelihood: ['--sample', '1', '--length', '6', '--samples', '4', '--threads', '1'],
};

beforeEach(() => {
  mkdirSync(folder, { recursive: true });
  cpSync(source, folder, { recursive: true });
  for (const name of readdirSync(folder)) {
    if (name.endsWith('.svg')) rmSync(join(folder, name)); // the commands draw them
  }
});

const commands = pages.flatMap((page) =>
  [...readFileSync(join(source, page), 'utf8').matchAll(/^```sh\n(.*?)^```$/gms)]
    .flatMap(([, code]) => code.replaceAll('\\\n', ' ').trim().split('\n'))
    .map((command) => [page, command.replace(/\s+/g, ' ')]),
);

test('every measurement has a command', () => {
  const names = commands.map(([, command]) => command.split(' ')[2]);
  expect([...new Set(names)].sort()).toEqual(Object.keys(reduced).sort());
});

test.each(commands)('%s: %s', (_, command) => {
  const [lacuna, measure, name, ...args] = command.split(' ');
  expect([lacuna, measure]).toEqual(['lacuna', 'measure']);
  const run = [main, 'measure', name, ...args, ...reduced[name], '-o', 'figures.json'];
  const { code, stdout, stderr } = ended(process.execPath, run, '', {}, folder);
  expect([stderr, code]).toEqual(['', 0]);
  expect(stdout).toMatch(/^\| .*\n\| -+|^tasks +1$/m);
  expect(JSON.parse(readFileSync(join(folder, 'figures.json'), 'utf8'))).toBeTypeOf('object');
  const chart = args[args.indexOf('--chart') + 1];
  expect(readFileSync(join(folder, chart), 'utf8')).toMatch(/^<svg .*<\/svg>\s*$/s);
});

test('the charts of the pages exist', () => {
  const images = pages.flatMap((page) =>
    [...readFileSync(join(source, page), 'utf8').matchAll(/!\[[^\]]*\]\(([^)]+)\)/g)].map(
      ([, file]) => file,
    ),
  );
  expect(images).toHaveLength(Object.keys(reduced).length);
  expect(images.filter((file) => !existsSync(join(source, file)))).toEqual([]);
});
