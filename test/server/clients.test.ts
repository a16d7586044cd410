/** Clients from npm, as their users call them, over HTTP. */
import { afterAll, beforeAll } from 'vitest';
import type { Model } from '../../lib/index.js';
import { casesOf, defaults, embedded, loadEmbedded, suiteTests, type Case } from './clients.js';

let model: Model;
let cases: Case[];

beforeAll(async () => {
  model = await loadEmbedded();
  cases = await casesOf(model, 50, 8);
});
afterAll(() => model.dispose());

/** For those that load the model themselves. */
const { chat, temperature } = defaults;
const own = { file: embedded, template: chat.template, temperature };

const few = () => ({ model, cases: cases.slice(0, 3) });

await suiteTests({ name: 'fetch', file: 'raw', newer: true }, () => ({ model, cases }));
await suiteTests({ name: 'openai 6', file: 'openai', config: { client: 'openai6' } }, few);
await suiteTests(
  { name: 'openai 7', file: 'openai', newer: true, config: { client: 'openai7' } },
  few,
);

for (const [ai, compatible, newer] of [
  ['ai6', 'openai-compatible2', false],
  ['ai7', 'openai-compatible3', true],
] as const) {
  const http = { name: `${ai} over HTTP`, file: 'ai', newer, config: { ai, compatible } };
  await suiteTests(http, few);
  await suiteTests({ name: `${ai} in process`, file: 'ai', newer, config: { ai, ...own } }, few);
}
for (const [client, newer] of [
  ['openai6', false],
  ['openai7', true],
] as const) {
  const suite = { name: `responses with ${client}`, file: 'responses', newer };
  await suiteTests({ ...suite, config: { client } }, few);
}
await suiteTests({ name: '@ai-sdk/openai', file: 'ai-openai', newer: true }, few);
await suiteTests({ name: 'ollama', file: 'ollama' }, few);
await suiteTests({ name: 'LangChain', file: 'langchain', newer: true }, few);
