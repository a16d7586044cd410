/** Mercury's clients: those that replace what they show, and editors. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { messages, prompt, Server, type Reply } from './support.js';

let server: Server;
beforeAll(async () => {
  server = await Server.start();
});
afterAll(() => server.model.dispose());

interface Choice {
  text: string;
  message: { content: string };
  delta: { content?: string };
  finish_reason: string | null;
}
const choiceOf = (reply: Reply) => (reply.choices as Choice[])[0];

test('diffusing: each text replaces the one before, the last is the answer', async () => {
  const body = { messages, max_tokens: 16, seed: 2 };
  const whole = await server.json('/v1/chat/completions', body);
  const text = choiceOf(whole).message.content;
  const events = await server.events('/v1/chat/completions', { ...body, diffusing: true });
  const shown = events.filter(({ diffusion_meta }) => diffusion_meta !== undefined);
  let screen = '';
  for (const event of shown) screen = choiceOf(event).delta.content!;
  expect(screen).toBe(text);
  const progress = shown.map(
    ({ diffusion_meta }) => (diffusion_meta as { diffusion_progress: number }).diffusion_progress,
  );
  expect(progress).toEqual(progress.toSorted((a, b) => a - b));
  expect([progress[0], progress.at(-1)]).toEqual([1 / 16, 1]);
  expect(choiceOf(shown[0]).delta.content).toContain('░');
  // The reason twice: with the text, and with nothing.
  expect(events.slice(-2).map((event) => choiceOf(event).finish_reason)).toEqual([
    ...['length', 'length'],
  ]);
  expect(choiceOf(events.at(-1)!).delta).toEqual({});
  expect(events.every((event) => event.lacuna === undefined)).toBe(true);
});

test('without it nothing is replaced', async () => {
  const body = { messages, max_tokens: 16, seed: 2, stream: true, diffusing: false };
  const response = await server.request('/v1/chat/completions', body);
  expect(response.headers.has('x-lacuna-ignored')).toBe(false);
  expect(await response.text()).not.toContain('diffusion_meta');
});

const suffix = ' I am thine.';

test('what is between: for those who read texts, and those who read messages', async () => {
  const body = { prompt, suffix, max_tokens: 10, seed: 1 };
  const plain = choiceOf(await server.json('/v1/completions', body)).text;
  const { text, message } = choiceOf(await server.json('/v1/fim/completions', body));
  expect([text, message.content]).toEqual([plain, plain]);
  const events = await server.events('/v1/fim/completions', { ...body, stream: true });
  expect(events.map((event) => choiceOf(event).text).join('')).toBe(plain);
  expect(events.map((event) => choiceOf(event).delta.content).join('')).toBe(plain);
});

test('an edit is a chat', async () => {
  const content = '<|code_to_edit|>\nlet a<|cursor|> = 1;\n<|/code_to_edit|>';
  const body = { messages: [{ role: 'user', content }], max_tokens: 8, seed: 1 };
  const chat = await server.json('/v1/chat/completions', body);
  for (const path of ['/v1/edit/completions', '/v1/apply/completions']) {
    const edit = await server.json(path, body);
    expect(choiceOf(edit).message).toEqual(choiceOf(chat).message);
  }
});

test("Continue's completion: without /v1, an end of text for no suffix", async () => {
  const body = { prompt, max_tokens: 8, stop: ['<|endoftext|>'], model: server.handler.engine.id };
  const plain = choiceOf(await server.json('/v1/completions', { ...body, suffix: '' }));
  const events = await server.events('/completions', {
    ...{ ...body, suffix: '<|endoftext|>', stream: true },
  });
  expect(events.map((event) => choiceOf(event).text).join('')).toBe(plain.text);
  expect(events.every(({ choices }) => (choices as Choice[]).length === 1)).toBe(true);
});
