/** The examples of docs/ run as they stand: all TypeScript of a page is one module. */
import { createRequire } from 'node:module';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const pages = ['', 'decoding/'].flatMap((folder) =>
  readdirSync(path(`../../docs/${folder}`))
    .filter((name) => name.endsWith('.md'))
    .map((name) => folder + name),
);
const library = JSON.stringify(path('../../lib/index.ts'));
const embedded = JSON.stringify(path('../../models/shakespeare-7m.Q8_0.gguf'));
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lacuna-docs-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The TypeScript of a page, with the library of this repository and the model it ships. */
function moduleOf(page: string): string {
  const text = readFileSync(path(`../../docs/${page}`), 'utf8');
  const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code);
  return blocks
    .join('\n')
    .replaceAll("from 'lacuna'", `from ${library}`)
    .replaceAll(
      "from 'zod'",
      `from ${JSON.stringify(createRequire(import.meta.url).resolve('zod'))}`,
    )
    .replaceAll(/'[^']*\.gguf'/g, embedded);
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
