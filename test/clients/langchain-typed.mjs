// LangChain: typed output and tools, of a model with random weights.
import assert from 'node:assert/strict';
import { tool } from '@langchain/core/tools';
import { open } from './langchain.mjs';
import { Place, prompt, Scene, weather as given } from './schema.mjs';

export { open };

export const checks = {
  withStructuredOutput: async ({ chat }) => {
    const model = chat({}).withStructuredOutput(Scene, { name: 'scene', method: 'jsonSchema' });
    assert(Scene.safeParse(await model.invoke(prompt)).success);
  },

  bindTools: async ({ chat }) => {
    const { name, description } = given;
    const weather = tool(() => 'It rains.', { name, description, schema: Place });
    const model = chat({}).bindTools([weather], { tool_choice: 'required' });
    const { tool_calls } = await model.invoke(prompt);
    assert(tool_calls.length > 0);
    for (const called of tool_calls) {
      assert.equal(called.name, name);
      assert(Place.safeParse(called.args).success);
    }
  },
};
