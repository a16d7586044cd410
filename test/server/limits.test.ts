/** More than a client may ask for, and slower than it may be. */
import { setImmediate as turn } from 'node:timers/promises';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import type { DiffusionSession, Model } from '../../lib/index.js';
import { createHandler } from '../../lib/server/index.js';
import { plainTemplate } from '../../lib/text/formats.js';
import { opened, posted, raw, samples, serve, statusOf, tinyModel } from './machine.js';

let model: Model;
beforeAll(async () => {
  model = await tinyModel();
});
const defaults = { preset: 'fast' as const, chat: { template: plainTemplate } };

interface Reply {
  error?: { message: string; type: string; code: string | null; param: string | null };
  choices: { text: string }[];
}

function ask(body: unknown, path = '/v1/completions'): Request {
  return new Request(`http://localhost${path}`, {
    method: 'POST',
    headers: { host: 'localhost', 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

describe('numbers', () => {
  const bad = ['-1', '0.5', '1e9', '1e999', '-1e999', '9007199254740993', '"8"', '[1]', '{}'];
  const also: Record<string, string[]> = {
    ...{ max_tokens: ['0'], max_completion_tokens: ['0'], n: ['0'], logprobs: ['21'] },
    ...{ top_p: ['1.1'], temperature: ['2.1'] },
  };
  const fits: Record<string, string[]> = {
    ...{ top_p: ['0.5'], temperature: ['0.5'], top_k: ['1e9'], seed: ['1e9'] },
  };
  test.each(['max_tokens', 'max_completion_tokens', 'n', 'top_k', 'seed', 'top_p', 'temperature'])(
    '%s',
    async (field) => {
      const handler = createHandler({ model, defaults });
      for (const value of [...bad, ...(also[field] ?? [])]) {
        if (fits[field]?.includes(value)) continue;
        const response = await handler(ask(`{"prompt":"a","${field}":${value}}`));
        const { error } = (await response.json()) as Reply;
        expect([value, response.status, error?.type]).toEqual([
          ...[value, 400, 'invalid_request_error'],
        ]);
      }
      expect(handler.active).toBe(0);
    },
  );

  test('the ends of what is allowed', async () => {
    const handler = createHandler({ model, defaults });
    for (const fields of [
      { seed: Number.MAX_SAFE_INTEGER },
      { seed: 0, temperature: 1e-300 },
      { seed: 2 ** 32 + 1, temperature: 2, top_p: 0 },
      { top_p: 1e-300, temperature: 1 },
      { top_k: 1e9, temperature: 1 },
      { n: 8, seed: Number.MAX_SAFE_INTEGER - 7, temperature: 1 },
    ]) {
      const response = await handler(ask({ prompt: 'a', max_tokens: 4, ...fields }));
      expect([fields, response.status]).toEqual([fields, 200]);
    }
  });

  test('of what the studio asks for', async () => {
    const handler = createHandler({ model, defaults });
    const beam = (options: object) => ({ decode: { name: 'beam', options } });
    for (const lacuna of [
      ...[beam({ width: 1e6 }), beam({ width: -1 }), beam({ width: 17 })],
      { blocks: { name: 'blocks', options: { size: -1 } } },
      { start: Array(5000).fill(1) },
      { start: [1, 2], fixed: Array(100_000).fill(0) },
      { start: [-1] },
      { template: Array(1000).fill('a') },
      { template: ['a', { max: 1e9 }] },
      { template: ['a', { max: 4, stop: ['x'.repeat(1000)] }] },
      { template: Array(200).fill('a'.repeat(10_000)) },
      { pause: -1 },
    ]) {
      const encode = vi.spyOn(model.tokenizer, 'encode');
      const response = await handler(ask({ prompt: 'a', max_tokens: 4, lacuna }));
      const lengths = encode.mock.calls.map(([text]) => text.length);
      encode.mockRestore();
      expect([Object.keys(lacuna), response.status]).toEqual([Object.keys(lacuna), 400]);
      expect(lengths.reduce((a, b) => a + b, 0)).toBeLessThan(100_000);
    }
  });

  test('a prediction, and hypotheses, as the limits say', async () => {
    const handler = createHandler({ model, defaults, limits: { prediction: 8, hypotheses: 3 } });
    const path = '/v1/chat/completions';
    const predicted = (content: string, more: object = {}) => {
      const messages = [{ role: 'user', content: 'a' }];
      const prediction = { type: 'content', content };
      return handler(ask({ messages, max_tokens: 12, prediction, ...more }, path));
    };
    expect((await predicted('a'.repeat(8))).status).toBe(200);
    for (const stream of [false, true]) {
      const response = await predicted('a'.repeat(9), { stream });
      const { error } = (await response.json()) as Reply;
      expect([response.status, error!.param]).toEqual([400, 'prediction']);
      expect(error!.message).toContain('at most 8 tokens');
    }
    const width = async (lacuna: object) => {
      const response = await handler(ask({ prompt: 'a', max_tokens: 4, lacuna }));
      return [response.status, ((await response.json()) as Reply).error?.param];
    };
    const beam = (options: object) => ({ decode: { name: 'beam', options } });
    expect(await width(beam({ width: 3, depth: 1 }))).toEqual([200, undefined]);
    const [status, param] = await width(beam({ width: 4 }));
    expect([status, param]).toEqual([400, 'lacuna.decode.options.width']);
    const headers = { host: 'localhost' };
    const list = await handler(new Request('http://localhost/lacuna/v1/policies', { headers }));
    const { decode } = (await list.json()) as { decode: Record<string, object> };
    expect(decode.beam).toMatchObject({ properties: { width: { maximum: 3 } } });
    expect(handler.active).toBe(0);
  });

  test('token ids', async () => {
    const handler = createHandler({ model, defaults });
    for (const ids of ['[-1]', '[300]', '[1.5]', '[1,"2"]', '[1,null]', '[1e99]', '[[1],[300]]']) {
      const response = await handler(ask(`{"prompt":${ids},"max_tokens":4}`));
      expect([ids, response.status]).toEqual([ids, 400]);
    }
  });
});

describe('texts', () => {
  test.each<[string, string, object]>([
    ['a prompt', '/v1/completions', { prompt: 'a'.repeat(3 << 20) }],
    ['a prompt of some length', '/v1/completions', { prompt: 'a'.repeat(100_000) }],
    ['one of spaces', '/v1/completions', { prompt: ' '.repeat(100_000) }],
    [
      'a message',
      '/v1/chat/completions',
      { messages: [{ role: 'user', content: 'a'.repeat(3 << 20) }] },
    ],
    [
      'special tokens behind a long text',
      '/v1/chat/completions',
      {
        messages: [
          { role: 'user', content: 'a'.repeat(1 << 20) },
          { role: 'user', content: '<|mask|>'.repeat(100_000) },
        ],
      },
    ],
    ['a suffix', '/v1/completions', { prompt: 'a', suffix: 'a'.repeat(3 << 20) }],
    ['a text for Ollama', '/api/generate', { prompt: 'a'.repeat(3 << 20), stream: false }],
    ['an input', '/v1/responses', { input: 'a'.repeat(3 << 20) }],
    ['a text to tokenize', '/tokenize', { content: 'a'.repeat(3 << 20) }],
  ])('%s that cannot fit', async (_, path, body) => {
    const handler = createHandler({ model, defaults });
    const encode = vi.spyOn(model.tokenizer, 'encode');
    const response = await handler(ask(body, path));
    const lengths = encode.mock.calls.map(([text]) => text.length);
    encode.mockRestore();
    expect(response.status).toBe(400);
    expect(await response.text()).toMatch(/but the context has 4096 tokens/);
    // Not megabytes at a stretch.
    expect(Math.max(0, ...lengths)).toBeLessThanOrEqual(1 << 14);
  });

  test.each<[string, string, object]>([
    [
      'files around a gap',
      '/infill',
      {
        ...{ input_prefix: 'a'.repeat(1 << 20), input_suffix: 'b'.repeat(1 << 20), n_predict: 2 },
        input_extra: [{ filename: 'c'.repeat(1 << 20), text: 'd' }],
      },
    ],
    [
      'a prediction',
      '/v1/chat/completions',
      {
        messages: [{ role: 'user', content: 'a' }],
        ...{ max_tokens: 4, prediction: { type: 'content', content: 'a'.repeat(3 << 20) } },
      },
    ],
  ])('%s that is longer than what is used of it', async (_, path, body) => {
    const handler = createHandler({ model, defaults });
    const encode = vi.spyOn(model.tokenizer, 'encode');
    const response = await handler(ask(body, path));
    const lengths = encode.mock.calls.map(([text]) => text.length);
    encode.mockRestore();
    expect(response.status).toBe(200);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(1 << 15);
  });

  test('more token ids than the context has', async () => {
    const handler = createHandler({ model, defaults });
    for (const [path, body] of [
      ['/v1/completions', { prompt: Array(100_000).fill(1) }],
      ['/detokenize', { tokens: Array(100_000).fill(1) }],
    ] as const) {
      expect([path, (await handler(ask(body, path))).status]).toEqual([path, 400]);
    }
  });

  test('names of fields do not get out of their header', async () => {
    const handler = createHandler({ model, defaults });
    const names = ['x\r\nset-cookie: a=b', 'ключ', '__proto__', 'constructor', 'y'.repeat(1 << 20)];
    const many = Array.from({ length: 20_000 }, (_, i) => `f${i}`);
    const fields = [...names, ...many].map((name) => `${JSON.stringify(name)}:{"stream":true}`);
    const response = await handler(ask(`{"prompt":"a","max_tokens":2,${fields.join()}}`));
    expect(response.status).toBe(200);
    const ignored = response.headers.get('x-lacuna-ignored')!;
    expect(ignored.length).toBeLessThan(1000);
    expect(ignored).toMatch(/^[\w., -]+$/);
    expect(response.headers.get('content-type')).toMatch(/json/);
    const strict = await handler(ask(`{"prompt":"a","lacuna":{"strict":true},${fields.join()}}`));
    expect(strict.status).toBe(400);
    expect((await strict.text()).length).toBeLessThan(2000);
  });

  test('special tokens of the vocabulary are text', async () => {
    const handler = createHandler({ model, defaults });
    let canvas: number[] = [];
    const step = model.step.bind(model);
    const spy = vi.spyOn(model, 'step').mockImplementation((items, options) => {
      canvas = [...(items[0] as unknown as { session: DiffusionSession }).session.tokens];
      return step(items, options);
    });
    for (const text of model.tokenizer.controlTokens.keys()) {
      const chat = (role: string) => ({ messages: [{ role, content: `a${text}b` }] });
      const { bos } = model.tokenizer; // what the template says
      for (const [path, body, own] of [
        ['/v1/completions', { prompt: `a${text}b` }, []],
        ...['system', 'developer', 'user', 'assistant', 'tool'].map(
          (role) => ['/v1/chat/completions', chat(role), [bos]] as const,
        ),
      ] as const) {
        const response = await handler(ask({ ...body, max_tokens: 1 }, path));
        expect(response.status).toBe(200);
        const prompt = canvas.slice(0, -1); // and the mask of the answer
        const control = new Set(model.tokenizer.controlTokens.values());
        expect(prompt.filter((id) => control.has(id))).toEqual(own);
        expect(model.tokenizer.decode(prompt, { special: true })).toContain(`a${text}b`);
      }
    }
    spy.mockRestore();
  });

  test('a template that loops ends with an error, and others are served meanwhile', async () => {
    const template = '{% for i in range(1000000000) %}{% endfor %}';
    const handler = createHandler({ model, defaults: { chat: { template } } });
    const messages = [{ role: 'user', content: 'a' }];
    const hostile = handler(ask({ messages }, '/v1/chat/completions'));
    const other = await handler(ask({ prompt: 'a', max_tokens: 2 }));
    expect(other.status).toBe(200);
    const response = await hostile;
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: 'bad_template' } });
    expect(handler.active).toBe(0);
  });
});

describe('slow senders', () => {
  test(
    'five hundred connections without a request, and one with',
    { timeout: 300_000 },
    async () => {
      const { port, handler } = await serve({ model, limits: { headerSeconds: 2 } });
      const sockets = await Promise.all(Array.from({ length: 500 }, () => opened(port)));
      const starts = ['', 'GET / HTTP/1.1\r\nHost: localhost\r\nX: ', 'POST /v1/compl'];
      const ends = sockets.map(
        (socket, i) =>
          new Promise<string>((resolve) => {
            let reply = '';
            socket.setEncoding('latin1').on('data', (text: string) => (reply += text));
            socket.once('close', () => resolve(reply));
            socket.write(starts[i % starts.length]);
          }),
      );
      const reply = await raw(
        port,
        posted('/v1/completions', { prompt: 'a', max_tokens: 4 }, ['Connection: close']),
      );
      expect(statusOf(reply)).toBe(200);
      const statuses = new Set((await Promise.all(ends)).map(statusOf));
      expect(statuses).toEqual(new Set([408]));
      expect(handler.active).toBe(0);
    },
  );

  test('a body that does not come', async () => {
    const { port, handler } = await serve({ model, limits: { bodySeconds: 1 } });
    const head = posted('/v1/completions', ' '.repeat(100)).slice(0, -50);
    expect(statusOf(await raw(port, head))).toBe(408);
    expect(handler.active).toBe(0);
  });

  test('a body that is left off', async () => {
    const { port, handler } = await serve({ model });
    const socket = await opened(port);
    socket.end(posted('/v1/completions', ' '.repeat(100)).slice(0, -50));
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
    const body = { prompt: 'a', max_tokens: 2 };
    const reply = await raw(port, posted('/v1/completions', body, ['Connection: close']));
    expect(statusOf(reply)).toBe(200);
    expect(handler.active).toBe(0);
  });

  test('connections have a number', async () => {
    const { port } = await serve({ model, limits: { connections: 4 } });
    const open = await Promise.all([1, 2, 3, 4].map(() => opened(port)));
    const request = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
    expect(statusOf(await raw(port, request))).toBe(0);
    open[0].destroy();
    await expect
      .poll(async () => statusOf(await raw(port, request)), { timeout: 60_000 })
      .toBe(200);
  });
});

describe('slow readers', () => {
  interface Chunk {
    choices: { text: string }[];
    lacuna?: { kind: string; dropped?: number };
  }
  const long = { prompt: 'a', max_tokens: 240, stream: true, seed: 3, temperature: 1 };
  const chunksOf = (text: string) =>
    text
      .split('\n\n')
      .filter((line) => line.startsWith('data: {'))
      .map((line) => JSON.parse(line.slice(6)) as Chunk);

  test('canvas frames are left out, then a whole picture comes; text is never left out', async () => {
    const handler = createHandler({ model, defaults });
    const steps = vi.spyOn(model, 'step');
    const lacuna = { canvas: 'delta', steps: 240 };
    const response = await handler(ask({ ...long, lacuna }));
    while (steps.mock.calls.length < 120 && handler.active > 0) await turn();
    expect(handler.active).toBe(1);
    steps.mockRestore();
    const chunks = chunksOf(await response.text());
    const frames = chunks.flatMap((chunk) => chunk.lacuna ?? []);
    const after = frames.findIndex(({ dropped }) => dropped !== undefined);
    expect(frames[after]).toMatchObject({ kind: 'keyframe' });
    expect(frames[after].dropped).toBeGreaterThan(0);
    expect(frames.slice(after + 1).some(({ kind }) => kind === 'step')).toBe(true);
    const whole = await handler(ask({ ...long, stream: false, lacuna: { steps: 240 } }));
    const text = ((await whole.json()) as Reply).choices[0].text;
    expect(chunks.map((chunk) => chunk.choices[0].text).join('')).toBe(text);
    const counted = await samples(async () =>
      (
        await handler(new Request('http://localhost/metrics', { headers: { host: 'localhost' } }))
      ).text(),
    );
    expect(counted.get('lacuna_canvas_frames_dropped_total')).toBe(frames[after].dropped);
  });

  test('who leaves too much unread is cut off with an error', async () => {
    const limits = { unreadBytes: 20_000 };
    const handler = createHandler({ model, defaults, limits });
    const response = await handler(ask({ ...long, lacuna: { steps: 240 }, logprobs: 5 }));
    while (handler.active > 0) await turn();
    await expect(response.text()).rejects.toThrow(/too slow/);
    expect(handler.engine.running).toBe(0);
  });

  test('who takes nothing for too long, too', async () => {
    const limits = { unreadSeconds: 1 };
    const handler = createHandler({ model, defaults, limits });
    const lacuna = { steps: 8000, canvas: 'text' };
    const response = await handler(ask({ ...long, max_tokens: 2000, lacuna }));
    while (handler.active > 0) await turn();
    await expect(response.text()).rejects.toThrow(/too slow/);
    expect(handler.engine.running).toBe(0);
  });
});
