// OpenAI's client, 6 and 7: typed output and tools, of a model with random weights.
import assert from 'node:assert/strict';
import { z } from 'zod';
import { Place, prompt, Scene, weather } from './schema.mjs';

export async function open({ client, url, model }) {
  const { default: OpenAI } = await import(client);
  const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none' });
  const messages = [{ role: 'user', content: prompt }];
  return { openai, common: { model, messages, seed: 4 } };
}

const format = (schema) => ({
  response_format: { type: 'json_schema', json_schema: { name: 'scene', strict: true, schema } },
});

export const checks = {
  'json_schema, whole and streamed': async ({ openai, common }) => {
    const body = { ...common, ...format(z.toJSONSchema(Scene)) };
    const { choices } = await openai.chat.completions.parse(body);
    const [{ message, finish_reason }] = choices;
    assert.equal(finish_reason, 'stop');
    assert(Scene.safeParse(JSON.parse(message.content)).success);
    const stream = openai.chat.completions.stream({ ...body, lacuna: { canvas: 'delta' } });
    assert.equal(await stream.finalContent(), message.content);
    let naive = '';
    for await (const chunk of await openai.chat.completions.create({ ...body, stream: true })) {
      naive += chunk.choices[0].delta.content ?? '';
    }
    assert.equal(naive, message.content);
  },

  'a schema that cannot be kept is refused by name': async ({ openai, common }) => {
    const body = { ...common, ...format({ type: 'object', properties: { a: { not: {} } } }) };
    await assert.rejects(openai.chat.completions.create(body), { status: 400, message: /"not"/ });
  },

  'tools, whole and streamed': async ({ openai, common }) => {
    const tools = [{ type: 'function', function: weather }];
    const body = { ...common, tools, tool_choice: 'required' };
    const { choices } = await openai.chat.completions.create(body);
    const [{ message, finish_reason }] = choices;
    assert.equal(finish_reason, 'tool_calls');
    const calls = message.tool_calls.map(({ function: called }) => called);
    for (const called of calls) {
      assert.equal(called.name, 'weather');
      assert(Place.safeParse(JSON.parse(called.arguments)).success);
    }
    const helper = openai.chat.completions.stream(body);
    const final = await helper.finalMessage();
    const streamed = final.tool_calls.map(({ function: called }) => called);
    const plain = ({ name, arguments: text }) => ({ name, arguments: text });
    assert.deepEqual(streamed.map(plain), calls.map(plain));

    const [first] = message.tool_calls;
    const result = { role: 'tool', tool_call_id: first.id, content: 'It rains.' };
    const messages = [...common.messages, { ...message, tool_calls: [first] }, result];
    const answer = await openai.chat.completions.create({ ...common, messages, max_tokens: 4 });
    assert.equal(answer.choices[0].finish_reason, 'length');
  },
};
