/** JSON by a schema through the handler: it parses and fits, whatever the model. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Random } from '../../lib/gguf/random.js';
import { writeSynthetic } from '../../lib/gguf/synthetic.js';
import { loadModel, type Model } from '../../lib/index.js';
import { createHandler, type Handler } from '../../lib/server/index.js';
import { SchemaSource } from '../schema/random.js';
import { chunks, folded, request, whole, type Choice, type Reply } from './local.js';

const path = '/v1/chat/completions';
const template = '{% for m in messages %}{{ m.content }}\n{% endfor %}';
const messages = [{ role: 'user', content: 'x' }];
let folder: string;
let model: Model;
let handler: Handler;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lacuna-structured-'));
  const file = join(folder, 'tiny.gguf');
  const shape = { layers: 1, dim: 32, heads: 1, ffn: 32, vocabulary: 300, context: 4096 };
  const options = { type: 'F32', tokenizer: true, seed: 5 } as const;
  await writeSynthetic(file, { architecture: 'llada', ...shape, ...options });
  model = await loadModel(file, { device: 'cpu', threads: 1 });
  const defaults = { preset: 'fast', chat: { template } } as const;
  handler = createHandler({ model, defaults, limits: { parallel: 2, queue: 2 } });
});
afterAll(async () => {
  await model.dispose();
  rmSync(folder, { recursive: true });
});

const formatOf = (schema: unknown) => ({
  type: 'json_schema',
  json_schema: { name: 'x', strict: true, schema },
});

test('300 random schemas, each in one piece or as a stream: it parses and fits', async () => {
  const source = new SchemaSource(new Random(7));
  const ajv = new Ajv2020({
    strict: false,
    logger: false,
    ownProperties: true,
    validateFormats: false,
  });
  for (let run = 0; run < 300; run++) {
    const schema = source.root(1);
    const sampled = run % 2 === 0 ? {} : { temperature: 1, seed: run };
    const asked = { messages, ...sampled, response_format: formatOf(schema) };
    const { text, finish } =
      run % 3 === 0
        ? folded(await chunks(handler, path, asked))
        : await whole(handler, path, asked).then(({ choices: [{ message, finish_reason }] }) => {
            return { text: message!.content!, finish: finish_reason };
          });
    const where = `schema ${run}: ${JSON.stringify(schema)}\n${text}`;
    expect(finish, where).toBe('stop');
    expect(ajv.validate(schema, JSON.parse(text)), `${where}\n${ajv.errorsText()}`).toBe(true);
  }
  expect([handler.engine.running, handler.active]).toEqual([0, 0]);
}, 240_000);

describe('commit_now: complete, and as the schema wants it, a forward or two later', () => {
  const year = { type: 'integer', minimum: 1500 };
  const years = { type: 'array', items: year, minItems: 6 };
  const line = { type: 'string', minLength: 2, maxLength: 40 };
  const mood = { enum: ['glad', 'grim', 'grave'] };
  const properties = { line, mood, years, more: { type: 'array', items: line, minItems: 3 }, year };
  const schema = { type: 'object', properties, required: Object.keys(properties) };
  const parameters = { type: 'object', properties: { line, years }, required: ['line', 'years'] };
  const tools = [{ type: 'function', function: { name: 'reign', parameters } }];

  test.each<[string, object, object, (message: Message) => string]>([
    ['json', { response_format: formatOf(schema) }, schema, ({ content }) => content!],
    [
      'call',
      { tools, tool_choice: 'required' },
      parameters,
      ({ tool_calls }) => tool_calls![0].function.arguments,
    ],
  ])('%s', async (name, body, wanted, textOf) => {
    const more = { headers: { 'x-request-id': `mine-${name}` } };
    const answer = handler(request(path, { messages, ...body }, more));
    while (handler.engine.running === 0) await turn();
    const control = { id: `mine-${name}`, action: 'commit_now' };
    expect((await handler(request(`${path}/control`, control))).status).toBe(200);
    const { choices, lacuna } = (await (await answer).json()) as Reply;
    const value: unknown = JSON.parse(textOf(choices[0].message!));
    const ajv = new Ajv2020({ strict: false });
    expect(ajv.validate(wanted, value), ajv.errorsText()).toBe(true);
    expect(lacuna!.stats!.forwards).toBeLessThan(6); // six years alone would take more
  });
});
type Message = NonNullable<Choice['message']>;

const schema = {
  type: 'object',
  properties: {
    kind: { enum: ['a', 'b'] },
    name: { type: 'string', maxLength: 9 },
    list: { type: 'array', items: { type: 'integer', minimum: 0, maximum: 99 }, minItems: 2 },
  },
  required: ['kind', 'name', 'list'],
};

test('it is what model.object writes, streamed in pieces or not', async () => {
  const decode = { temperature: 0.5, seed: 3 };
  const { text } = await model.object(schema, messages as never, {
    ...{ ...decode, chat: { template } },
  });
  const exact = createHandler({ model, defaults: { chat: { template } } });
  const asked = { messages, ...decode, response_format: formatOf(schema) };
  const { choices, usage, lacuna } = await whole(exact, path, asked);
  expect(choices[0].message!.content).toBe(text);
  expect(usage!.completion_tokens).toBe(text.length); // a byte a token
  expect(lacuna!.stats!.forwards).toBeGreaterThan(3);
  const stream = await chunks(exact, path, asked);
  expect(folded(stream).text).toBe(text);
  expect(stream.filter(({ choices }) => choices[0].delta?.content).length).toBeGreaterThan(3);
});

test('any object, and llama.cpp’s form of a schema', async () => {
  for (let seed = 0; seed < 3; seed++) {
    const asked = { messages, seed, temperature: 2, response_format: { type: 'json_object' } };
    const { choices } = await whole(handler, path, asked);
    const value = JSON.parse(choices[0].message!.content!) as unknown;
    expect(value).toSatisfy((one) => typeof one === 'object' && !Array.isArray(one));
  }
  const asked = { messages, response_format: { type: 'json_object', schema } };
  const { choices } = await whole(handler, path, asked);
  const value = JSON.parse(choices[0].message!.content!) as unknown;
  expect(new Ajv2020().validate(schema, value)).toBe(true);
  const text = await whole(handler, path, {
    messages,
    response_format: { type: 'text' },
    max_tokens: 4,
  });
  expect(text.choices[0].finish_reason).toMatch(/stop|length/);
});

test('max_tokens cuts, and says so', async () => {
  const asked = { messages, max_tokens: 12, response_format: formatOf(schema) };
  const { choices, usage } = await whole(handler, path, asked);
  expect(choices[0].finish_reason).toBe('length');
  expect(choices[0].message!.content).toMatch(/^\{"kind": "[ab]/);
  expect(usage!.completion_tokens).toBeLessThanOrEqual(12);
});

test('it waits for a slot, and leaves it with its client', async () => {
  const long = { type: 'array', items: { type: 'number' }, minItems: 40, maxItems: 40 };
  const leaver = new AbortController();
  const body = {
    messages,
    stream: true,
    response_format: formatOf({ type: 'object', properties: { long }, required: ['long'] }),
  };
  const ask = () => handler(request(path, body, { signal: leaver.signal }));
  const running = [await ask(), await ask()];
  expect(handler.engine.running).toBe(2);
  const queued = handler(request(path, { messages, response_format: formatOf(schema) }));
  await expect.poll(() => handler.engine.waiting).toBe(1);
  leaver.abort();
  expect((await queued).status).toBe(200);
  await Promise.all(running.map((response) => response.text()));
  await expect.poll(() => handler.engine.running).toBe(0);
  expect(handler.active).toBe(0);
});

describe('what is not promised is refused', () => {
  const nested = (depth: number): object =>
    depth === 0 ? { type: 'string' } : { type: 'array', items: nested(depth - 1) };
  const laughs = Object.fromEntries(
    Array.from({ length: 12 }, (_, i) => {
      const $ref = i === 11 ? '#/$defs/d11' : `#/$defs/d${i + 1}`;
      const properties = { a: { $ref }, b: { $ref } };
      return [`d${i}`, i === 11 ? { type: 'null' } : { type: 'object', properties }];
    }),
  );
  const pattern = (source: string) => ({ type: 'string', pattern: source });
  test.each<[string, unknown, RegExp]>([
    ['not', { not: {} }, /# has the keyword "not", which is not supported/],
    ['a remote $ref', { $ref: 'http://a.example/x' }, /only those like "#\/\$defs\/name"/],
    ['too deep', nested(40), /is nested deeper than 32 schemas/],
    ['too many parts', { $ref: '#/$defs/d0', $defs: laughs }, /more than 2000 parts/],
    ['too many values', { enum: [...Array(3000).keys()] }, /more than 2000 parts/],
    ['too large', { enum: ['x'.repeat(70_000)] }, /bytes of JSON; there may be 65536/],
    ['no schema', undefined, /must be an object/],
    ['repeats of repeats', pattern('((a{200}){200}){200}'), /too many states/],
    ['a wide pattern', pattern('(.*[a-f]x){30}y.{200}'), /too many states|too much work/],
    ['deep groups', pattern(`${'('.repeat(3000)}a${')'.repeat(3000)}`), /groups deeper than 100/],
    ['long by pattern', { ...pattern('^[ab]*$'), minLength: 1e9 }, /too large for texts/],
  ])('%s', async (_, refused, message) => {
    const response = await handler(request(path, { messages, response_format: formatOf(refused) }));
    const { error } = (await response.json()) as Reply;
    expect([response.status, error!.type]).toEqual([400, 'invalid_request_error']);
    expect(error!.message).toMatch(message);
    expect(error!.param).toMatch(/^response_format\.json_schema\.schema/);
  });

  test.each<[string, object]>([
    ['response_format.type', { type: 'xml' }],
    ['response_format.json_schema.name', { type: 'json_schema', json_schema: { schema: {} } }],
  ])('%s', async (param, response_format) => {
    const response = await handler(request(path, { messages, response_format }));
    const { error } = (await response.json()) as Reply;
    expect([response.status, error!.param]).toEqual([400, param]);
  });

  test('a pattern that backtracks elsewhere costs nothing here', async () => {
    const asked = { enum: [`${'a'.repeat(60)}!`, 'ab'], ...pattern('^(a+)+b$') };
    const { choices } = await whole(handler, path, {
      ...{ messages, response_format: formatOf(asked) },
    });
    expect(choices[0].message!.content).toBe('"ab"');
  });

  test('fields that JSON has no use for are named', async () => {
    const asked = { messages, stop: 'x', logprobs: true, response_format: formatOf(schema) };
    const response = await handler(request(path, asked));
    expect(response.headers.get('x-lacuna-ignored')).toBe('stop, logprobs');
    const strict = await handler(request(path, { ...asked, lacuna: { strict: true } }));
    expect(strict.status).toBe(400);
  });
});
