// 300 cycles of load, generate, dispose: resident memory after 50 of them and at the end.
// Needs --expose-gc, so that what JavaScript has not collected yet is not counted.
import { load, prompt } from './common.mjs';

const cycles = 300;
const samples = [];
for (let i = 1; i <= cycles; i++) {
  const model = await load({ device: 'cpu' });
  await model.generate(prompt, { maxTokens: 8 }).result;
  await model.dispose();
  globalThis.gc();
  samples.push(process.memoryUsage.rss() / 2 ** 20);
}
const mean = (list) => list.reduce((a, b) => a + b) / list.length;
const early = mean(samples.slice(50, 70));
const late = mean(samples.slice(-20));
console.log(JSON.stringify({ cycles, early, late, largest: Math.max(...samples.slice(50)) }));
