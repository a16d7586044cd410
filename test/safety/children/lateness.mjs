// How late a 5 ms timer on the main thread is during a generation.
import { performance } from 'node:perf_hooks';
import { clearInterval, setInterval } from 'node:timers';
import { load, prompt } from './common.mjs';

const period = 5;
const model = await load({ device: 'cpu' });
const late = [];
let last = performance.now();
const timer = setInterval(() => {
  const now = performance.now();
  late.push(now - last - period);
  last = now;
}, period);
const { forwards } = await model.generate(prompt, { maxTokens: 128, stopAtEos: false }).result;
clearInterval(timer);
await model.dispose();
late.sort((a, b) => a - b);
const at = (share) => late[Math.floor(share * (late.length - 1))];
console.log(
  JSON.stringify({ forwards, ticks: late.length, median: at(0.5), p99: at(0.99), worst: at(1) }),
);
