/** Asking for the end of an answer that is being written; the guard in front of all paths. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dialectGets, dialectPosts } from '../../../lib/server/dialects/index.js';
import { Timeline } from '../../../studio/src/fold.js';
import { eventsOf, messages, prompt, Server } from './support.js';

let server: Server;
beforeAll(async () => {
  server = await Server.start();
});
afterAll(() => server.model.dispose());

const ends = () => {
  const { eos, eot } = server.model.info.tokens;
  return [eos, eot].filter((token) => token !== undefined);
};
const steps = (count: number) => ({ name: 'lowConfidence', options: { steps: count } });
const path = '/v1/chat/completions/control';
const long = { messages, max_tokens: 200, seed: 1 };

const line = { type: 'string', maxLength: 200 };
const schema = {
  type: 'object',
  properties: { first: line, second: line, third: line },
  required: ['first', 'second', 'third'],
};
const lines = { type: 'json_schema', json_schema: { name: 'lines', schema } };

/** A stream with its canvas, of which a step has been read. */
async function begun(body: object) {
  const canvas = { stream: true, lacuna: { canvas: 'delta' } };
  const response = await server.request('/v1/chat/completions', { ...body, ...canvas });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('"kind":"step"')) text += (await reader.read()).value!;
  const [{ id }] = eventsOf(text.slice(0, text.indexOf('\n\n') + 2));
  const reading = (async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
    }
  })();
  const rest = async () => {
    await reading;
    expect(text).toContain('[DONE]');
    const events = eventsOf(text);
    const said = events.map(({ choices }) => (choices as { delta: { content?: string } }[])[0]);
    const frames = events.flatMap(({ lacuna }) => (lacuna ? [lacuna as Frame] : []));
    const finish = events.flatMap(({ choices }) =>
      (choices as { finish_reason: string | null }[]).flatMap(
        (choice) => choice.finish_reason ?? [],
      ),
    );
    return {
      finish: finish.at(-1),
      text: said.map(({ delta }) => delta.content ?? '').join(''),
      frames,
    };
  };
  return { id, rest };
}
interface Frame {
  kind: string;
  remaining: number;
  stable: number;
  length?: number;
  commits: [number, number, string][];
  edits?: [number, number, string][];
  stats: { tokens: number; slots: number };
}

test('commit_now: the answer is complete, a few forwards later', async () => {
  const { id, rest } = await begun(long);
  const reply = await server.json(path, { id, action: 'commit_now' });
  expect(reply).toMatchObject({ id, action: 'commit_now', accepted: true });
  const { frames } = await rest();
  const steps = frames.filter(({ kind }) => kind === 'step');
  expect(steps.at(-1)!.remaining).toBe(0);
  expect(steps.length).toBeLessThan(100); // of 200
  expect(frames.at(-1)!.stats.tokens).toBeGreaterThan(steps.length);
  expect(server.handler.engine.running).toBe(0);
});

test('extend: so many tokens more, in the canvas that the client folds, and in the text', async () => {
  const bias = { logit_bias: Object.fromEntries(ends().map((token) => [token, -100])) };
  const { id, rest } = await begun({ ...long, ...bias, max_tokens: 60 });
  const reply = await server.json(path, { id, action: 'extend', tokens: 13 });
  expect(reply).toMatchObject({ action: 'extend', accepted: true, max_tokens: 73 });
  const [status, { error }] = await server.error(path, { id, action: 'extend', tokens: 1e6 });
  expect([status, (error as { param: string }).param]).toEqual([400, 'tokens']);
  const { text, frames, finish } = await rest();
  const timeline = Timeline.of(frames as never);
  expect(timeline.last!.tokens).toHaveLength(73);
  expect(timeline.last!.remaining).toBe(0);
  expect(timeline.start!.length).toBe(73);
  expect(server.model.tokenizer.decode(timeline.last!.tokens)).toBe(text);
  expect(frames.filter(({ length }) => length === 73).map(({ kind }) => kind)).toContain('step');
  const stable = frames.filter(({ kind }) => kind === 'step').map((frame) => frame.stable);
  expect(stable).toEqual([...stable].sort((a, b) => a - b));
  expect(frames.at(-1)!.stats).toMatchObject({ tokens: 73, slots: 73 });
  expect(finish).toBe('length');
});

