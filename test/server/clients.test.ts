/** Clients from npm, as their users call them, over HTTP. */
import { afterAll, beforeAll } from 'vitest';
import type { Model } from '../../lib/index.js';
import { casesOf, loadEmbedded, suiteTests, type Case } from './clients.js';

let model: Model;
let cases: Case[];

beforeAll(async () => {
  model = await loadEmbedded();
  cases = await casesOf(model, 50, 8);
});
afterAll(() => model.dispose());

const few = () => ({ model, cases: cases.slice(0, 3) });

await suiteTests({ name: 'fetch', file: 'raw', newer: true }, () => ({ model, cases }));
await suiteTests({ name: 'openai 6', file: 'openai', config: { client: 'openai6' } }, few);
await suiteTests(
  { name: 'openai 7', file: 'openai', newer: true, config: { client: 'openai7' } },
  few,
);
