// Schemas that a client is to ask for, and whether what comes back fits.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { prompt } from './schema.mjs';

/** Asks with each schema of the file, one after the other. @param value the answer, parsed */
export async function validated({ schemas, count }, value) {
  const all = JSON.parse(await readFile(schemas, 'utf8'));
  assert.equal(all.length, count);
  const ajv = new Ajv2020({
    strict: false,
    logger: false,
    ownProperties: true,
    validateFormats: false,
  });
  for (const [i, schema] of all.entries()) {
    const sampled = i % 2 === 0 ? { temperature: 0 } : { temperature: 1, seed: i };
    const found = await value({ schema, prompt, stream: i % 3 === 0, ...sampled });
    const where = `schema ${i}: ${JSON.stringify(schema)}\n${JSON.stringify(found)}`;
    assert(ajv.validate(schema, found), `${where}\n${ajv.errorsText()}`);
  }
}
