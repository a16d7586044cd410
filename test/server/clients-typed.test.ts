/** Typed output and tools with clients from npm: whatever the weights, it parses and fits. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import type { Model } from '../../lib/index.js';
import { defaults, loadRandom, suiteTests } from './clients.js';

const folder = mkdtempSync(join(tmpdir(), 'lacuna-clients-'));
const file = join(folder, 'random.gguf');
let model: Model;

beforeAll(async () => {
  model = await loadRandom(file);
});
afterAll(async () => {
  await model.dispose();
  rmSync(folder, { recursive: true });
});

const shared = () => ({ model, cases: [] });
const own = { file, template: defaults.chat.template };

for (const [name, client, newer] of [
  ['openai 6', 'openai6', false],
  ['openai 7', 'openai7', true],
] as const) {
  await suiteTests({ name, file: 'openai-typed', newer, config: { client } }, shared);
}
for (const [ai, compatible, newer] of [
  ['ai6', 'openai-compatible2', false],
  ['ai7', 'openai-compatible3', true],
] as const) {
  const suite = { file: 'ai-typed', newer };
  await suiteTests({ name: `${ai} over HTTP`, ...suite, config: { ai, compatible } }, shared);
  await suiteTests({ name: `${ai} in process`, ...suite, config: { ai, ...own } }, shared);
}
await suiteTests({ name: 'LangChain', file: 'langchain-typed', newer: true }, shared);
