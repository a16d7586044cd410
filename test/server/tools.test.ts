/** Tools: what the model begins with `<tool_call>` becomes a call that its schema fits. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { createHandler } from '../../lib/server/index.js';
import { chunks, folded, request, whole, writingModel, type Reply } from './local.js';

const path = '/v1/chat/completions';
const weather = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 1, maximum: 9 } },
  required: ['city', 'days'],
  additionalProperties: false,
};
const tools = [
  { type: 'function', function: { name: 'weather', description: 'Ahead', parameters: weather } },
  { type: 'function', function: { name: 'time.now' } },
];
const messages = [{ role: 'user', content: 'Oslo?' }];
const oslo = '{"name": "weather", "arguments": {"city": "Oslo", "days": 3}}';
const now = '{"name": "time.now", "arguments": {}}';
const call = (text: string) => `<tool_call>\n${text}\n</tool_call>`;
const handlerOf = (text: string | ((prompt: string) => string), template?: string) =>
  createHandler({ model: writingModel(typeof text === 'string' ? () => text : text, template) });

/** Both ways of asking give the same; `id`s are random. */
async function answer(text: string, body: object) {
  const handler = handlerOf(text);
  const asked = { messages, tools, max_tokens: 200, ...body };
  const { choices, usage } = await whole(handler, path, asked);
  const { message, finish_reason } = choices[0];
  const { text: streamed, calls, finish } = folded(await chunks(handler, path, asked));
  const called = message!.tool_calls ?? [];
  expect([streamed, finish]).toEqual([message!.content ?? '', finish_reason]);
  expect(calls.map((one) => one.function)).toEqual(called.map((one) => one.function));
  expect(calls.map(({ index }) => index)).toEqual([...calls.keys()]);
  const ids = called.map(({ id, type }) => [id.slice(0, 5), type]);
  expect(ids).toEqual(called.map(() => ['call_', 'function']));
  expect([handler.engine.running, handler.active]).toEqual([0, 0]);
  return {
    content: message!.content,
    calls: called.map((one) => [one.function.name, one.function.arguments]),
    finish,
    tokens: usage!.completion_tokens,
  };
}

describe('auto', () => {
  test('text stays text', async () => {
    const said = 'It rains. < <tool_cal';
    expect(await answer(said, {})).toMatchObject({ content: said, calls: [], finish: 'stop' });
  });

  test('a call', async () => {
    expect(await answer(call(oslo), {})).toEqual({
      content: null,
      calls: [['weather', '{"city": "Oslo", "days": 3}']],
      finish: 'tool_calls',
      tokens: oslo.length,
    });
  });

  test('text, then calls', async () => {
    const said = `Let me see. ${call(oslo)}\n${call(now)}`;
    const calls = [
      ['weather', '{"city": "Oslo", "days": 3}'],
      ['time.now', '{}'],
    ];
    const finish = 'tool_calls';
    expect(await answer(said, {})).toMatchObject({ content: 'Let me see. ', calls, finish });
    const one = await answer(said, { parallel_tool_calls: false });
    expect(one.calls).toEqual(calls.slice(0, 1));
  });

  test('a stop string before the call ends the answer', async () => {
    const ended = { content: 'Let me ', calls: [], finish: 'stop' };
    expect(await answer(`Let me see. ${call(oslo)}`, { stop: 'see' })).toMatchObject(ended);
  });

  test('beside JSON the model chooses between the two', async () => {
    const schema = { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] };
    const json_schema = { name: 'x', schema };
    const body = { response_format: { type: 'json_schema', json_schema } };
    expect((await answer(call(now), body)).calls).toEqual([['time.now', '{}']]);
    const { content, finish } = await answer('{"ok": true}', body);
    expect([content, finish]).toEqual(['{"ok": true}', 'stop']);
  });
});

test('required and named: a call whatever the model wants', async () => {
  const ajv = new Ajv2020();
  const required = await answer('No.', { tool_choice: 'required', max_tokens: 400 });
  expect(required.finish).toBe('tool_calls');
  const tool_choice = { type: 'function', function: { name: 'weather' } };
  const named = await answer('No.', { tool_choice });
  expect(named.calls).toHaveLength(1);
  expect(named.calls[0][0]).toBe('weather');
  expect(ajv.validate(weather, JSON.parse(named.calls[0][1]))).toBe(true);
});

