/** Typed output: decisions, guided values, refusals. */
import { expect, expectTypeOf, test, vi } from 'vitest';
import { z } from 'zod';
import type { JsonSchema, Model } from '../../lib/index.js';
import { failure, softmax } from '../session/models.js';
import { tinyModels } from './models.js';

const models = tinyModels();
const small = { maxStringTokens: 3, maxItems: 2 };

/** p(token | known, eight masks behind) among `tokens`, by whole logit rows. */
async function among(model: Model, known: Int32Array, tokens: number[]): Promise<Float64Array> {
  const session = model.createSession({ length: known.length + 9 });
  session.set(0, known);
  const { logits } = await session.step({ query: Int32Array.of(known.length), logits: true });
  session.dispose();
  return softmax(tokens.map((token) => logits![token]));
}

test('a decision is the most probable path through the tokens of the alternatives', async () => {
  for (const model of models) {
    const { value, choices } = await model.object({ enum: ['ab', 'acx', 'acy', 'd'] }, 'p');
    const ids = (text: string) => model.tokenizer.encode(text, { bos: false });
    const [a, b, c, d, x, y] = [...ids('abcdxy')];
    const first = await among(model, ids('p"'), [a, d]);
    const second = await among(model, ids('p"a'), [b, c]);
    const third = await among(model, ids('p"ac'), [x, y]);
    const scores = {
      ab: first[0] * second[0],
      acx: first[0] * second[1] * third[0],
      acy: first[0] * second[1] * third[1],
      d: first[1],
    };
    const best = Object.entries(scores).reduce((p, q) => (q[1] > p[1] ? q : p));
    expect(value).toBe(best[0]);
    expect(choices).toHaveLength(1);
    expect(choices[0]).toMatchObject({ path: '', text: `"${best[0]}"` });
    expect(choices[0].probability).toBeCloseTo(best[1], 5);
  }
});

test('forwards are counted, and what is known costs none', async () => {
  const [model] = models;
  const step = vi.spyOn(model, 'step');
  try {
    const fixed = {
      type: 'object',
      properties: { a: { const: [1, { b: null }] } },
      required: ['a'],
    };
    expect(await model.object(fixed, 'x')).toMatchObject({
      value: { a: [1, { b: null }] },
      text: '{"a": [1, {"b": null}]}',
      forwards: 0,
    });
    expect(step).not.toHaveBeenCalled();
    const schema = z.object({ n: z.int(), s: z.string(), b: z.boolean(), t: z.string() });
    const { forwards } = await model.object(schema, 'x', small);
    expect(forwards).toBe(step.mock.calls.length);
    expect(forwards).toBeGreaterThan(3);
  } finally {
    step.mockRestore();
  }
});

test('the type is that of the schema', async () => {
  const schema = z.object({ n: z.int().min(1).max(9), s: z.enum(['p', 'q']).optional() });
  const { value } = await models[0].object(schema, 'x');
  expectTypeOf(value).toEqualTypeOf<{ n: number; s?: 'p' | 'q' | undefined }>();
  expect(schema.parse(value)).toEqual(value);
  const plain = await models[0].object<{ k: boolean }>(
    { type: 'object', properties: { k: { type: 'boolean' } }, required: ['k'] },
    'x',
  );
  expectTypeOf(plain.value).toEqualTypeOf<{ k: boolean }>();
});

test('what Zod exports', async () => {
  const schema = z.object({
    mail: z.email(),
    when: z.iso.datetime(),
    id: z.uuid(),
    price: z.number().multipleOf(0.01).min(0).lt(1),
    pair: z.tuple([z.string().length(2), z.int().negative().min(-5)]),
    shape: z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('dot') }),
      z.object({ kind: z.literal('disc'), r: z.number().positive().nullable() }),
    ]),
    maybe: z.union([z.string().max(2), z.number()]).optional(),
  });
  for (const model of models) {
    const { value } = await model.object(schema, 'x', { ...small, temperature: 1, seed: 4 });
    expect(schema.parse(value)).toEqual(value);
  }
});

test('lengths of strings: cut, carried on, exact', async () => {
  for (const model of models) {
    for (const [minLength, maxLength] of [
      [0, 0],
      [0, 2],
      [7, 7],
      [9, 12],
    ]) {
      const schema = { type: 'string', minLength, maxLength } as const;
      const { value } = await model.object<string>(schema, 'x', small);
      expect(value.length).toBeGreaterThanOrEqual(minLength);
      expect(value.length).toBeLessThanOrEqual(maxLength);
    }
  }
});

test('keys of any text', async () => {
  const keys = ['__proto__', 'ü"\\\n', '🙂', ''];
  const properties = Object.fromEntries(keys.map((key) => [key, { enum: [key, 'other'] }]));
  const { value } = await models[0].object({ type: 'object', properties, required: keys }, 'x');
  expect(Object.keys(value as object)).toEqual(keys);
});

