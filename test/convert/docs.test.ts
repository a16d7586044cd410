/** The example of docs/convert.md runs as it stands. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test, vi } from 'vitest';
import { inspectFile } from '../../lib/index.js';
import { families } from '../../lib/convert/families.js';
import { scratchFolder } from '../gguf/scratch.js';
import { hfModel, writeFolder } from './folders.js';

const scratch = scratchFolder();
const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const page = readFileSync(path('../../docs/convert.md'), 'utf8');

test('the example', async () => {
  const folder = writeFolder(scratch.path('LLaDA-8B-Instruct'), hfModel('LLaDAModelLM', 1));
  const out = scratch.path('llada.gguf');
  const [, code] = /^```ts\n(.*?)^```$/ms.exec(page)!;
  const file = scratch.path('example.ts');
  writeFileSync(
    file,
    code
      .replace("'lacuna'", JSON.stringify(path('../../lib/index.ts')))
      .replace("'LLaDA-8B-Instruct'", JSON.stringify(folder))
      .replace("'llada.gguf'", JSON.stringify(out)),
  );
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  try {
    await import(/* @vite-ignore */ pathToFileURL(file).href);
    expect(log.mock.calls[0].slice(0, 2)).toEqual(['llada', 'Q8_0']);
    expect(stderr).toHaveBeenCalled();
  } finally {
    log.mockRestore();
    stderr.mockRestore();
  }
  expect((await inspectFile(out)).spec?.architecture).toBe('llada');
});

test('every class is listed', () => {
  for (const { classes } of families)
    expect(classes.some((name) => page.includes(`\`${name}\``))).toBe(true);
});
