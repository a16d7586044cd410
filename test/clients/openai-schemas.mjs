// OpenAI's client: `json_schema` with schemas of all kinds, of a model with random weights.
import assert from 'node:assert/strict';
import { validated } from './schemas.mjs';

export async function open(config) {
  const { default: OpenAI } = await import(config.client);
  return { openai: new OpenAI({ baseURL: `${config.url}/v1`, apiKey: 'none' }), config };
}

export const checks = {
  'what it parses fits the schema': ({ openai, config }) =>
    validated(config, async ({ schema, prompt, seed, temperature, stream }) => {
      const json_schema = { name: 'x', strict: true, schema };
      const body = {
        ...{
          model: config.model,
          messages: [{ role: 'user', content: prompt }],
          seed,
          temperature,
        },
        response_format: { type: 'json_schema', json_schema },
      };
      if (stream) return JSON.parse(await openai.chat.completions.stream(body).finalContent());
      const { choices } = await openai.chat.completions.parse(body);
      assert.equal(choices[0].finish_reason, 'stop');
      return choices[0].message.parsed;
    }),
};
