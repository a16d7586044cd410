/** The examples of the README and of docs/ that need clients from npm, as they stand. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Model } from '../../lib/index.js';
import { defaults, embedded, loadEmbedded, serve } from './clients.js';
import type { TestServer } from './clients.js';
import { runExample } from './examples.js';

const root = new URL('../../', import.meta.url);
const clients = ['ai', 'openai', '@langchain/openai', 'ollama'];

let model: Model;
let server: TestServer;

beforeAll(async () => {
  model = await loadEmbedded();
  server = await serve(model, 'lacuna');
});
afterAll(async () => {
  await server?.close();
  await model?.dispose();
});

const blocksOf = (page: string) =>
  [...readFileSync(new URL(page, root), 'utf8').matchAll(/^```js\n(.*?)^```$/gms)].map(
    ([, code]) => code,
  );

/** With the server that runs, and the model there is. */
function runnable(code: string): string {
  // The model in the package has no format for chats.
  const chat = `{ bos: true, chat: { template: ${JSON.stringify(defaults.chat.template)} } }`;
  return code
    .replaceAll('http://127.0.0.1:8642', server.url)
    .replaceAll(/'[^']*\.gguf'\)\);/g, `${JSON.stringify(embedded)}), ${chat});`)
    .replaceAll(/'[^']*\.gguf'/g, JSON.stringify(embedded));
}

const run = (name: string, code: string) => runExample(name, runnable(code));

const needsClients = (code: string) => clients.some((name) => code.includes(`from '${name}'`));
const examples = [
  ...blocksOf('README.md').filter(needsClients),
  ...blocksOf('docs/server/clients.md'),
].map((code) => [/from '([^']*)'/.exec(code)![1], code]);

test.each(examples)('%s', async (_, code) => {
  const printed = await run(`example-${examples.findIndex(([, other]) => other === code)}`, code);
  expect(printed.trim().length).toBeGreaterThan(10);
});

test('docs/ai-sdk.md is one module', async () => {
  const printed = await run('ai-sdk', blocksOf('docs/ai-sdk.md').join('\n'));
  expect(printed).toMatch(/(true|false)\ntrue\n$/);
});
