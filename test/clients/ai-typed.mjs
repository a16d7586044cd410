// The AI SDK, 6 and 7: typed output and tools, of a model with random weights.
import assert from 'node:assert/strict';
import { open, partsOf } from './ai-models.mjs';
import { Place, prompt, Scene, weather as given } from './schema.mjs';

export { open };

export const checks = {
  'Output.object, whole and streamed': async ({ ai, model }) => {
    const output = ai.Output.object({ schema: Scene });
    const whole = await ai.generateText({ model, prompt, output, seed: 3 });
    assert(Scene.safeParse(whole.output).success);
    const streamed = ai.streamText({ model, prompt, output, seed: 3 });
    const partial = await partsOf(streamed.partialOutputStream);
    assert.deepEqual(await streamed.output, whole.output);
    assert.deepEqual(partial.at(-1), whole.output);
    // Text only appends, so fields come in the order of the schema, and none goes.
    const keys = Object.keys(whole.output);
    for (const value of partial) {
      assert.deepEqual(Object.keys(value), keys.slice(0, Object.keys(value).length));
    }
  },

  'a schema that cannot be kept is refused by name': async ({ ai, model }) => {
    const odd = { type: 'object', properties: { a: { not: { type: 'string' } } } };
    const output = ai.Output.object({ schema: ai.jsonSchema(odd) });
    await assert.rejects(ai.generateText({ model, prompt, output }), /"not"/);
  },

  'tools are called, and their results go back': async ({ ai, model }) => {
    const ran = [];
    const weather = ai.tool({
      description: given.description,
      inputSchema: Place,
      execute: (input) => (ran.push(input), 'It rains.'),
    });
    const call = { model, tools: { weather }, seed: 5 };
    const must = { ...call, prompt, toolChoice: 'required' };
    const whole = await ai.generateText(must);
    assert.equal(whole.finishReason, 'tool-calls');
    assert(whole.toolCalls.length > 0);
    const inputs = whole.toolCalls.map(({ toolName, input }) => {
      assert.equal(toolName, 'weather');
      assert(Place.safeParse(input).success);
      return input;
    });
    assert.deepEqual(ran, inputs);

    const parts = await partsOf(ai.streamText(must).fullStream);
    const calls = parts.filter(({ type }) => type === 'tool-call');
    const streamed = calls.map(({ input }) => input);
    assert.deepEqual(streamed, inputs);
    assert.equal(parts.filter(({ type }) => type === 'tool-input-start').length, calls.length);
    assert.equal(parts.filter(({ type }) => type === 'tool-result').length, calls.length);

    const messages = [{ role: 'user', content: prompt }, ...whole.response.messages];
    const choice = { toolChoice: 'none', maxOutputTokens: 4 };
    const answer = await ai.generateText({ ...call, messages, ...choice });
    assert.deepEqual([answer.toolCalls, answer.finishReason], [[], 'length']);
  },
};
