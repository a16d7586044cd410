/** `/v1/responses`: the events that clients put an answer together from, and what they may send. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Server, type Reply } from './support.js';

let server: Server;
beforeAll(async () => {
  server = await Server.start();
});
afterAll(() => server.model.dispose());

const input = 'ROMEO:\nMy lord,';
const path = '/v1/responses';

interface Item {
  id: string;
  type: string;
  status: string;
  content?: { type: string; text: string; logprobs: object[] }[];
  call_id?: string;
  name?: string;
  arguments?: string;
}
const outputOf = (response: unknown) => (response as { output: Item[] }).output;
const textOf = (response: unknown) =>
  outputOf(response)
    .flatMap(({ content = [] }) => content.map(({ text }) => text))
    .join('');

/** As clients do it: each event applied to what there is. */
function fold(events: Reply[]): { output: Item[]; last: Reply } {
  const output: Item[] = [];
  events.forEach((event, i) => {
    expect(event.sequence_number).toBe(i);
    const at = event.output_index as number;
    const part = () => output[at].content![event.content_index as number];
    if (event.type === 'response.output_item.added') {
      expect(at).toBe(output.length);
      output.push(structuredClone(event.item as Item));
    } else if (event.type === 'response.content_part.added') {
      output[at].content!.push(structuredClone(event.part) as never);
    } else if (event.type === 'response.output_text.delta') {
      expect(event.item_id).toBe(output[at].id);
      part().text += event.delta as string;
    } else if (event.type === 'response.output_text.done') {
      expect(event.text).toBe(part().text);
    } else if (event.type === 'response.function_call_arguments.delta') {
      output[at].arguments += event.delta as string;
    } else if (event.type === 'response.output_item.done') {
      const done = event.item as Item;
      expect(done.id).toBe(output[at].id);
      expect([done.arguments, textOf({ output: [done] })]).toEqual([
        output[at].arguments,
        textOf({ output: [output[at]] }),
      ]);
      output[at] = done;
    }
  });
  return { output, last: events.at(-1)! };
}

test('a stream comes to the answer in one piece, and to that of a chat', async () => {
  const options = { max_output_tokens: 16, seed: 3 };
  const whole = await server.json(path, { input, instructions: 'Speak.', ...options });
  const events = await server.events(path, {
    ...{ input, instructions: 'Speak.', ...options },
    stream: true,
  });
  expect(events.slice(0, 4).map(({ type }) => type)).toEqual([
    'response.created',
    'response.in_progress',
    'response.output_item.added',
    'response.content_part.added',
  ]);
  const { output, last } = fold(events);
  expect(textOf({ output })).toBe(textOf(whole));
  const { id: _, created_at: _1, timings: _2, lacuna: _3, output: items, ...facts } = whole;
  expect(last).toMatchObject({ type: 'response.incomplete', response: facts });
  expect(outputOf(last.response)).toEqual(output);
  expect(items).toMatchObject([{ type: 'message', role: 'assistant', status: 'completed' }]);
  expect(whole).toMatchObject({
    ...{ object: 'response', status: 'incomplete', instructions: 'Speak.', store: false },
    incomplete_details: { reason: 'max_output_tokens' },
    usage: { output_tokens: 16, output_tokens_details: { reasoning_tokens: 0 } },
  });

  const chat = await server.json('/v1/chat/completions', {
    messages: [
      { role: 'system', content: 'Speak.' },
      { role: 'user', content: input },
    ],
    ...{ max_tokens: 16, seed: 3 },
  });
  const [choice] = chat.choices as { message: { content: string } }[];
  expect(choice.message.content).toBe(textOf(whole));
});

test('the canvas rides on deltas without text', async () => {
  const body = { input, max_output_tokens: 12, stream: true, lacuna: { canvas: 'delta' } };
  const events = await server.events(path, body);
  const frames = events.filter((event) => event.lacuna !== undefined);
  expect(frames.map(({ type, delta }) => [type, delta])).toEqual(
    frames.map(() => ['response.output_text.delta', '']),
  );
  const kinds = frames.map(({ lacuna }) => (lacuna as { kind: string }).kind);
  expect([kinds[0], kinds.filter((kind) => kind === 'step').length, kinds.at(-1)]).toEqual([
    ...['start', 12, 'end'],
  ]);
  fold(events);
});

test('a conversation of items is the chat of its messages', async () => {
  const items = [
    { role: 'developer', content: [{ type: 'input_text', text: 'Speak.' }] },
    { type: 'message', role: 'user', content: 'Who?' },
    { type: 'reasoning', id: 'rs_1', summary: [] },
    { type: 'function_call', call_id: 'c1', name: 'look', arguments: '{"at":1}' },
    { type: 'function_call', call_id: 'c2', name: 'look', arguments: '{"at":2}' },
    { type: 'function_call_output', call_id: 'c1', output: 'a king' },
    { type: 'function_call_output', call_id: 'c2', output: [{ type: 'input_text', text: 'x' }] },
  ];
  const call = (id: string, at: number) => ({
    ...{ id, type: 'function' },
    function: { name: 'look', arguments: `{"at":${at}}` },
  });
  const chat = await server.json('/v1/chat/completions', {
    messages: [
      { role: 'system', content: 'Speak.' },
      { role: 'user', content: 'Who?' },
      { role: 'assistant', content: null, tool_calls: [call('c1', 1), call('c2', 2)] },
      { role: 'tool', tool_call_id: 'c1', content: 'a king' },
      { role: 'tool', tool_call_id: 'c2', content: 'x' },
    ],
    max_tokens: 8,
  });
  const response = await server.json(path, { input: items, max_output_tokens: 8 });
  const [choice] = chat.choices as { message: { content: string } }[];
  expect(textOf(response)).toBe(choice.message.content);
  expect(response.usage).toMatchObject({
    input_tokens: (chat.usage as { prompt_tokens: number }).prompt_tokens,
  });
});

