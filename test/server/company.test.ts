/** Many at once: who leaves, who waits, and who gets the same tokens as alone. */
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeAll, expect, test } from 'vitest';
import type { Model } from '../../lib/index.js';
import { Random } from '../../lib/gguf/random.js';
import { createHandler, type Handler } from '../../lib/server/index.js';
import { opened, posted, samples, serve, tinyModel } from './machine.js';

let model: Model;
beforeAll(async () => {
  model = await tinyModel();
});

interface Reply {
  choices: { text: string }[];
  usage: { prompt_tokens: number; completion_tokens: number };
}

const ask = (body: object, signal?: AbortSignal) =>
  new Request('http://localhost/v1/completions', {
    method: 'POST',
    headers: { host: 'localhost', 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  });
const get = (path: string) =>
  new Request(`http://localhost${path}`, { headers: { host: 'localhost' } });
const counted = (handler: Handler) => samples(async () => (await handler(get('/metrics'))).text());
const forwards = async (handler: Handler) => (await counted(handler)).get('lacuna_forwards_total')!;

/** One token a forward. */
const slow = (tokens: number) => ({
  max_tokens: tokens,
  lacuna: { steps: tokens, canvas: 'delta' },
});

const collect = (() => {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
})();

test('two hundred cuts: each slot is free within a forward, and memory stays', async () => {
  const handler = createHandler({ model, limits: { parallel: 4 } });
  const random = new Random(11);
  const below = (n: number) => Math.floor(random.uniform() * n);
  let cancelled = 0;
  const cut = async (i: number): Promise<void> => {
    const leaver = new AbortController();
    const body = { prompt: `cut ${i}`, stream: i % 4 !== 3, ...slow(300), seed: i };
    const waiting = handler(ask(body, leaver.signal));
    if (body.stream) {
      const reader = (await waiting).body!.getReader();
      for (let bytes = below(12_000); bytes > 0;) {
        const { value } = (await reader.read()) as { value?: Uint8Array };
        expect(value).toBeDefined();
        bytes -= value!.length;
      }
      const before = await forwards(handler);
      if (i % 2 === 0) await reader.cancel();
      else leaver.abort();
      while (handler.engine.running > 0) await turn();
      expect((await forwards(handler)) - before).toBeLessThanOrEqual(1);
    } else {
      for (let turns = below(200); turns > 0; turns--) await turn();
      const before = await forwards(handler);
      leaver.abort();
      await waiting;
      while (handler.engine.running > 0) await turn();
      expect((await forwards(handler)) - before).toBeLessThanOrEqual(1);
    }
    cancelled++;
    expect([handler.active, handler.engine.waiting]).toEqual([0, 0]);
    expect((await counted(handler)).get('lacuna_cancelled_total')).toBe(cancelled);
  };
  // What is in use is exact; what the process holds of it, not quite.
  const memory = () => {
    collect();
    const { heapUsed, external, rss } = process.memoryUsage();
    return { used: (heapUsed + external) / 2 ** 20, rss: rss / 2 ** 20 };
  };
  for (let i = 0; i < 60; i++) await cut(i);
  const warm = memory();
  for (let i = 60; i < 200; i++) await cut(i);
  const after = memory();
  expect(after.used - warm.used).toBeLessThan(4); // MiB
  expect(after.rss - warm.rss).toBeLessThan(64);
  const response = await handler(ask({ prompt: 'x', max_tokens: 4 }));
  expect(response.status).toBe(200);
  expect(handler.engine.sessionBytes).toBe(0);
});

test('cuts of sockets: aborted, closed, half closed', async () => {
  const { handler, port } = await serve({ model, limits: { parallel: 2, queue: 64 } });
  const random = new Random(12);
  for (let i = 0; i < 60; i++) {
    const socket = await opened(port);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(posted('/v1/completions', { prompt: 'x', stream: true, ...slow(2000) }));
    let bytes = 1 + Math.floor(random.uniform() * 20_000);
    await new Promise<void>((resolve) => {
      socket.on('data', (data) => {
        bytes -= data.length;
        if (bytes > 0) return;
        if (i % 3 === 0) socket.resetAndDestroy();
        else if (i % 3 === 1) socket.destroy();
        else socket.end().destroySoon();
        resolve();
      });
    });
    await closed;
  }
  while (handler.active > 0) await turn();
  expect([handler.engine.running, handler.engine.waiting]).toEqual([0, 0]);
  const count = await counted(handler);
  // Each was left or, where this process was slow to leave, had ended by itself.
  expect(count.get('lacuna_cancelled_total')! + count.get('lacuna_tokens_per_forward_count')!).toBe(
    60,
  );
  expect(count.get('lacuna_cancelled_total')).toBeGreaterThan(50);
});

test('leaving the queue', async () => {
  const handler = createHandler({ model, limits: { parallel: 1, queue: 8 } });
  const first = new AbortController();
  const running = handler(ask({ prompt: 'a', ...slow(2000) }, first.signal));
  while (handler.engine.running === 0) await turn();
  const leavers = Array.from({ length: 8 }, () => new AbortController());
  const waiting = leavers.map((leaver) => handler(ask({ prompt: 'b', ...slow(8) }, leaver.signal)));
  while (handler.engine.waiting < 8) await turn();
  expect((await handler(ask({ prompt: 'c', n: 3, ...slow(8) }))).status).toBe(429);
  for (const leaver of leavers.slice(0, 7)) leaver.abort();
  await Promise.all(waiting.slice(0, 7));
  expect([handler.engine.running, handler.engine.waiting]).toEqual([1, 1]);
  first.abort();
  await running;
  expect((await waiting[7]).status).toBe(200);
  expect((await counted(handler)).get('lacuna_cancelled_total')).toBe(8);
  // Of the three choices none is left in the queue.
  expect([handler.active, handler.engine.running, handler.engine.waiting]).toEqual([0, 0, 0]);
});

test('four together get the tokens of each alone', async () => {
  const handler = createHandler({ model });
  const bodies = [0, 1, 2, 3].map((i) => ({
    ...{ prompt: 'word '.repeat(1 + 7 * i), seed: i, temperature: i % 2 },
    ...{ max_tokens: 24 + 8 * i, lacuna: { steps: 12 } },
  }));
  const text = async (body: object) =>
    ((await (await handler(ask(body))).json()) as Reply).choices[0].text;
  const alone: string[] = [];
  for (const body of bodies) alone.push(await text(body));
  const between = await forwards(handler);
  expect(await Promise.all(bodies.map(text))).toEqual(alone);
  expect((await forwards(handler)) - between).toBeLessThan(2 * 12); // shared
});

test('a short request behind a long canvas waits for less than two forwards', async () => {
  const handler = createHandler({ model });
  const leaver = new AbortController();
  const long = { prompt: 'a', ...slow(2048) };
  const running = handler(ask(long, leaver.signal));
  while ((await forwards(handler)) < 2) await turn();
  const rows = async () => (await counted(handler)).get('lacuna_slots_total')!;
  const [before, slots] = [await forwards(handler), await rows()];
  const { length } = model.tokenizer.encode('b');
  const response = await handler(ask({ prompt: 'b', max_tokens: 32, lacuna: { steps: 1 } }));
  expect(response.status).toBe(200);
  // One that was running when it came, and the one that it shared.
  const shared = (await forwards(handler)) - before;
  expect(shared).toBeLessThanOrEqual(2);
  expect((await rows()) - slots).toBe(shared * 2049 + 32 + length);
  leaver.abort();
  await running;
});

test('sums: what clients were told is what was counted', async () => {
  const handler = createHandler({ model });
  let [prompt, completion] = [0, 0];
  for (let i = 0; i < 6; i++) {
    const response = await handler(ask({ prompt: 'x'.repeat(i + 1), max_tokens: 4 + i }));
    const { usage } = (await response.json()) as Reply;
    prompt += usage.prompt_tokens;
    completion += usage.completion_tokens;
  }
  for (const body of [{ prompt: 1 }, { prompt: 'a', n: 0 }]) await handler(ask(body));
  const count = await counted(handler);
  expect(count.get('lacuna_tokens_total{kind="prompt"}')).toBe(prompt);
  expect(count.get('lacuna_tokens_total{kind="completion"}')).toBe(completion);
  const route = 'route="/v1/completions"';
  expect(count.get(`lacuna_requests_total{${route},status="200"}`)).toBe(6);
  expect(count.get(`lacuna_requests_total{${route},status="400"}`)).toBe(2);
  expect(count.get('lacuna_request_seconds_count')).toBe(8);
  expect(count.get('lacuna_forward_seconds_count')).toBe(count.get('lacuna_forwards_total'));
  expect(count.get('lacuna_cancelled_total')).toBe(0);
});
