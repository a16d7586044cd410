/** The examples of the README and of docs/ that need clients from npm, as they stand. */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Model } from '../../lib/index.js';
import { clientsInstalled, defaults, embedded, loadEmbedded, newerNode, serve } from './clients.js';
import type { TestServer } from './clients.js';

const root = new URL('../../', import.meta.url);
/** Where imports find the clients. */
const folder = new URL('../clients/node_modules/.examples/', import.meta.url);
const packages: Record<string, string> = {
  ai: 'ai7',
  openai: 'openai7',
  '@ai-sdk/openai-compatible': 'openai-compatible3',
  lacuna: new URL('dist/index.js', root).href,
  'lacuna/ai-sdk': new URL('dist/ai-sdk/index.js', root).href,
};
const clients = ['ai', 'openai', '@langchain/openai', 'ollama'];

let model: Model;
let server: TestServer;

beforeAll(async () => {
  if (!clientsInstalled()) {
    throw new Error('test/clients is not installed: run node scripts/ensure-clients.mjs');
  }
  mkdirSync(folder, { recursive: true });
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

/** With the clients and the library where they are, the server that runs, and the model there is. */
function runnable(code: string): string {
  // The model in the package has no format for chats.
  const chat = `{ bos: true, chat: { template: ${JSON.stringify(defaults.chat.template)} } }`;
  return code
    .replaceAll(/from '([^']*)'/g, (_, name: string) => `from '${packages[name] ?? name}'`)
    .replaceAll('http://127.0.0.1:8642', server.url)
    .replaceAll(/'[^']*\.gguf'\)\);/g, `${JSON.stringify(embedded)}), ${chat});`)
    .replaceAll(/'[^']*\.gguf'/g, JSON.stringify(embedded));
}

async function run(name: string, code: string): Promise<string> {
  const { outputText } = ts.transpileModule(runnable(code), {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  const file = new URL(`${name}.mjs`, folder);
  writeFileSync(file, outputText);
  const child = spawn(newerNode(), [fileURLToPath(file)], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [printed, said] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const status = await new Promise((resolve) => child.on('close', resolve));
  expect(status, said).toBe(0);
  return printed;
}

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