const tools = [
  {
    ...{ type: 'function', name: 'weather', strict: true },
    parameters: {
      type: 'object',
      properties: { city: { enum: ['Verona', 'Mantua'] }, days: { type: 'integer', maximum: 9 } },
      required: ['city', 'days'],
      additionalProperties: false,
    },
  },
];

test('calls are items', async () => {
  const body = { input, tools, tool_choice: 'required', parallel_tool_calls: false, seed: 1 };
  const whole = await server.json(path, body);
  const [call] = outputOf(whole);
  expect(call).toMatchObject({ type: 'function_call', name: 'weather', status: 'completed' });
  const given = JSON.parse(call.arguments!) as { city: string };
  expect(['Verona', 'Mantua']).toContain(given.city);
  expect(whole.status).toBe('completed');

  const events = await server.events(path, { ...body, stream: true });
  const { output, last } = fold(events);
  expect(last.type).toBe('response.completed');
  expect(output.map(({ name, arguments: json }) => [name, json])).toEqual([
    ['weather', call.arguments],
  ]);
  // What is called can be sent back as it came.
  const again = [{ role: 'user', content: input }, ...outputOf(whole)];
  const result = { type: 'function_call_output', call_id: call.call_id, output: 'rain' };
  await server.json(path, { input: [...again, result], max_output_tokens: 4 });
});

test('text in a format', async () => {
  const schema = {
    type: 'object',
    properties: { mood: { enum: ['sad', 'merry'] } },
    required: ['mood'],
  };
  const format = { type: 'json_schema', name: 'mood', schema, strict: true };
  const response = await server.json(path, { input, text: { format } });
  const { mood } = JSON.parse(textOf(response)) as { mood: string };
  expect(['sad', 'merry']).toContain(mood);
  expect(response).toMatchObject({ status: 'completed', text: { format } });
});

test('log probabilities, where they are asked for', async () => {
  const include = ['message.output_text.logprobs'];
  const body = { input, max_output_tokens: 6, include, top_logprobs: 2 };
  const whole = await server.json(path, body);
  const [{ logprobs }] = outputOf(whole)[0].content!;
  expect(logprobs).toHaveLength(6);
  const { output } = fold(await server.events(path, { ...body, stream: true }));
  expect(output[0].content![0].logprobs).toEqual(logprobs);
});

test('what means nothing here is named', async () => {
  const text = { verbosity: 'low' };
  const body = { input, text, truncation: 'auto', reasoning: { effort: 'low', summary: 'auto' } };
  const response = await server.request(path, { ...body, max_output_tokens: 1 });
  const names = 'truncation, text.verbosity, reasoning.summary';
  expect([response.status, response.headers.get('x-lacuna-ignored')]).toEqual([200, names]);
});

test.each<[string, object, string, RegExp]>([
  ['memory', { input, previous_response_id: 'resp_1' }, 'previous_response_id', /nothing is kept/],
  ['store', { input, store: true }, 'store', /nothing is kept/],
  ['background', { input, background: true }, 'background', /nothing is kept/],
  ['no input', {}, 'input', /input must be/],
  ['an item', { input: [{ type: 'item_reference', id: 'x' }] }, 'input', /input\[0\]\.type/],
  ['length', { input, max_output_tokens: 0 }, 'max_output_tokens', /max_output_tokens must be/],
  ['too long', { input: 'my lord '.repeat(300) }, 'input', /context has 256/],
  ['a tool', { input, tools: [{ type: 'web_search' }] }, 'tools', /tools\[0\]\.type/],
  ['effort', { input, reasoning: { effort: 'huge' } }, 'reasoning', /reasoning\.effort must be/],
])('errors: %s', async (_, body, param, message) => {
  const [status, { error }] = await server.error(path, body);
  const { message: said, param: named } = error as { message: string; param: string };
  expect([status, said]).toEqual([400, expect.stringMatching(message)]);
  expect(named).toMatch(new RegExp(`^${param}`));
  expect(server.handler.active).toBe(0);
});

test('what goes wrong on the way is said twice, for two kinds of clients', async () => {
  const response = await server.request(path, { input, max_output_tokens: 100, stream: true });
  server.handler.stop();
  const text = await response.text();
  const [failed, error] = text
    .split('\n\n')
    .filter(Boolean)
    .slice(-2)
    .map((event) => event.split('\n'));
  expect([failed[0], error[0]]).toEqual(['event: response.failed', 'event: error']);
  expect(JSON.parse(failed[1].slice(6))).toMatchObject({
    response: { status: 'failed', error: { code: 'server_shutdown' } },
  });
  expect(JSON.parse(error[1].slice(6))).toMatchObject({
    ...{ type: 'error', code: 'server_shutdown' },
    error: { type: 'server_error' },
  });
});
