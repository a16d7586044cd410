// The AI SDK 7 with its own provider for OpenAI, which asks for responses.
import assert from 'node:assert/strict';
import { generateText, streamText } from 'ai7';
import { createOpenAI } from '@ai-sdk/openai';
import { partsOf, textOf } from './ai-models.mjs';

export function open(config) {
  const provider = createOpenAI({ baseURL: `${config.url}/v1`, apiKey: 'none' });
  return { ...config, model: provider(config.model), chat: provider.chat(config.model) };
}

// The provider sends no seed with responses, so every answer has that of the defaults: 0.
const asked = ({ prompt, maxTokens }) => ({ prompt, maxOutputTokens: maxTokens });

export const checks = {
  "an answer is the model's own, whole and streamed": async ({ model, chat, cases: [one] }) => {
    assert.equal(one.seed, 0);
    for (const each of [model, chat]) {
      const { text, usage } = await generateText({ model: each, ...asked(one) });
      assert.equal(text, one.text);
      assert.equal(usage.outputTokens, one.maxTokens);
      const parts = await partsOf(streamText({ model: each, ...asked(one) }).fullStream);
      assert.equal(textOf(parts), one.text);
      assert.equal(parts.at(-1).finishReason, 'length');
    }
  },
};
