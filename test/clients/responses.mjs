// OpenAI's responses: OpenAI's client, 6 and 7.
import assert from 'node:assert/strict';
import { fold, idle, stopStreams } from './server.mjs';

export async function open(config) {
  const { default: OpenAI } = await import(config.client);
  const openai = new OpenAI({ baseURL: `${config.url}/v1`, apiKey: 'none' });
  return { ...config, openai };
}

const asked = ({ prompt, seed, maxTokens }) => ({
  ...{ input: prompt, seed, max_output_tokens: maxTokens },
});

export const checks = {
  "an answer is the model's own": async ({ openai, model, cases }) => {
    for (const one of cases) {
      const response = await openai.responses.create({ model, ...asked(one) });
      assert.equal(response.output_text, one.text);
      assert.equal(response.usage.output_tokens, one.maxTokens);
    }
  },

  'streamed, with and without a canvas': async ({ openai, model, cases: [one] }) => {
    for (const canvas of [undefined, 'text', 'delta', 'full']) {
      const body = { model, ...asked(one), ...(canvas && { lacuna: { canvas } }) };
      let text = '';
      const frames = [];
      for await (const event of await openai.responses.create({ ...body, stream: true })) {
        if (event.type === 'response.output_text.delta') text += event.delta;
        if (event.lacuna?.kind !== undefined) frames.push(event.lacuna);
      }
      assert.equal(text, one.text);
      assert.equal(frames.length > 0, canvas !== undefined);
      if (canvas === 'delta') assert.equal(fold(frames), one.text);

      const final = await openai.responses.stream(body).finalResponse();
      assert.equal(final.output_text, one.text);
      assert.equal(final.usage.output_tokens, one.maxTokens);
    }
  },

  'errors before and after the first byte': async ({ openai, model, cases: [one], ...server }) => {
    const wrong = openai.responses.create({ model, ...asked(one), temperature: 3 });
    await assert.rejects(wrong, { status: 400, message: /temperature must be/ });
    const memory = openai.responses.create({ model, ...asked(one), previous_response_id: 'x' });
    await assert.rejects(memory, { status: 400, message: /previous_response_id/ });

    const body = { model, ...asked(one), max_output_tokens: 200, stream: true };
    const loop = async () => {
      for await (const event of await openai.responses.create(body)) {
        if (event.type === 'response.output_text.delta') await stopStreams(server);
      }
    };
    await assert.rejects(loop, /shutting down/);
    await idle(server);
  },
};