test('recursion ends at its depth', async () => {
  const tree: JsonSchema = {
    type: 'object',
    properties: { left: { $ref: '#' }, many: { type: 'array', items: { $ref: '#' }, minItems: 1 } },
    required: ['left'],
  };
  await expect(models[0].object(tree, 'x', { depth: 2 })).rejects.toMatchObject(
    failure('INVALID_ARGUMENT', /inside of itself more than 2 times/),
  );
  const { value } = await models[0].object({ ...tree, required: [] }, 'x', { ...small, depth: 1 });
  const depth = (node: unknown): number =>
    node === null || typeof node !== 'object'
      ? 0
      : 1 + Math.max(0, ...Object.values(node).map(depth));
  expect(depth(value)).toBeLessThanOrEqual(5);
});

test('the same seed gives the same value; another may not', async () => {
  const schema = z.object({ s: z.string(), n: z.int() });
  const write = async (seed: number) =>
    (await models[1].object(schema, 'x', { maxStringTokens: 8, temperature: 2, seed })).text;
  expect(await write(1)).toBe(await write(1));
  expect(await write(2)).not.toBe(await write(1));
});

const array = (items: object) => ({ type: 'array', items });
test.each<[unknown, RegExp]>([
  [{ not: {} }, /schema: # has the keyword "not"/],
  [array({ uniqueItems: true }), /#\/items has the keyword "uniqueItems"/],
  [{ type: 'text' }, /# has the type "text"; types are null/],
  [
    { properties: { a: { patternProperties: {} } } },
    /#\/properties\/a has the keyword "patternProp/,
  ],
  [{ $ref: 'other.json' }, /\$ref "other.json"; only those like/],
  [{ $ref: '#/$defs/x' }, /\$ref "#\/\$defs\/x", which leads nowhere/],
  [{ $ref: '#' }, /\$ref to itself|more than/],
  [{ type: 'string', pattern: '(?=a)b' }, /#\/pattern has a look-around/],
  [{ type: 'string', pattern: '^"$' }, /#\/pattern fits no text without escapes/],
  [{ type: 'string', pattern: '^a$', minLength: 2 }, /no text of 2 to/],
  [{ type: 'string', pattern: '^x$', format: 'date' }, /pattern that no text of its format fits/],
  [{ type: 'string', format: 'phone' }, /format "phone"; supported are date/],
  [{ type: 'string', minLength: 3, maxLength: 2 }, /maxLength below its minLength/],
  [{ type: 'integer', minimum: 1.2, maximum: 1.8 }, /# leaves no number/],
  [{ type: 'number', multipleOf: 0 }, /#\/multipleOf must be above 0/],
  [{ type: 'string', enum: [1, 2] }, /leaves no value to choose/],
  [{ ...array({}), minItems: 3, maxItems: 2 }, /fewer items at most than at least/],
  [{ type: 'object', required: ['a'] }, /requires "a", which is not in its properties/],
  [{ type: 'object', additionalProperties: { type: 'string' } }, /free keys are not supported/],
  [
    { oneOf: [{ type: 'integer' }, { type: 'number' }] },
    /branches 0 and 1 do not evidently exclude/,
  ],
  [{ oneOf: [{ minLength: 2 }, { type: 'number' }] }, /branches 0 and 1 do not evidently exclude/],
  [{ anyOf: [{ type: 'string' }], minLength: 2 }, /"minLength" beside "anyOf"/],
  [false, /# is false/],
  [7, /schema must be a JSON Schema or a Standard Schema/],
  [{ '~standard': { validate: () => ({ value: 1 }) } }, /cannot be exported/],
])('refuses %j', async (schema, message) => {
  const refused = models[0].object(schema as JsonSchema, 'x');
  await expect(refused).rejects.toMatchObject(failure('INVALID_ARGUMENT', message));
});

test('other refusals: options, rules beyond the JSON Schema, aborts, a context that is too short', async () => {
  const [model] = models;
  const refusals: [() => Promise<unknown>, ReturnType<typeof failure>][] = [
    [
      () => model.object({}, 'x', { maxItem: 1 } as object),
      failure('INVALID_ARGUMENT', /"maxItem"/),
    ],
    [() => model.object({}, 'x', { depth: -1 }), failure('INVALID_ARGUMENT', /depth/)],
    [
      () =>
        model.object(
          z.boolean().refine(() => false, 'never right'),
          'x',
        ),
      failure('INVALID_ARGUMENT', /fits its JSON Schema, but not the schema itself: never right/),
    ],
    [
      () => model.object({ type: 'boolean' }, 'x', { signal: AbortSignal.abort() }),
      failure('ABORTED'),
    ],
    [
      () => model.object({ type: 'boolean' }, 'x'.repeat(16400)),
      failure('INVALID_ARGUMENT', /context is 16384; lower/),
    ],
  ];
  for (const [refused, right] of refusals) await expect(refused()).rejects.toMatchObject(right);
});
