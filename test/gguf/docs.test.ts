/** The examples of docs/quantize.md run as they stand. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, expect, test, vi } from 'vitest';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'lacuna-docs-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('docs/quantize.md', async () => {
  const page = readFileSync(path('../../docs/quantize.md'), 'utf8');
  const code = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block]) => block).join('\n');
  const file = join(folder, 'page.ts');
  writeFileSync(
    file,
    code
      .replaceAll("from 'lacuna'", `from ${JSON.stringify(path('../../lib/index.ts'))}`)
      .replace("'llada.F16.gguf'", JSON.stringify(path('../../models/shakespeare-7m.Q8_0.gguf')))
      .replace("'llada.Q4_K_M.gguf'", JSON.stringify(join(folder, 'written.gguf'))),
  );
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
  try {
    await import(/* @vite-ignore */ pathToFileURL(file).href);
    const [[bytes, relative, worst, type], encoded] = log.mock.calls as [unknown[], unknown[]];
    expect(bytes).toBeGreaterThan(4e6);
    expect(relative).toBeLessThan(0.1);
    expect(worst).toMatch(/\.weight$/);
    expect(type).toBe('Q4_K');
    expect(encoded).toEqual([288, [{ type: 'Q6_K' }]]);
  } finally {
    vi.restoreAllMocks();
  }
});
