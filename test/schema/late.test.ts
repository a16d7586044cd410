/** A deadline: the value is complete and fits, one forward or two later. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test, vi } from 'vitest';
import { Random } from '../../lib/gguf/random.js';
import { DiffusionSession, type JsonSchema } from '../../lib/index.js';
import { formats } from '../../lib/schema/formats.js';
import { tinyModels } from './models.js';
import { SchemaSource } from './random.js';

const models = tinyModels();
const ajv = new Ajv2020({ strict: false, logger: false, ownProperties: true });
for (const format of Object.keys(formats)) ajv.addFormat(format, true);

/** The value whose deadline fires while its `after`-th forward is on its way; 0: before the first. */
async function hurried(schema: JsonSchema, after: number, more: object = {}) {
  const deadline = new AbortController();
  let forwards = 0;
  if (after === 0) deadline.abort();
  // eslint-disable-next-line @typescript-eslint/unbound-method
  const step = DiffusionSession.prototype.step;
  const spy = vi.spyOn(DiffusionSession.prototype, 'step');
  spy.mockImplementation(function (this: DiffusionSession, ...given) {
    if (++forwards === after) deadline.abort();
    return step.apply(this, given);
  });
  try {
    const model = models[after % models.length];
    const options = { maxStringTokens: 6, deadline: deadline.signal, ...more };
    const result = await model.object(schema, 'x', options);
    return { ...result, done: forwards };
  } finally {
    spy.mockRestore();
  }
}

const words = { type: 'string', minLength: 3, maxLength: 9 };
const person = {
  type: 'object',
  properties: {
    name: words,
    mood: { enum: ['glad', 'grim', 'grave'] },
    age: { type: 'integer', minimum: 18, maximum: 99 },
    share: { type: 'number', minimum: -1, maximum: 1 },
    code: { type: 'string', pattern: '^[A-Z]{2}-\\d{3}$' },
    born: { type: 'string', format: 'date' },
    married: { type: 'boolean' },
    note: words,
  },
  required: ['name', 'mood', 'age', 'code', 'note'],
};
const schemas: Record<string, JsonSchema> = {
  person,
  people: { type: 'array', items: person, minItems: 3, maxItems: 5 },
  matrix: {
    type: 'array',
    minItems: 2,
    items: { type: 'array', minItems: 2, items: { type: 'number' } },
  },
  either: { anyOf: [person, { type: 'array', items: words, minItems: 4 }] },
};

test.each(Object.entries(schemas))('%s, whenever it fires', async (_, schema) => {
  const whole = await models[1].object(schema, 'x', { maxStringTokens: 6 });
  for (const after of [0, 1, 2, 5, 11]) {
    const { value, text, forwards, done } = await hurried(schema, after);
    expect(ajv.validate(schema, value), `${after}: ${text}: ${ajv.errorsText()}`).toBe(true);
    expect(forwards).toBe(done);
    expect(forwards).toBeLessThanOrEqual(after + 2);
  }
  expect(whole.forwards).toBeGreaterThan(4); // which it would take
});

test('random schemas', async () => {
  const source = new SchemaSource(new Random(77));
  for (let run = 0; run < 60; run++) {
    const schema = source.root(2) as JsonSchema;
    const after = run % 4;
    const more = { maxStringTokens: 3, maxItems: 2, depth: 1, temperature: 1, seed: run };
    const { value, forwards, text } = await hurried(schema, after, more);
    const where = `${JSON.stringify(schema)}\n${text}`;
    expect(ajv.validate(schema, value), `${where}\n${ajv.errorsText()}`).toBe(true);
    expect(forwards, where).toBeLessThanOrEqual(after + 2);
  }
});

test('what the last look finds most probable', async () => {
  const [model] = models;
  const ids = (text: string) => model.tokenizer.encode(text, { bos: false });
  const session = model.createSession({ length: 2 + 256 }); // the text so far, masks behind it
  session.set(0, ids('x"'));
  const { top } = await session.step({ query: Int32Array.of(2), topK: 64 });
  session.dispose();
  const letters = Array.from(
    'abcdefghijklmnopqrstuvwxyz',
    (letter) => [letter, ids(letter)[0]] as const,
  );
  const best = top!.token.find((token) => letters.some(([, id]) => id === token));
  expect(best).toBeDefined();
  const { value } = await hurried({ enum: letters.map(([letter]) => letter) }, 0);
  expect(value).toBe(letters.find(([, id]) => id === best)![0]);
});
