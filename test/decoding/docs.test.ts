/** The examples of docs/ run as they stand: all TypeScript of a page is one module. */
import { createRequire } from 'node:module';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
/** Their examples need files, which tests of their own make: test/convert, test/gguf. */
const elsewhere = ['convert.md', 'quantize.md'];
const pages = ['', 'decoding/', 'measure/', 'server/'].flatMap((folder) =>
  readdirSync(path(`../../docs/${folder}`))
    .filter((name) => name.endsWith('.md'))
    .map((name) => folder + name)
    .filter((page) => !elsewhere.includes(page)),
);
const library = JSON.stringify(path('../../lib/index.ts'));
const server = JSON.stringify(path('../../lib/server/index.ts'));
const zod = JSON.stringify(createRequire(import.meta.url).resolve('zod'));
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lacuna-docs-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The file of that name if the package has it, else the embedded model. */
function modelFor(name: string): string {
  const shipped = path(`../../models/${name.replace(/.*\//, '')}.gguf`);
  return existsSync(shipped) ? shipped : path('../../models/shakespeare-7m.Q8_0.gguf');
}

/** The TypeScript of a page, with the library of this repository and the model it ships. */
function moduleOf(page: string): string {
  const text = readFileSync(path(`../../docs/${page}`), 'utf8');
  const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code);
  return blocks
    .join('\n')
    .replaceAll("from 'lacuna'", `from ${library}`)
    .replaceAll("from 'lacuna/server'", `from ${server}`)
    .replaceAll("from 'zod'", `from ${zod}`)
    .replaceAll(/'([^']*)\.gguf'/g, (_, name: string) => JSON.stringify(modelFor(name)));
}

test.each(pages)('%s', async (page) => {
  const code = moduleOf(page);
  if (code === '') return; // a page of text and tables
  const file = join(folder, page.replaceAll('/', '-').replace('.md', '.ts'));
  writeFileSync(file, code);
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  try {
    await import(/* @vite-ignore */ pathToFileURL(file).href);
    for (const [first] of log.mock.calls) expect(first).toBeDefined();
  } finally {
    log.mockRestore();
  }
});
