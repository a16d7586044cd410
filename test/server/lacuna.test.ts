/** The run as the field `lacuna` steers it, and the list of what it may choose from. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { catalogue, policyNamed, type Listed } from '../../lib/decoding/catalogue.js';
import { threshold } from '../../lib/decoding/threshold.js';
import { blocks, loadModel, lowConfidence, type Model } from '../../lib/index.js';
import { createHandler, type Handler } from '../../lib/server/index.js';

const path = fileURLToPath(new URL('../../models/shakespeare-7m.Q8_0.gguf', import.meta.url));
const defaults = { bos: true, decode: lowConfidence(), blocks: blocks(8), temperature: 0 };
let model: Model;
let handler: Handler;
beforeAll(async () => {
  model = await loadModel(path, { device: 'cpu' });
  handler = createHandler({ model, defaults });
});
afterAll(() => model.dispose());

interface Chunk {
  choices: { text: string }[];
  lacuna?: Record<string, unknown> & { kind: string };
}
interface Reply {
  choices: { text: string; finish_reason: string }[];
  error?: { message: string };
}

const headers = { host: 'localhost:1', 'content-type': 'application/json' };
const get = (path: string) =>
  handler(new Request(`http://localhost:1${path}`, { headers: { host: 'localhost:1' } }));
const complete = (body: object) => {
  const full = { prompt: 'ROMEO:\n', max_tokens: 16, ...body };
  const init = { method: 'POST', headers, body: JSON.stringify(full) };
  return handler(new Request('http://localhost:1/v1/completions', init));
};
const whole = async (body: object) => (await (await complete(body)).json()) as Reply;
const frames = async (body: { lacuna?: object; [key: string]: unknown }) => {
  const lacuna = { canvas: 'delta', ...body.lacuna };
  const text = await (await complete({ ...body, stream: true, lacuna })).text();
  return text
    .split('\n\n')
    .filter((line) => line.startsWith('data: {'))
    .flatMap((line) => (JSON.parse(line.slice(6)) as Chunk).lacuna ?? []);
};

describe('policies by name', () => {
  test('the request runs what the library would', async () => {
    const lacuna = {
      decode: { name: 'threshold', options: { tau: 0.3 } },
      blocks: { name: 'blocks', options: { size: 16 } },
    };
    const options = { ...defaults, decode: threshold({ tau: 0.3 }), blocks: blocks(16) };
    const direct = await model.generate('ROMEO:\n', { ...options, maxTokens: 16 }).result;
    expect((await whole({ lacuna })).choices[0].text).toBe(direct.text);
    const [start] = await frames({ lacuna });
    expect(start.policies).toMatchObject({ decode: { name: 'threshold', options: { tau: 0.3 } } });
  });

  const all = Object.entries(catalogue).flatMap(([role, entries]) =>
    Object.entries<Listed<(...args: never[]) => unknown>>(entries).map(
      ([name, entry]) => [`${role} ${name}`, entry] as const,
    ),
  );
  test.each(all)('%s: the listed bounds and defaults are those that are checked', (_, entry) => {
    const { fields, make } = entry;
    for (const [key, field] of Object.entries(fields)) {
      const needs = key === 'epsilon' ? { strategy: 'entropyBounded' } : {};
      expect(make({ ...needs, [key]: field.default })).toBeTypeOf('function');
    }
    for (const [key, field] of Object.entries(fields)) {
      expect(field.description).not.toBe('');
      const wrong = field.type === 'string' ? 'x' : field.type === 'boolean' ? 1 : -1e9;
      if (field.type === 'boolean' || field.type === 'string' || 'minimum' in field) {
        expect(() => make({ [key]: wrong })).toThrow(key);
      }
    }
  });

  test('a default of the list is what the policy does without', () => {
    const { fields } = catalogue.decode.threshold;
    const values = Object.fromEntries(Object.entries(fields).map(([k, f]) => [k, f.default]));
    const decide = (options: object) =>
      policyNamed('decode', 'x', { name: 'threshold', options })({} as never)({} as never);
    expect(decide(values)).toEqual(decide({}));
    expect(decide({ ...values, tau: 0.5 })).not.toEqual(decide({}));
  });

  test('the endpoint lists them all', async () => {
    const list = (await (await get('/lacuna/v1/policies')).json()) as Record<string, object>;
    for (const role of ['decode', 'blocks', 'cache'] as const) {
      expect(Object.keys(list[role])).toEqual(Object.keys(catalogue[role]));
    }
    expect(list.decode).toHaveProperty('threshold.properties.tau.default', 0.9);
    expect(list.presets).toHaveProperty('wino.decode.name', 'wino');
    expect(list.defaults).toMatchObject({ blocks: { name: 'blocks', options: { size: 8 } } });
  });

  test.each([
    [{ decode: { name: 'best' } }, /lacuna\.decode\.name must be one of/],
    [{ decode: { name: 'threshold', options: { tau: 2 } } }, /tau must be/],
    [{ blocks: { name: 'blocks', options: { length: 2 } } }, /unknown option "length"/],
    [{ start: [1, 99999999] }, /lacuna\.start/],
    [{ start: new Array(17).fill(null) }, /at most max_tokens \(16\)/],
    [{ start: [null], fixed: [0] }, /lacuna\.fixed\[0\]/],
    [{ fixed: [0] }, /lacuna\.fixed/],
    [{ pause: 0 }, /lacuna\.pause/],
    [{ measures: ['joy'] }, /lacuna\.measures\[0\]/],
    [{ template: [] }, /lacuna\.template/],
    [{ template: [{ max: 0 }] }, /lacuna\.template\[0\]\.max/],
    [{ template: [{ choices: [] }] }, /choices/],
    [{ template: [{ choices: ['a'], max: 2 }] }, /lacuna\.template\[0\]\.choices/],
    [{ template: [{ choices: new Array(17).fill('a') }] }, /at most 16 texts/],
  ])('%j is refused', async (lacuna, message) => {
    const { error } = await whole({ lacuna });
    expect(error?.message).toMatch(message);
  });
});

test('a run in single steps is the run', async () => {
  const lacuna = { decode: { name: 'leftToRight' } };
  const { choices } = await whole({ max_tokens: 8, lacuna });
  const canvas: (number | null)[] = new Array<null>(8).fill(null);
  while (canvas.includes(null)) {
    const steps = await frames({ max_tokens: 8, lacuna: { ...lacuna, start: canvas, pause: 1 } });
    const [step, ...others] = steps.filter(({ kind }) => kind === 'step');
    expect(others).toEqual([]);
    for (const [at, token] of step.commits as number[][]) canvas[at] = token;
  }
  expect(model.tokenizer.decode(canvas as number[])).toBe(choices[0].text);
});

test('pinned tokens survive a decoder that takes tokens back', async () => {
  const [token] = model.tokenizer.encode(' crown', { bos: false });
  const start = Array.from({ length: 16 }, (_, i) => (i === 9 ? token : null));
  const lacuna = { decode: { name: 'wino' }, start, fixed: [9] };
  const steps = await frames({ lacuna });
  expect(steps[0].fixed).toEqual([[9, token, ' crown']]);
  const touched = steps.flatMap(({ commits = [], edits = [], remasks = [] }) => [
    ...[...(commits as number[][]), ...(edits as number[][])].map(([at]) => at),
    ...(remasks as number[]),
  ]);
  expect(touched.length).toBeGreaterThan(10);
  expect(touched).not.toContain(9);
});

test('measures and positions ahead', async () => {
  const count = (base64: unknown) =>
    [...Buffer.from(base64 as string, 'base64')].filter((byte) => byte > 0).length;
  const lacuna = { measures: ['entropy', 'margin'], ahead: true, candidates: 2 };
  const [, step] = await frames({ lacuna });
  expect(count(step.entropy)).toBe(16);
  expect(step.candidates).toHaveLength(8); // those of the block
  const [, near] = await frames({ lacuna: { ...lacuna, ahead: false } });
  expect(count(near.entropy)).toBe(8);
});

test('holes in a text', async () => {
  const template = ['My lord,', { min: 3, max: 3 }, ' the crown', { min: 2, max: 2 }, '.'];
  const lacuna = { template };
  const { choices } = await whole({ max_tokens: undefined, lacuna });
  expect(choices[0].text).toMatch(/^My lord,[^]+ the crown[^]+\.$/);
  const steps = await frames({ lacuna });
  const committed = steps.flatMap(({ commits = [] }) => commits as unknown[]);
  expect(committed).toHaveLength(5);
});

test('a hole that is one of some texts', async () => {
  const texts = [' lord', ' lady', ' gracious sovereign'];
  const lacuna = { template: ['My', { choices: texts }, ', I am thine.'] };
  const { choices } = await whole({ max_tokens: undefined, lacuna });
  expect(texts.map((text) => `My${text}, I am thine.`)).toContain(choices[0].text);
});

test('the page: its policy, and nothing twice', async () => {
  const page = await get('/');
  expect(page.headers.get('content-type')).toContain('text/html');
  expect(page.headers.get('content-security-policy')).toMatch(
    /default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'/,
  );
  const etag = page.headers.get('etag')!;
  const again = new Request('http://localhost:1/', {
    headers: { host: 'localhost:1', 'if-none-match': etag },
  });
  expect((await handler(again)).status).toBe(304);
  expect((await get('/studio/../package.json')).status).toBe(404);
  expect((await createHandler({ model, studio: false })(new Request(again))).status).toBe(404);
});