test.each<[string, object]>([
  ['suffix', { prompt, suffix: ' I am thine.', max_tokens: 100 }],
  ['template', { prompt, lacuna: { template: ['Now', { max: 100, min: 100 }, '.'] } }],
  ['steps', { prompt, max_tokens: 100, lacuna: { steps: 90 } }],
  ['decoder', { prompt, max_tokens: 100, lacuna: { decode: steps(90) } }],
  ['json', { prompt, messages, response_format: lines }],
])('extend: not with %s', async (name, body) => {
  const id = `mine-${name}`;
  const at = name === 'json' ? '/v1/chat/completions' : '/v1/completions';
  const answer = server.request(at, body, { 'x-request-id': id });
  await server.writing();
  const [status, { error }] = await server.error(path, { id, action: 'extend', tokens: 1 });
  expect([status, (error as { code: string }).code]).toEqual([409, 'not_extendable']);
  await server.json(path, { id, action: 'commit_now' });
  expect((await answer).status).toBe(200);
});

test('pin: the token stands there to the end', async () => {
  const { id, rest } = await begun({ ...long, max_tokens: 64 });
  const pinned = { id, action: 'pin', position: 50, text: ' king' };
  expect(await server.json(path, pinned)).toMatchObject({ accepted: true });
  await server.json(path, { id, action: 'pin', position: 63, token: 5 });
  await server.json(path, { id, action: 'pin', position: 0, text: ' king' });
  const { text, frames } = await rest();
  const canvas: string[] = [];
  for (const { commits = [], edits = [] } of frames) {
    for (const [at, , piece] of [...commits, ...edits]) canvas[at] = piece;
  }
  expect(canvas.slice(50, 51)).toEqual([' king']);
  expect(canvas[63]).toBe(server.model.tokenizer.token(5));
  expect(canvas.join('')).toBe(text); // what had been sent is not changed
  const known = frames.filter(({ kind }) => kind === 'step').map(({ remaining }) => remaining);
  expect(known.at(-1)).toBe(0);
});

test('in front of a suffix positions move', async () => {
  const id = 'mine-4';
  const body = { prompt, suffix: ' I am thine.', max_tokens: 100, lacuna: { canvas: 'full' } };
  const answer = server.request('/v1/completions', body, { 'x-request-id': id });
  await server.writing();
  const [status] = await server.error(path, { id, action: 'pin', position: 3, token: 5 });
  expect(status).toBe(409);
  await server.json(path, { id, action: 'commit_now' });
  expect((await answer).status).toBe(200);
});

test('what cannot be pinned', async () => {
  const id = 'mine-3';
  const answer = server.request('/v1/chat/completions', long, { 'x-request-id': id });
  await server.writing();
  const tried = async (body: object) => {
    const [status, { error }] = await server.error(path, { id, action: 'pin', ...body });
    return [status, (error as { param: string }).param];
  };
  expect(await tried({ position: 3, token: 5 })).toEqual([409, 'id']);
  expect(await tried({ position: -1, token: 5 })).toEqual([400, 'position']);
  expect(await tried({ position: 3, token: 1e9 })).toEqual([400, 'token']);
  expect(await tried({ position: 3, token: server.model.info.tokens.mask })).toEqual([
    400,
    'token',
  ]);
  expect(await tried({ position: 3, text: 'two words' })).toEqual([400, 'text']);
  await server.json(path, { id, action: 'commit_now' });
  expect((await answer).status).toBe(200);
});

test('by the id of the request, for an answer in one piece', async () => {
  const id = 'mine-1';
  const answer = server.request('/v1/chat/completions', long, { 'x-request-id': id });
  await server.writing();
  await server.json(path, { id, action: 'commit_now' });
  const { choices, lacuna } = (await (await answer).json()) as {
    choices: { message: { content: string }; finish_reason: string }[];
    lacuna: { stats: { forwards: number } };
  };
  expect(choices[0].message.content.length).toBeGreaterThan(0);
  expect(lacuna.stats.forwards).toBeLessThan(200);
});

test('JSON is whole', async () => {
  const id = 'mine-2';
  const body = { messages, response_format: lines, seed: 1 };
  const answer = server.request('/v1/chat/completions', body, { 'x-request-id': id });
  await server.writing();
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
