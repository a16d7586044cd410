// The AI SDK: `Output.object` with schemas of all kinds, of a model with random weights.
import { open as openModels } from './ai-models.mjs';
import { validated } from './schemas.mjs';

export async function open(config) {
  return { ...(await openModels(config)), config };
}

export const checks = {
  'what it parses fits the schema': ({ ai, model, config }) =>
    validated(config, async ({ schema, prompt, seed, temperature, stream }) => {
      const output = ai.Output.object({ schema: ai.jsonSchema(schema) });
      const call = { model, prompt, output, seed, temperature };
      const answer = stream ? ai.streamText(call) : await ai.generateText(call);
      return answer.output;
    }),
};
