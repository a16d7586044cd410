/** The endpoints as a function: `Request` in, `Response` out, on the model in the package. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blocks, loadModel, lowConfidence, type Model } from '../../lib/index.js';
import { createHandler, type Handler } from '../../lib/server/index.js';

const path = fileURLToPath(new URL('../../models/shakespeare-7m.Q8_0.gguf', import.meta.url));
const template = '{{ bos_token }}{% for m in messages %}{{ m.content }}\n\n{% endfor %}';
const defaults = {
  ...{ bos: true, decode: lowConfidence(), blocks: blocks(8), temperature: 0.8 },
  chat: { template },
};
const messages = [{ role: 'user', content: 'ROMEO:\nMy lord,' }];
let model: Model;
let handler: Handler;

beforeAll(async () => {
  model = await loadModel(path, { device: 'cpu' });
  handler = createHandler({ model, defaults, limits: { parallel: 2, queue: 2 } });
});
afterAll(() => model.dispose());

interface Choice {
  index: number;
  text?: string;
  message?: { content: string };
  delta?: { content?: string; role?: string };
  finish_reason: string | null;
  logprobs?: { content: { token: string; logprob: number; top_logprobs: unknown[] }[] };
}
interface Reply {
  error?: { message: string; type: string; code: string | null };
  choices: Choice[];
  usage?: { prompt_tokens: number; completion_tokens: number };
  lacuna?: { kind: string; [key: string]: unknown };
}

function request(path: string, body?: unknown, more: RequestInit = {}): Request {
  const json = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  const headers = {
    host: 'localhost:1',
    ...(body !== undefined && { 'content-type': 'application/json' }),
    ...(more.headers as Record<string, string>),
  };
  return new Request(`http://localhost:1${path}`, { ...json, ...more, headers });
}

const post = (path: string, body: unknown, more?: RequestInit) =>
  handler(request(path, body, more));
const chat = (body: object, more?: RequestInit) =>
  post('/v1/chat/completions', { messages, max_tokens: 24, ...body }, more);

/** The events of a stream, without the last, `[DONE]`. */
async function events(response: Response): Promise<Reply[]> {
  const lines = (await response.text()).split('\n\n').filter((line) => line.startsWith('data: '));
  expect(lines.pop()).toBe('data: [DONE]');
  return lines.map((line) => JSON.parse(line.slice(6)) as Reply);
}

test('a streamed chat is the unstreamed one, in pieces', async () => {
  for (const seed of [1, 2, 3]) {
    const whole = (await (await chat({ seed })).json()) as Reply;
    const prompt = model.tokenizer.encode(`${messages[0].content}\n\n`, { bos: true });
    const { chat: _, bos: _bos, ...options } = defaults;
    const direct = await model.generate(prompt, { ...options, maxTokens: 24, seed }).result;
    expect(whole.choices[0].message?.content).toBe(direct.text);
    expect(whole.usage).toMatchObject({
      prompt_tokens: prompt.length,
      completion_tokens: direct.tokens.length,
    });

    const streamed = await events(await chat({ seed, stream: true }));
    expect(streamed[0].choices[0].delta).toEqual({ role: 'assistant', content: '' });
    // The loop that everybody copies; it breaks where a chunk has no choice.
    const text = streamed.map((chunk) => chunk.choices[0].delta?.content ?? '').join('');
    expect(text).toBe(direct.text);
    const reasons = streamed.map((chunk) => chunk.choices[0].finish_reason).filter(Boolean);
    expect(reasons).toEqual([whole.choices[0].finish_reason]);
    expect(streamed.length).toBeGreaterThan(4);
  }
});

test('usage comes when asked for', async () => {
  const streamed = await events(
    await chat({ stream: true, stream_options: { include_usage: true } }),
  );
  expect(streamed.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 24 } });
});

test('a stop string ends the answer and is not in it', async () => {
  const { choices } = (await (await chat({ seed: 3 })).json()) as Reply;
  const text = choices[0].message!.content;
  const stop = text.slice(10, 13);
  const cut = (await (await chat({ seed: 3, stop })).json()) as Reply;
  expect(cut.choices[0].message!.content).toBe(text.slice(0, text.indexOf(stop)));
  expect(cut.choices[0].finish_reason).toBe('stop');
  expect(cut.usage!.completion_tokens).toBeLessThan(24);
});

