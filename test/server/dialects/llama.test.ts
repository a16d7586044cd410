/** llama-server's endpoints, with requests as llama.vim sends them. */
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { prompt, Server } from './support.js';

let server: Server;
beforeAll(async () => {
  server = await Server.start();
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});
afterAll(() => server.model.dispose());

const fields = [
  ...['content', 'truncated', 'tokens_cached', 'timings/nothing', 'nothing/at/all'],
  ...['timings/prompt_n', 'timings/prompt_ms', 'timings/prompt_per_token_ms'],
  ...['timings/prompt_per_second', 'timings/predicted_n', 'timings/predicted_ms'],
  ...['timings/predicted_per_token_ms', 'timings/predicted_per_second'],
];
const typed = {
  input_prefix: 'ROMEO:\n',
  input_suffix: ' I am thine.\n\nJULIET:\n',
  input_extra: [{ filename: 'act1.txt', text: 'KING:\nHow now?\n', time: [1, 2] }],
  prompt: 'My lord,',
  ...{ n_predict: 12, n_indent: 0, top_k: 40, top_p: 0.99, stream: false },
  ...{ samplers: ['top_k', 'top_p', 'infill'], cache_prompt: true },
  ...{ t_max_prompt_ms: 500, t_max_predict_ms: 600_000 },
};

test('an editor asks for what is between', async () => {
  const reply = await server.json('/infill', { ...typed, response_fields: fields });
  const names = fields.filter((name) => !name.includes('nothing'));
  expect(Object.keys(reply).sort()).toEqual(names.sort());
  expect(reply).toMatchObject({ truncated: false, tokens_cached: 0 });
  expect(reply['timings/predicted_n']).toBeGreaterThan(0);

  const full = await server.json('/infill', typed);
  expect(full).toMatchObject({
    ...{ content: reply.content, stop: true, model: server.handler.engine.id },
    generation_settings: { n_ctx: 256 },
  });
  const events = await server.events('/infill', { ...typed, stream: true });
  expect(events.map(({ content }) => content).join('')).toBe(reply.content);
  expect(events.map(({ stop }) => stop)).toEqual([...events.slice(1).map(() => false), true]);

  const before = 'ROMEO:\nMy lord,';
  const extra = '--- act1.txt ---\nKING:\nHow now?\n\n';
  const encode = (text: string) => [...server.model.tokenizer.encode(text, { bos: false })];
  const same = await server.json('/v1/completions', {
    prompt: [server.model.tokenizer.bos, ...encode(extra), ...encode(before)],
    ...{ suffix: typed.input_suffix, max_tokens: 12, top_k: 40, top_p: 0.99 },
  });
  expect((same.choices as { text: string }[])[0].text).toBe(reply.content);
});

test('nothing to write is nothing to wait for', async () => {
  const warm = { ...typed, n_predict: 0, response_fields: [''] };
  expect(await server.json('/infill', warm)).toEqual({});
  expect(await server.json('/infill', { ...typed, n_predict: 0 })).toMatchObject({
    ...{ content: '', stop: true, tokens_predicted: 0 },
  });
  expect(server.handler.active).toBe(0);
});

test('a file that is too long: what is nearest to the gap', async () => {
  const long = 'My lord, it is.\n'.repeat(200);
  const body = { ...typed, input_prefix: long, input_suffix: `,${long}`, n_predict: 8 };
  const reply = await server.json('/infill', body);
  expect(reply).toMatchObject({ truncated: true, stop: true });
  expect(reply.tokens_evaluated).toBeLessThan(256);
  expect(reply.tokens_evaluated).toBeGreaterThan(150);
});

/** Forwards take a tenth of a second by a clock that nothing else moves. */
async function timed(body: object) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const step = vi.spyOn(server.model, 'step');
  const original = Object.getPrototypeOf(server.model) as typeof server.model;
  step.mockImplementation(async (...args) => {
    const result = await original.step.apply(server.model, args);
    vi.advanceTimersByTime(100);
    return result;
  });
  const reply = await server.json('/infill', body);
  return { reply, forwards: step.mock.calls.length };
}

test('at the deadline there is an answer, one forward later', async () => {
  const body = { ...typed, n_predict: 40, seed: 5 };
  const endless = await timed({ ...body, t_max_predict_ms: 60_000 });
  expect(endless.forwards).toBeGreaterThan(10);
  vi.restoreAllMocks();
  const { reply, forwards } = await timed({ ...body, t_max_predict_ms: 550 });
  // The sixth is on its way at 550 ms; the seventh commits the rest.
  expect(forwards).toBe(7);
  expect(reply.stop).toBe(true);
  expect(reply.content).not.toContain('░');
  expect(reply.tokens_predicted).toBeGreaterThan(7);
});

test('tokens, and text again', async () => {
  const content = 'To be, or not to be: ünd 漢';
  const { tokens } = await server.json('/tokenize', { content });
  expect(tokens).toEqual([...server.model.tokenizer.encode(content, { bos: false })]);
  expect(await server.json('/detokenize', { tokens })).toEqual({ content });
  const { tokens: pieces } = await server.json('/tokenize', { content, with_pieces: true });
  expect(pieces).toHaveLength((tokens as number[]).length);
  const [status, { error }] = await server.error('/detokenize', { tokens: [1e9] });
  expect([status, error]).toEqual([400, expect.objectContaining({ param: 'tokens[0]' })]);
});

test('the text that a chat becomes', async () => {
  const messages = [{ role: 'user', content: prompt.trimEnd() }];
  const reply = await server.json('/apply-template', { messages });
  const { bos } = server.model.tokenizer;
  expect(reply.prompt).toBe(server.model.tokenizer.token(bos!) + prompt);
});

test('what is served', async () => {
  const props = await server.json('/props');
  expect(props).toMatchObject({ total_slots: 8, default_generation_settings: { n_ctx: 256 } });
  expect(JSON.stringify(props)).not.toContain('/models/');
  const slots = (await server.json('/slots')) as unknown as { is_processing: boolean }[];
  expect(slots).toHaveLength(8);
  expect(slots.some(({ is_processing }) => is_processing)).toBe(false);
});

test("probes, under KServe's names and those of llama-server", async () => {
  expect(await server.json('/v2/health/live')).toEqual({ live: true });
  expect(await server.json('/v2/health/ready')).toEqual({ ready: true, reasons: [] });
  expect(await server.json('/health')).toEqual({ status: 'ok' });
  const draining = new Server(server.model);
  draining.handler.drain();
  expect((await draining.request('/v2/health/ready')).status).toBe(503);
  expect((await draining.request('/v2/health/live')).status).toBe(200);
  const [status, { error }] = await draining.error('/health', undefined);
  expect([status, error]).toEqual([503, expect.objectContaining({ type: 'unavailable_error' })]);
});

test.each<[string, object, string]>([
  ['a negative length', { n_predict: -2 }, 'n_predict'],
  ['too long', { n_predict: 400 }, 'n_predict'],
  ['a number for a text', { input_prefix: 1 }, 'input_prefix'],
  ['neighbours', { input_extra: [{ filename: 'a' }] }, 'input_extra'],
  ['fields', { response_fields: [1] }, 'response_fields'],
])('errors: %s', async (_, body, name) => {
  const [status, { error }] = await server.error('/infill', { ...typed, ...body });
  expect([status, (error as { param: string }).param]).toEqual([
    400,
    expect.stringMatching(`^${name}`),
  ]);
  expect(server.handler.active).toBe(0);
});
