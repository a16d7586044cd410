/** Ollama's clients: lines of JSON, one model that is there. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { messages, prompt, Server, type Reply } from './support.js';

let server: Server;
let model: string;
beforeAll(async () => {
  server = await Server.start();
  model = server.handler.engine.id;
});
afterAll(() => server.model.dispose());

const options = { num_predict: 16, seed: 3, num_ctx: 4096, repeat_penalty: 1.1 };
const contentOf = (reply: Reply) => (reply.message as { content: string }).content;
const textOf = (reply: Reply) =>
  (reply.choices as { message?: { content: string }; text?: string }[])[0];

describe('chats', () => {
  test('stream unless told otherwise', async () => {
    const lines = await server.lines('/api/chat', { model, messages, options });
    const whole = await server.json('/api/chat', { model, messages, options, stream: false });
    const plain = await server.json('/v1/chat/completions', { messages, max_tokens: 16, seed: 3 });
    expect(lines.map(contentOf).join('')).toBe(contentOf(whole));
    expect(contentOf(whole)).toBe(textOf(plain).message!.content);
    expect(lines.map(({ done }) => done)).toEqual([...lines.slice(1).map(() => false), true]);
    const { created_at: _1, total_duration: _2, ...last } = lines.at(-1)!;
    expect(last).toMatchObject({ model, done: true, done_reason: 'length', eval_count: 16 });
    expect(last.prompt_eval_count).toBeGreaterThan(0);
    expect(whole.total_duration).toBeGreaterThanOrEqual(whole.eval_duration as number);
  });

  test('what means nothing here is named', async () => {
    const request = { model, messages: [...messages], options, stream: false, keep_alive: '5m' };
    const response = await server.request('/api/chat', request);
    const names = 'keep_alive, options.num_ctx, options.repeat_penalty';
    expect(response.headers.get('x-lacuna-ignored')).toBe(names);
  });

  test('calls', async () => {
    const parameters = {
      type: 'object',
      properties: { city: { enum: ['Verona', 'Mantua'] } },
      required: ['city'],
    };
    const weather = { type: 'function', function: { name: 'weather', parameters } };
    const request = { model, messages, tools: [weather], tool_choice: 'required' };
    const lines = await server.lines('/api/chat', { ...request, parallel_tool_calls: false });
    const said = lines.map(({ message }) => message as { tool_calls?: object[] });
    const [call] = said.flatMap(({ tool_calls = [] }) => tool_calls) as {
      function: { name: string; arguments: { city: string } };
    }[];
    expect(call.function.name).toBe('weather');
    expect(['Verona', 'Mantua']).toContain(call.function.arguments.city);
    // The result goes back under the name of the function.
    const again = [
      ...messages,
      { role: 'assistant', content: '', tool_calls: [{ function: call.function }] },
      { role: 'tool', tool_name: 'weather', content: 'rain' },
    ];
    await server.json('/api/chat', { model, messages: again, options, stream: false });
  });

  test('none is a question whether the model is there', async () => {
    const reply = await server.json('/api/chat', { model, messages: [] });
    expect(reply).toMatchObject({ model, done: true, done_reason: 'load' });
  });
});

describe('texts', () => {
  test('a prompt is a turn of a chat, unless it is raw', async () => {
    const request = { model, prompt: messages[0].content, options, stream: false };
    const turn = await server.json('/api/generate', request);
    const chat = await server.json('/api/chat', { model, messages, options, stream: false });
    expect(turn.response).toBe(contentOf(chat));
    const raw = await server.json('/api/generate', { ...request, prompt, raw: true });
    const plain = await server.json('/v1/completions', { prompt, max_tokens: 16, seed: 3 });
    expect(raw.response).toBe(textOf(plain).text);
    const lines = await server.lines('/api/generate', { model, prompt, raw: true, options });
    expect(lines.map(({ response }) => response).join('')).toBe(raw.response);
  });

  test('a suffix', async () => {
    const suffix = ' I am thine.';
    const request = { model, prompt, suffix, options, stream: false };
    const { response } = await server.json('/api/generate', request);
    const body = { prompt, suffix, max_tokens: 16, seed: 3 };
    expect(response).toBe(textOf(await server.json('/v1/completions', body)).text);
  });

  test('by a schema', async () => {
    const properties = { mood: { enum: ['sad', 'merry'] } };
    const format = { type: 'object', properties, required: ['mood'] };
    const lines = await server.lines('/api/generate', { model, prompt: 'Say', format });
    const text = lines.map(({ response }) => response).join('');
    expect(['sad', 'merry']).toContain((JSON.parse(text) as { mood: string }).mood);
    expect(lines.at(-1)!.done_reason).toBe('stop');
  });
});

test('what is there', async () => {
  const { version } = await server.json('/api/version');
  expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  const { models } = (await server.json('/api/tags')) as { models: Reply[] };
  expect(models).toHaveLength(1);
  expect(models[0]).toMatchObject({
    ...{ name: model, model, size: server.model.info.file.bytes },
    details: { family: 'llada', quantization_level: 'Q8_0', parameter_size: '7.3M' },
  });
  expect(models[0].digest).toMatch(/^[0-9a-f]{64}$/);
  const { models: loaded } = (await server.json('/api/ps')) as { models: Reply[] };
  expect(loaded[0]).toMatchObject({ name: model, digest: models[0].digest, size_vram: 0 });
  const shown = await server.json('/api/show', { model: `${model}:latest` });
  expect(shown.model_info).toMatchObject({ 'general.architecture': 'llada' });
});

test.each<[string, string, object, number, RegExp]>([
  ['another model', '/api/chat', { model: 'llama3', messages }, 404, /no model of that name/],
  ['length', '/api/chat', { messages, options: { num_predict: 1e9 } }, 400, /options\.num_predict/],
  ['temperature', '/api/chat', { messages, options: { temperature: 9 } }, 400, /options\.temp/],
  ['a picture', '/api/generate', { prompt, images: ['x'] }, 400, /images/],
  ['format', '/api/chat', { messages, format: 'xml' }, 400, /format must be/],
  ['schema', '/api/chat', { messages, format: { type: 'x' } }, 400, /format|schema/],
])('errors are texts: %s', async (_, path, body, status, message) => {
  const [got, { error }] = await server.error(path, body);
  expect([got, error]).toEqual([status, expect.stringMatching(message)]);
  expect(server.handler.active).toBe(0);
});

test('nothing pulls, creates, copies or deletes', async () => {
  for (const name of ['pull', 'push', 'create', 'copy', 'delete', 'blobs/sha256:0', 'embed']) {
    const [status] = await server.error(`/api/${name}`, { model });
    expect(status).toBe(404);
  }
});
