// The server by the clock: what tests must not assert, since they run on busy machines.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { TextDecoder } from 'node:util';
import { clearInterval, setInterval } from 'node:timers';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { median } from '../dist/cli/format.js';
import { writeSynthetic } from '../dist/gguf/synthetic.js';
import { blocks, Batch, generate, leftToRight, loadModel, topK } from '../dist/index.js';
import { createHandler, limitsOf, listen } from '../dist/server/index.js';
import { root } from '../scripts/native-build.mjs';
import { markdown, ms } from './report.mjs';

const embedded = join(root, 'models', 'shakespeare-7m.Q8_0.gguf');
const prompt = 'ROMEO:\nMy lord,';
const template = '{{ bos_token }}{% for m in messages %}{{ m.content }}\n\n{% endfor %}';
const defaults = { decode: leftToRight(), blocks: blocks(8), bos: true, chat: { template } };

/** What is measured, and what must hold. */
const parts = { cuts, slowSockets, hostileTemplates, firstRun, shortBehindLong };

export async function run({ runs = 20, threads }) {
  const rows = [];
  for (const part of Object.values(parts)) rows.push(...(await part({ runs, threads })));
  console.log(
    markdown(
      ['what', '>found', '>at most', 'unit', ''],
      rows.map(({ name, found, bar, unit }) => [
        ...[name, ms(found), ms(bar), unit, found <= bar ? 'met' : 'NOT MET'],
      ]),
    ),
  );
  const missed = rows.filter(({ found, bar }) => !(found <= bar));
  const failures = missed.map(
    ({ name, found, bar, unit }) => `${name}: ${ms(found)} ${unit}, at most ${ms(bar)}`,
  );
  return { data: { runs, rows }, failures };
}

/** A server of this process on a free port. */
async function serving(options, work) {
  const handler = createHandler({ defaults, studio: false, ...options });
  const server = await listen(handler, {
    port: 0,
    drainDelay: 0,
    limits: limitsOf(options.limits),
  });
  try {
    return await work(handler, server.url);
  } finally {
    await server.close(true);
  }
}

const post = (url, path, body) =>
  fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

async function whole(url, body) {
  const response = await post(url, '/v1/completions', { prompt, ...body });
  const answer = await response.json();
  if (response.status !== 200) throw new Error(JSON.stringify(answer));
  return answer;
}