test('none: the tools are not shown', async () => {
  const seen: string[] = [];
  const handler = handlerOf((prompt) => (seen.push(prompt), 'No.'));
  const asked = { messages, tools, tool_choice: 'none', max_tokens: 24 };
  const { choices } = await whole(handler, path, asked);
  expect(choices[0]).toMatchObject({ message: { content: 'No.' }, finish_reason: 'stop' });
  expect(new Set(seen)).toEqual(new Set(['[user] Oslo?\n']));
});

test('an answer that is full has the calls that are complete', async () => {
  const said = `${call(oslo)}\n${call(oslo)}`;
  const max_tokens = call(oslo).length + 20;
  const { calls, finish } = await answer(said, { max_tokens });
  expect([calls.length, finish]).toEqual([1, 'tool_calls']);
  const short = await answer(said, { max_tokens: 30, tool_choice: 'required' });
  expect(short).toMatchObject({ content: '', calls: [], finish: 'length' });
});

describe('messages', () => {
  const turns = [
    ...messages,
    {
      role: 'assistant',
      content: null,
      tool_calls: [
        { id: 'a', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
      ],
    },
    { role: 'tool', tool_call_id: 'a', content: 'rain' },
    { role: 'tool', tool_call_id: 'b', content: 'snow' },
  ];
  const promptFor = async (template?: string) => {
    const seen: string[] = [];
    const handler = handlerOf((prompt) => (seen.push(prompt), 'Well.'), template);
    await whole(handler, path, { messages: turns, tools, max_tokens: 24 });
    return seen[0];
  };

  test('of a template without tools become text', async () => {
    const prompt = await promptFor();
    expect(prompt).toContain(`<tools>\n${JSON.stringify(tools[0])}\n`);
    expect(prompt).toContain(
      '[assistant] <tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>\n' +
        '[user] <tool_response>\nrain\n</tool_response>\n<tool_response>\nsnow\n</tool_response>\n',
    );
  });

  test('of one with tools go in as they are', async () => {
    const template =
      '{% for t in tools %}{{ t.function.name }};{% endfor %}{# <tool_call> #}' +
      '{% for m in messages %}{{ m.role }}:{{ m.content }}{% for c in m.tool_calls or [] %}' +
      '{{ c.id }}={{ c.function.arguments.city }}{% endfor %}{{ m.tool_call_id or "" }};{% endfor %}' +
      '<|startoftext|>';
    expect(await promptFor(template)).toBe(
      'weather;time.now;user:Oslo?;assistant:a=Oslo;tool:raina;tool:snowb;',
    );
  });
});

test.each<[string, object, RegExp, string]>([
  ['no list', { tools: 1 }, /^tools must be an array/, 'tools'],
  ['another type', { tools: [{ type: 'x' }] }, /^tools\[0\].type must be/, 'tools[0].type'],
  ['a name', { tools: [{ type: 'function', function: { name: 'a b' } }] }, /letters/, 'tools[0]'],
  ['twice', { tools: [tools[0], tools[0]] }, /two weather/, 'tools'],
  [
    'unknown',
    { tool_choice: { type: 'function', function: { name: 'x' } } },
    /one of the tools/,
    'tool_choice',
  ],
  ['none there', { tools: [], tool_choice: 'required' }, /without tools/, 'tool_choice'],
  ['a word', { tool_choice: 'any' }, /^tool_choice must be one of/, 'tool_choice'],
  [
    'a schema',
    { tools: [{ type: 'function', function: { name: 'a', parameters: { not: {} } } }] },
    /tools\[0\].function.parameters: # has the keyword "not"/,
    'tools[0].function.parameters',
  ],
  [
    'arguments',
    {
      messages: [
        { role: 'assistant', tool_calls: [{ id: 'a', function: { name: 'a', arguments: '{' } }] },
      ],
    },
    /arguments must be JSON/,
    'messages[0].tool_calls[0].function.arguments',
  ],
])('refuses %s', async (_, body, message, param) => {
  const response = await handlerOf('')(request(path, { messages, tools, ...body }));
  const { error } = (await response.json()) as Reply;
  expect([response.status, error!.type]).toEqual([400, 'invalid_request_error']);
  expect(error!.message).toMatch(message);
  expect(error!.param).toContain(param);
});
