// How late a 5 ms timer on the main thread is during a generation, and before it.
import { performance } from 'node:perf_hooks';
import { clearInterval, setInterval } from 'node:timers';
import { load, prompt } from './common.mjs';

const period = 5;

/** Milliseconds by which each tick is late while `work` runs. */
async function lateness(work) {
  const late = [];
  let last = performance.now();
  let tick;
  const ticks = new Promise((resolve) => (tick = resolve));
  const timer = setInterval(() => {
    const now = performance.now();
    late.push(now - last - period);
    last = now;
    if (late.length === 200) tick();
  }, period);
  await work(ticks);
  clearInterval(timer);
  late.sort((a, b) => a - b);
  const at = (share) => Number(late[Math.floor(share * (late.length - 1))].toFixed(1));
  return { ticks: late.length, median: at(0.5), p99: at(0.99), worst: at(1) };
}

const model = await load({ device: 'cpu' });
void model.tokenizer; // made on first use, which is part of getting ready
const idle = await lateness((ticks) => ticks);
const busy = await lateness(
  () => model.generate(prompt, { maxTokens: 128, stopAtEos: false }).result,
);
await model.dispose();
console.log(JSON.stringify({ idle, busy }));