/** M5: from the cut to the free slot, less the forward that runs. */
async function cuts({ runs, threads }) {
  const model = await loadModel(embedded, { device: 'cpu', threads });
  try {
    return await serving({ model }, async ({ engine }, url) => {
      const { lacuna } = await whole(url, { max_tokens: 64 });
      const forward = lacuna.stats.runMs / lacuna.stats.forwards;
      const times = [];
      for (let i = 0; i < runs; i++) {
        const left = new AbortController();
        const response = await fetch(`${url}/v1/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ prompt, max_tokens: 200, stream: true }),
          signal: left.signal,
        });
        await response.body.getReader().read();
        const start = performance.now();
        left.abort();
        while (engine.running > 0) await turn();
        times.push(performance.now() - start);
      }
      const name = `M5 cut to free slot, worst of ${runs}`;
      return [{ name, found: Math.max(...times), bar: forward + 50, unit: 'ms' }];
    });
  } finally {
    await model.dispose();
  }
}

/** M8: how much longer others wait while 500 sockets send their headers byte by byte. */
async function slowSockets({ runs, threads }) {
  const model = await loadModel(embedded, { device: 'cpu', threads });
  try {
    return await serving({ model, limits: { connections: 1024 } }, async (_, url) => {
      const latency = async () => {
        const times = [];
        for (let i = 0; i < runs; i++) {
          const start = performance.now();
          await whole(url, { max_tokens: 8, seed: i });
          times.push(performance.now() - start);
        }
        return median(times);
      };
      await latency(); // memory is touched
      const alone = await latency();
      const { port, hostname } = new URL(url);
      const sockets = Array.from({ length: 500 }, () => connect(Number(port), hostname));
      for (const socket of sockets) socket.on('error', () => {}).write('POST / HTTP/1.1\r\nX-A: ');
      const drip = setInterval(() => {
        for (const socket of sockets) if (socket.writable) socket.write('a');
      }, 100);
      const attacked = await latency();
      clearInterval(drip);
      for (const socket of sockets) socket.destroy();
      const name = 'M8 latency beside 500 slow senders';
      return [{ name, found: attacked / alone, bar: 2, unit: '× alone' }];
    });
  } finally {
    await model.dispose();
  }
}

/** M9: how long the event loop stands still while templates of files loop and grow. */
async function hostileTemplates() {
  const model = await loadModel(embedded, { device: 'cpu', threads: 1 });
  const hostile = [
    '{% for i in range(100000000) %}{% endfor %}',
    "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    '{% for i in range(3000) %}{% for j in range(3000) %}{{ i * j }}{% endfor %}{% endfor %}',
  ];
  const delay = monitorEventLoopDelay({ resolution: 1 });
  try {
    for (const template of hostile) {
      const usual = { ...defaults, chat: { template } };
      await serving({ model, defaults: usual }, async (_, url) => {
        await fetch(`${url}/healthz`);
        delay.enable();
        const messages = [{ role: 'user', content: prompt }];
        const response = await post(url, '/v1/chat/completions', { messages, max_tokens: 1 });
        delay.disable();
        if (response.status !== 400) throw new Error(`${template} was rendered`);
      });
    }
    const name = 'M9 event loop beside hostile templates';
    return [{ name, found: delay.max / 1e6, bar: 100, unit: 'ms' }];
  } finally {
    await model.dispose();
  }
}

/** M13 and M12: the command that a person runs, and its end during 20 streams. */
async function firstRun() {
  const args = [join(root, 'dist', 'cli', 'main.js'), 'serve', '--port', '0', '--no-key'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exit = once(child, 'exit');
  const [line] = await once(createInterface(child.stdout), 'line');
  const printed = performance.now();
  const [url] = /http:\/\/[^/ ]+/.exec(line);
  const body = { prompt, max_tokens: 64, stream: true, lacuna: { canvas: 'delta' } };
  const reader = (await post(url, '/v1/completions', body)).body.getReader();
  const decoder = new TextDecoder();
  for (let text = ''; !text.includes('"kind":"step"');) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`the stream ended without a step: ${text}`);
    text += decoder.decode(value, { stream: true });
  }
  const moved = performance.now() - printed;
  await reader.cancel();
  const streams = Array.from({ length: 20 }, (_, seed) =>
    post(url, '/v1/completions', { ...body, seed, max_tokens: 128 }),
  );
  await Promise.any(streams); // that one is being written, the others are on their way
  await fetch(`${url}/readyz`);
  const start = performance.now();
  child.kill('SIGTERM');
  while ((await fetch(`${url}/readyz`)).status !== 503);
  const drained = performance.now() - start;
  await Promise.all(streams.map(async (stream) => (await stream).text()));
  child.kill('SIGTERM');
  await exit;
  return [
    { name: 'M13 address to first tokens', found: moved, bar: 3000, unit: 'ms' },
    { name: 'M12 SIGTERM to readyz 503', found: drained, bar: 100, unit: 'ms' },
  ];
}

/** Random weights that see 4,096 positions. */
async function wideModel(threads) {
  const folder = join(root, 'build', 'bench');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'server.gguf');
  const shape = { layers: 2, dim: 128, heads: 2, ffn: 256, vocabulary: 300, context: 4096 };
  await writeSynthetic(path, { architecture: 'llada', ...shape, type: 'F32', seed: 5 });
  return loadModel(path, { device: 'cpu', threads });
}

/** S7: forwards that end before the first of a short request does, behind a canvas of 2,048. */
async function shortBehindLong({ threads }) {
  const model = await wideModel(threads);
  try {
    let forwards = 0;
    const batch = new Batch(model, { onForward: () => forwards++ });
    const left = new AbortController();
    const decode = topK({ k: 8 });
    const long = generate(batch, [1, 2, 3], { maxTokens: 2048, decode, signal: left.signal });
    for await (const { step } of long) {
      if (step < 1) continue;
      const before = forwards;
      const short = generate(batch, [4, 5, 6], { maxTokens: 32, decode });
      for await (const _ of short) break;
      left.abort();
      const name = 'S7 forwards until a short request moves';
      return [{ name, found: forwards - before, bar: 2, unit: '' }];
    }
    throw new Error('the long one ended at once');
  } finally {
    await model.dispose();
  }
}
