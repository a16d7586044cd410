/** Typed output of a model with random weights, against a validator that the library does not use. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { Random } from '../../lib/gguf/random.js';
import { formats } from '../../lib/schema/formats.js';
import { tinyModels } from './models.js';
import { SchemaSource } from './random.js';

const models = tinyModels();

/** What the formats must at least be. */
const looks: Record<string, (text: string) => boolean> = {
  date: (text) => !Number.isNaN(Date.parse(text)) && text.length === 10,
  'date-time': (text) => !Number.isNaN(Date.parse(text)),
  time: (text) => !Number.isNaN(Date.parse(`2024-01-01T${text}`)),
  uri: (text) => URL.canParse(text),
  ipv4: (text) => URL.canParse(`http://${text}/`) && new URL(`http://${text}/`).hostname === text,
  hostname: (text) => URL.canParse(`http://${text}/`),
};

test('1,000 random schemas: the output parses and validates', async () => {
  const source = new SchemaSource(new Random(2026));
  const ajv = new Ajv2020({ strict: false, logger: false, ownProperties: true });
  for (const format of Object.keys(formats)) {
    ajv.addFormat(format, { type: 'string', validate: looks[format] ?? ((text) => text !== '') });
  }
  const options = { maxStringTokens: 3, maxItems: 2, depth: 1 };
  for (let run = 0; run < 1000; run++) {
    const schema = source.root(2);
    const sampled = run % 2 === 0 ? {} : { temperature: 1, seed: run };
    const model = models[run % models.length];
    const { value, text } = await model.object(schema, 'x', { ...options, ...sampled });
    const where = `schema ${run}: ${JSON.stringify(schema)}\n${text}`;
    expect(JSON.parse(text), where).toEqual(value);
    expect(ajv.validate(schema, value), `${where}\n${ajv.errorsText()}`).toBe(true);
  }
}, 240_000);
