// Models and sessions that nobody disposes of. Nothing calls the collector by hand: it knows of
// their memory and comes by itself. Every model has a file of its own: models of one file share weights.
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { load, path, turn } from './common.mjs';

const mb = (bytes) => Math.round(bytes / 2 ** 20);
const models = 60;

async function waste(file) {
  copyFileSync(path, file);
  const model = await load({ device: 'ref' }, file);
  const session = model.createSession({ length: 256 });
  session.fork();
  await model.createSession({ length: 4 }).step();
  return model.info.weightBytes + 2 * model.sessionBytes(256);
}

const folder = mkdtempSync(join(tmpdir(), 'lacuna-collect-'));
const before = process.memoryUsage.rss();
let used = 0;
let largest = 0;
for (let i = 0; i < models; i++) {
  used += await waste(join(folder, `${i}.gguf`));
  await turn();
  largest = Math.max(largest, process.memoryUsage.rss());
}
rmSync(folder, { recursive: true });
console.log(JSON.stringify({ models, used: mb(used), largest: mb(largest - before) }));