test('several choices have seeds of their own', async () => {
  const { choices } = (await (await chat({ n: 2, seed: 5 })).json()) as Reply;
  const other = (await (await chat({ seed: 6 })).json()) as Reply;
  expect(choices.map(({ index }) => index)).toEqual([0, 1]);
  expect(choices[1].message!.content).toBe(other.choices[0].message!.content);
});

test('completions take text and token ids', async () => {
  const options = { max_tokens: 16, seed: 4 };
  const prompt = `${messages[0].content}\n\n`;
  const ids = [...model.tokenizer.encode(prompt, { bos: true })];
  const [text, tokens] = await Promise.all(
    [prompt, ids].map(async (prompt) => {
      const reply = await post('/v1/completions', { prompt, ...options });
      return ((await reply.json()) as Reply).choices[0].text;
    }),
  );
  expect(text).toBe(tokens);
  const streamed = await events(
    await post('/v1/completions', { prompt, ...options, stream: true }),
  );
  expect(streamed.map((chunk) => chunk.choices[0].text).join('')).toBe(text);
});

test('log probabilities are those of the commits', async () => {
  const reply = (await (await chat({ logprobs: true, top_logprobs: 2 })).json()) as Reply;
  const { content } = reply.choices[0].logprobs!;
  expect(content.map(({ token }) => token).join('')).toBe(reply.choices[0].message!.content);
  expect(content).toHaveLength(reply.usage!.completion_tokens);
  for (const { logprob, top_logprobs } of content) {
    expect(logprob).toBeLessThanOrEqual(0);
    expect(top_logprobs).toHaveLength(2);
  }
});

test('folding the canvas channel gives the canvas', async () => {
  const streamed = await events(await chat({ stream: true, seed: 2, lacuna: { canvas: 'delta' } }));
  const frames = streamed.flatMap(({ lacuna }) => (lacuna === undefined ? [] : [lacuna]));
  const canvas = new Array<string | undefined>(24);
  for (const frame of frames) {
    if (frame.kind !== 'step') continue;
    for (const [at, , text] of frame.commits as [number, number, string][]) canvas[at] = text;
    expect(JSON.stringify(frame).length).toBeLessThan(1000);
  }
  expect(frames[0]).toMatchObject({ v: 1, kind: 'start', length: 24 });
  expect(frames.at(-1)).toMatchObject({ kind: 'end', stats: { forwards: 24, tokens: 24 } });
  const text = streamed.map((chunk) => chunk.choices[0].delta?.content ?? '').join('');
  expect(canvas.join('')).toBe(text);
});

describe('errors', () => {
  const long = 'my lord '.repeat(300);
  test.each<[string, object, number, RegExp]>([
    ['temperature', { temperature: 3 }, 400, /temperature must be/],
    ['NaN', { max_tokens: null, temperature: 'NaN' }, 400, /temperature/],
    ['negative', { max_tokens: -1 }, 400, /max_tokens must be/],
    ['too many', { n: 1e9 }, 400, /n must be/],
    ['messages', { messages: [] }, 400, /messages/],
    ['role', { messages: [{ role: 'god', content: '' }] }, 400, /role must be one of/],
    ['context', { messages: [{ role: 'user', content: long }] }, 400, /context has 256/],
    ['model', { model: 'gpt-7' }, 404, /no model of that name/],
    ['strict', { foo: 1, lacuna: { strict: true } }, 400, /foo/],
    ['lacuna', { lacuna: { bar: 1 } }, 400, /lacuna must be/],
    ['stop', { stop: new Array(17).fill('x') }, 400, /stop must be/],
  ])('%s', async (_, body, status, message) => {
    const response = await chat({ ...body });
    const { error } = (await response.json()) as Reply;
    expect([response.status, error?.message]).toEqual([status, expect.stringMatching(message)]);
    expect(handler.active).toBe(0);
  });

  test('what means nothing here is named', async () => {
    const response = await chat({ presence_penalty: 1 });
    expect(response.headers.get('x-lacuna-ignored')).toBe('presence_penalty');
  });

  test('bodies', async () => {
    const deep = `{"a":${'['.repeat(100)}${']'.repeat(100)}}`;
    for (const [body, status] of [
      ['{', 400],
      ['[1]', 400],
      [deep, 400],
      [`{"x":"${'y'.repeat(5 << 20)}"}`, 413],
    ] as const) {
      const response = await handler(request('/v1/completions', 0, { method: 'POST', body }));
      expect(response.status).toBe(status);
    }
    expect((await handler(request('/v1/nothing'))).status).toBe(404);
    expect((await handler(request('/v1/completions'))).status).toBe(405);
  });
});

