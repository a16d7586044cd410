/** Asking for the end of an answer that is being written; the guard in front of all paths. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dialectGets, dialectPosts } from '../../../lib/server/dialects/index.js';
import { eventsOf, messages, prompt, Server } from './support.js';

let server: Server;
beforeAll(async () => {
  server = await Server.start();
});
afterAll(() => server.model.dispose());

const path = '/v1/chat/completions/control';
const long = { messages, max_tokens: 200, seed: 1 };

test('commit_now: the answer is complete, a few forwards later', async () => {
  const body = { ...long, stream: true, lacuna: { canvas: 'delta' } };
  const response = await server.request('/v1/chat/completions', body);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('"kind":"step"')) text += (await reader.read()).value!;
  const [{ id }] = eventsOf(text.slice(0, text.indexOf('\n\n') + 2));
  const reply = await server.json(path, { id, action: 'commit_now' });
  expect(reply).toMatchObject({ id, action: 'commit_now', applied: true });
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
  }
  expect(text).toContain('[DONE]');
  const events = eventsOf(text);
  const frames = events.map(({ lacuna }) => lacuna as { kind: string; remaining: number });
  const steps = frames.filter((frame) => frame?.kind === 'step');
  expect(steps.at(-1)!.remaining).toBe(0);
  expect(steps.length).toBeLessThan(100); // of 200
  const last = frames.find((frame) => frame?.kind === 'end') as unknown as {
    stats: { tokens: number };
  };
  expect(last.stats.tokens).toBeGreaterThan(steps.length);
  expect(server.handler.engine.running).toBe(0);
});

test('by the id of the request, for an answer in one piece', async () => {
  const id = 'mine-1';
  const answer = server.request('/v1/chat/completions', long, { 'x-request-id': id });
  await expect.poll(() => server.handler.engine.running).toBe(1);
  await server.json(path, { id, action: 'commit_now' });
  const { choices, lacuna } = (await (await answer).json()) as {
    choices: { message: { content: string }; finish_reason: string }[];
    lacuna: { stats: { forwards: number } };
  };
  expect(choices[0].message.content.length).toBeGreaterThan(0);
  expect(lacuna.stats.forwards).toBeLessThan(200);
});

test('JSON is whole', async () => {
  const line = { type: 'string', maxLength: 200 };
  const schema = {
    type: 'object',
    properties: { first: line, second: line, third: line },
    required: ['first', 'second', 'third'],
  };
  const response_format = { type: 'json_schema', json_schema: { name: 'lines', schema } };
  const id = 'mine-2';
  const body = { messages, response_format, seed: 1 };
  const answer = server.request('/v1/chat/completions', body, { 'x-request-id': id });
  await expect.poll(() => server.handler.engine.running).toBe(1);
  await server.json(path, { id, action: 'commit_now' });
  const { choices } = (await (await answer).json()) as {
    choices: { message: { content: string } }[];
  };
  const value = JSON.parse(choices[0].message.content) as object;
  expect(Object.keys(value)).toEqual(['first', 'second', 'third']);
});

test.each<[object, number, string]>([
  [{ id: 'chatcmpl-none', action: 'commit_now' }, 404, 'id'],
  [{ id: 'x', action: 'explode' }, 400, 'action'],
  [{ action: 'commit_now' }, 400, 'id'],
  [{ id: '', action: 'commit_now' }, 400, 'id'],
])('%o', async (body, status, param) => {
  const [got, { error }] = await server.error(path, body);
  expect([got, (error as { param: string }).param]).toEqual([status, param]);
});

describe('the guard is in front of every path', () => {
  const paths = [...Object.keys(dialectPosts), ...Object.keys(dialectGets)];
  test.each(paths)('%s', async (path) => {
    const locked = new Server(server.model, { apiKeys: ['right'] });
    const body = path in dialectPosts ? { messages, prompt, input: prompt } : undefined;
    const status = async (headers: Record<string, string>) =>
      (await locked.request(path, body, headers)).status;
    expect(await status({})).toBe(401);
    const key = { authorization: 'Bearer right' };
    expect(await status({ ...key, host: 'evil.example' })).toBe(403);
    expect(await status({ ...key, origin: 'http://evil.example' })).toBe(403);
    expect(await status({ ...key, 'sec-fetch-site': 'cross-site' })).toBe(403);
    if (body !== undefined)
      expect(await status({ ...key, 'content-type': 'text/plain' })).toBe(415);
    expect(locked.handler.active).toBe(0);
  });
});
