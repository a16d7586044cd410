// Records the runs that the studio shows before anything else, with the model in the package.
// Needs a build; run it again when the frames of the canvas change.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadModel } from '../dist/index.js';
import { createHandler } from '../dist/server/index.js';
import { embeddedDefaults, embeddedModel } from '../dist/cli/embedded.js';
import { root } from './native-build.mjs';

const runs = [
  {
    name: 'first',
    title: 'One token a forward',
    lacuna: {},
    body: { prompt: 'ROMEO:\n', max_tokens: 96, seed: 7 },
  },
  {
    name: 'threshold',
    title: 'All tokens above 0.5, blocks of 32',
    lacuna: {
      decode: { name: 'threshold', options: { tau: 0.5 } },
      blocks: { name: 'blocks', options: { size: 32 } },
    },
    body: { prompt: 'JULIET:\n', max_tokens: 96, seed: 3 },
  },
  {
    name: 'wino',
    title: 'Drafts and doubts (WINO)',
    lacuna: {
      decode: { name: 'wino', options: { draft: 0.4, verify: 0.4 } },
      blocks: { name: 'blocks', options: { size: 32 } },
    },
    body: { prompt: 'KING RICHARD II:\n', max_tokens: 96, seed: 5 },
  },
];

const folder = join(root, 'studio', 'public', 'traces');
mkdirSync(folder, { recursive: true });
const model = await loadModel(embeddedModel, { device: 'cpu' });
const handler = createHandler({ model, defaults: embeddedDefaults });
const id = handler.engine.id;

for (const { name, title, lacuna, body } of runs) {
  const watch = { canvas: 'delta', measures: ['entropy', 'margin'], ahead: true, candidates: 3 };
  const request = { path: '/v1/completions', body: { ...body, lacuna: { ...watch, ...lacuna } } };
  const response = await handler(
    new Request('http://localhost/v1/completions', {
      method: 'POST',
      headers: { host: 'localhost', 'content-type': 'application/json' },
      body: JSON.stringify({ ...request.body, stream: true }),
    }),
  );
  const chunks = (await response.text())
    .split('\n\n')
    .filter((line) => line.startsWith('data: {'))
    .map((line) => JSON.parse(line.slice(6)));
  const wrong = chunks.find(({ error }) => error);
  if (wrong) throw new Error(wrong.error.message);
  const frames = chunks.flatMap((chunk) => chunk.lacuna ?? []);
  const text = chunks.map(({ choices }) => choices[0].text).join('');
  const trace = { kind: 'lacuna-run', v: 1, title, model: id, request, frames, text };
  const json = JSON.stringify(trace);
  writeFileSync(join(folder, `${name}.json`), json);
  console.log(`${name}: ${frames.length} frames, ${json.length} bytes\n${text}\n`);
}
const index = runs.map(({ name, title }) => ({ name, title }));
writeFileSync(join(folder, 'index.json'), JSON.stringify(index));
await model.dispose();