describe('guard', () => {
  const evil = 'http://evil.example';
  test.each<[string, Record<string, string>, number]>([
    ['a page of its own', { origin: 'http://localhost:1', 'sec-fetch-site': 'same-origin' }, 200],
    ['no page', {}, 200],
    ['another name', { host: 'evil.example' }, 403],
    ['a name that begins alike', { host: 'localhost.evil.example' }, 403],
    ['a script of another page', { origin: evil, 'sec-fetch-site': 'cross-site' }, 403],
    ['an image of another page', { 'sec-fetch-site': 'cross-site' }, 403],
    ['an origin alone', { origin: evil }, 403],
    ['a sandboxed frame', { origin: 'null' }, 403],
  ])('%s', async (_, headers, status) => {
    const response = await handler(request('/v1/models', undefined, { headers }));
    expect(response.status).toBe(status);
    expect(response.headers.has('access-control-allow-origin')).toBe(false);
  });

  test('a form is no JSON', async () => {
    const headers = { 'content-type': 'text/plain' };
    expect((await chat({}, { headers })).status).toBe(415);
    const zipped = { 'content-encoding': 'gzip' };
    expect((await chat({}, { headers: zipped })).status).toBe(415);
  });

  test('keys', async () => {
    const locked = createHandler({ model, defaults, apiKeys: ['right'], origins: [evil] });
    const status = async (headers: Record<string, string>, path = '/v1/models') =>
      (await locked(request(path, undefined, { headers }))).status;
    expect(await status({})).toBe(401);
    expect(await status({ authorization: 'Bearer wrong' })).toBe(401);
    expect(await status({ authorization: 'Bearer right' })).toBe(200);
    expect(await status({ 'x-api-key': 'right' })).toBe(200);
    expect(await status({}, '/healthz')).toBe(200);
    expect(await status({}, '/metrics')).toBe(401);
    const allowed = await locked(request('/healthz', undefined, { headers: { origin: evil } }));
    expect(allowed.headers.get('access-control-allow-origin')).toBe(evil);
    expect(allowed.headers.has('access-control-allow-credentials')).toBe(false);
  });
});

test('a queue with an end; who leaves frees the slot', async () => {
  const leaver = new AbortController();
  const signal = leaver.signal;
  const long = { max_tokens: 200 };
  const first = [chat(long, { signal }), chat(long, { signal })];
  await expect.poll(() => handler.engine.running).toBe(2);
  const queued = [chat({}), chat({})];
  await expect.poll(() => handler.engine.waiting).toBe(2);
  const refused = await chat({});
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
  leaver.abort();
  await Promise.all(first);
  for (const response of await Promise.all(queued)) expect(response.status).toBe(200);
  expect([handler.engine.running, handler.engine.waiting, handler.active]).toEqual([0, 0, 0]);
});

test('a reader who goes ends the run', async () => {
  const response = await chat({ max_tokens: 200, stream: true });
  const reader = response.body!.getReader();
  await reader.read();
  expect(handler.engine.running).toBe(1);
  await reader.cancel();
  await expect.poll(() => handler.engine.running).toBe(0);
});

test('health, readiness, metrics', async () => {
  const own = createHandler({ model, defaults });
  const text = async (path: string) => (await own(request(path))).text();
  expect(JSON.parse(await text('/readyz'))).toEqual({ ready: true, reasons: [] });
  const reply = await own(request('/v1/completions', { prompt: 'x', max_tokens: 8 }));
  const { usage } = (await reply.json()) as Reply;
  const metrics = await text('/metrics');
  expect(metrics).toContain(`lacuna_tokens_total{kind="completion"} ${usage!.completion_tokens}`);
  expect(metrics).toContain('lacuna_requests_total{route="/v1/completions",status="200"} 1');
  expect(metrics).toMatch(/lacuna_requests_running 0\n/);
  own.drain();
  expect((await own(request('/readyz'))).status).toBe(503);
  expect((await own(request('/healthz'))).status).toBe(200);
});

test('shutting down tells who is still reading', async () => {
  const response = await chat({ max_tokens: 200, stream: true });
  handler.stop();
  const body = await response.text();
  expect(body).toContain('server_shutdown');
  expect(body).not.toContain('[DONE]');
});
