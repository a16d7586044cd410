/** What goes wrong, in OpenAI's words: status, type, code and param of each. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadModel, type Model } from '../../lib/index.js';
import { createHandler, type Handler } from '../../lib/server/index.js';
import { request, type Reply } from './local.js';

const path = fileURLToPath(new URL('../../models/shakespeare-7m.Q8_0.gguf', import.meta.url));
const [chat, completions] = ['/v1/chat/completions', '/v1/completions'];
const defaults = { preset: 'fast', chat: { template: '{{ messages[0].content }}' } } as const;
const messages = [{ role: 'user', content: 'x' }];
let model: Model;
let handler: Handler;

beforeAll(async () => {
  model = await loadModel(path, { device: 'cpu' });
  handler = createHandler({ model, defaults, limits: { parallel: 1, queue: 1 } });
});
afterAll(() => model.dispose());

const bad = 'invalid_request_error';
const wrong = [400, bad, 'invalid_argument'] as const;
type Expected = readonly [status: number, type: string, code: string | null];

const asked = { messages, max_tokens: 4 };
const long = 'my lord '.repeat(300);
const table: [string, string, unknown, Expected, string | null][] = [
  [chat, 'no messages', { max_tokens: 4 }, wrong, 'messages'],
  [chat, 'a message that is none', { ...asked, messages: [1] }, wrong, 'messages[0]'],
  [
    chat,
    'an image',
    { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
    wrong,
    'messages[0].content[0].type',
  ],
  [chat, 'top_p', { ...asked, top_p: 2 }, wrong, 'top_p'],
  [chat, 'top_k', { ...asked, top_k: 0 }, wrong, 'top_k'],
  [chat, 'seed', { ...asked, seed: -1 }, wrong, 'seed'],
  [chat, 'n', { ...asked, n: 9 }, wrong, 'n'],
  [chat, 'stream', { ...asked, stream: 'yes' }, wrong, 'stream'],
  [chat, 'stop', { ...asked, stop: [1] }, wrong, 'stop[0]'],
  [chat, 'top_logprobs', { ...asked, logprobs: true, top_logprobs: 21 }, wrong, 'top_logprobs'],
  [chat, 'top_logprobs alone', { ...asked, top_logprobs: 2 }, wrong, 'top_logprobs'],
  [chat, 'effort', { ...asked, reasoning_effort: 'huge' }, wrong, 'reasoning_effort'],
  [chat, 'preset', { ...asked, lacuna: { preset: 'x' } }, wrong, 'lacuna.preset'],
  [chat, 'steps', { ...asked, lacuna: { steps: 17 } }, wrong, 'lacuna.steps'],
  [
    chat,
    'length',
    { ...asked, messages: [{ role: 'user', content: long }] },
    [400, bad, 'context_length_exceeded'],
    'messages',
  ],
  [
    chat,
    'answer',
    { ...asked, max_tokens: 300 },
    [400, bad, 'context_length_exceeded'],
    'messages',
  ],
  [
    chat,
    'model',
    { ...asked, model: 'gpt-7' },
    [404, 'not_found_error', 'model_not_found'],
    'model',
  ],
  [
    chat,
    'strict',
    { ...asked, foo: 1, lacuna: { strict: true } },
    [400, bad, 'unsupported_parameter'],
    'foo',
  ],
  [completions, 'no prompt', { max_tokens: 4 }, wrong, 'prompt'],
  [completions, 'a token', { prompt: [1e9], max_tokens: 4 }, wrong, 'prompt[0]'],
  [completions, 'suffix', { prompt: 'x', suffix: 1 }, wrong, 'suffix'],
  [completions, 'too many', { prompt: new Array(9).fill('x') }, wrong, 'prompt'],
  ['/v1/nothing', 'path', {}, [404, 'not_found_error', 'unknown_path'], null],
  ['/v1/models', 'method', {}, [405, bad, null], null],
];

describe.each([false, true])('stream: %s', (stream) => {
  test.each(table)('%s: %s', async (path, _, body, [status, type, code], param) => {
    const streamed = stream && !('stream' in (body as object)) ? { stream } : {};
    const response = await handler(request(path, { ...(body as object), ...streamed }));
    const { error } = (await response.json()) as Reply;
    expect([response.status, error!.type, error!.code]).toEqual([status, type, code]);
    if (status !== 405) expect(error!.param).toBe(param);
    expect(error!.message.length).toBeGreaterThan(5);
    expect(response.headers.get('x-request-id')).not.toBeNull();
    expect([handler.active, handler.engine.running]).toEqual([0, 0]);
  });
});

const pieces = (text: string) =>
  text
    .split('\n\n')
    .filter((line) => line.startsWith('data: '))
    .map((line) => line.slice(6));

test('a full queue says when to come again', async () => {
  const stream = await handler(request(chat, { messages, max_tokens: 100, stream: true }));
  const waits = handler(request(chat, asked));
  await expect.poll(() => handler.engine.waiting).toBe(1);
  for (const more of [{}, { stream: true }]) {
    const refused = await handler(request(chat, { ...asked, ...more }));
    const { error } = (await refused.json()) as Reply;
    expect([refused.status, error!.type, error!.code]).toEqual([
      ...[429, 'rate_limit_error', 'queue_full'],
    ]);
    expect(refused.headers.get('retry-after')).toBe('1');
  }
  await stream.body!.cancel();
  expect((await waits).status).toBe(200);
});

test('several answers of which one finds no place: none', async () => {
  const response = await handler(request(chat, { ...asked, n: 4, stream: true }));
  expect(response.status).toBe(429);
  await expect.poll(() => handler.engine.running).toBe(0);
  expect(handler.active).toBe(0);
});

test('every stream ends with a reason and [DONE], or with an error object', async () => {
  const ends = async (body: object) => {
    const response = await handler(request(chat, { ...asked, stream: true, ...body }));
    return pieces(await response.text());
  };
  const bodies = [
    {},
    { n: 2, max_tokens: 2 },
    { stop: 'e' },
    { response_format: { type: 'json_object' } },
  ];
  for (const body of bodies) {
    const lines = await ends(body);
    expect(lines.pop()).toBe('[DONE]');
    const replies = lines.map((line) => JSON.parse(line) as Reply);
    const reasons = replies.flatMap(({ choices }) => choices.map((one) => one.finish_reason));
    expect(reasons.filter((reason) => reason !== null)).toHaveLength('n' in body ? 2 : 1);
    expect(replies.every((reply) => reply.usage === undefined)).toBe(true);
    expect(replies[0].choices[0].delta).toEqual({ role: 'assistant', content: '' });
    const ids = new Set(replies.map((reply) => (reply as unknown as { id: string }).id));
    expect(ids.size).toBe(1);
  }
  const stopped = handler(request(chat, { messages, max_tokens: 200, stream: true }));
  const response = await stopped;
  handler.stop();
  const last = JSON.parse(pieces(await response.text()).at(-1)!) as Reply;
  expect(last.error).toMatchObject({ type: 'server_error', code: 'server_shutdown' });
});

test('usage comes when it is asked for, and last', async () => {
  const body = { ...asked, stream: true, stream_options: { include_usage: true } };
  const lines = pieces(await (await handler(request(chat, body))).text());
  const usages = lines.map((line, i) => (line.includes('"usage"') ? i : -1)).filter((i) => i >= 0);
  expect(usages).toEqual([lines.length - 2]);
  const whole = (await (await handler(request(chat, asked))).json()) as Reply;
  expect((JSON.parse(lines.at(-2)!) as Reply).usage).toEqual(whole.usage);
});

test('headers of a stream, and names of what was passed over', async () => {
  const body = { ...asked, stream: true, presence_penalty: 1, echo: true, 'a\nb': 1 };
  const response = await handler(request(chat, body, { headers: { 'x-request-id': 'mine' } }));
  await response.text();
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
    'x-lacuna-ignored': 'presence_penalty, echo',
    'x-request-id': 'mine',
  });
});

test('what is wrong inside is not told', async () => {
  const errors: unknown[] = [];
  const broken = createHandler({ model, defaults, onError: (error) => errors.push(error) });
  broken.engine.settings = () => {
    throw new Error('/secret/path');
  };
  const response = await broken(request(chat, asked));
  expect(response.status).toBe(500);
  expect(await response.json()).toEqual({
    error: { message: 'internal error', type: 'server_error', param: null, code: 'internal_error' },
  });
  expect(errors).toHaveLength(1);
});
