// Models and sessions that nobody disposes of. Nothing calls the collector by hand: it knows of
// their memory and comes by itself.
import { load, turn } from './common.mjs';

const mb = (bytes) => Math.round(bytes / 2 ** 20);
const models = 60;

async function waste() {
  const model = await load({ device: 'ref' });
  const session = model.createSession({ length: 256 });
  session.fork();
  await model.createSession({ length: 4 }).step();
  return model.info.weightBytes + 2 * model.sessionBytes(256);
}

const before = process.memoryUsage.rss();
let used = 0;
let largest = 0;
for (let i = 0; i < models; i++) {
  used += await waste();
  await turn();
  largest = Math.max(largest, process.memoryUsage.rss());
}
console.log(JSON.stringify({ models, used: mb(used), largest: mb(largest - before) }));
