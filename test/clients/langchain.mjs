// LangChain, over HTTP.
import assert from 'node:assert/strict';
import { ChatOpenAI } from '@langchain/openai';
import { fold, idle, stopStreams } from './server.mjs';

export function open(config) {
  const { url, model } = config;
  const chat = (fields) =>
    new ChatOpenAI({
      ...{ model, apiKey: 'none', maxRetries: 0, streamUsage: false },
      configuration: { baseURL: `${url}/v1` },
      ...fields,
    });
  return { ...config, chat };
}

const asked = ({ seed, maxTokens }) => ({ maxTokens, modelKwargs: { seed } });

async function textOf(stream) {
  let text = '';
  for await (const { content } of stream) text += content;
  return text;
}

export const checks = {
  "an answer is the model's own, whole and streamed": async ({ chat, cases }) => {
    for (const one of cases) {
      const model = chat(asked(one));
      const { content, usage_metadata } = await model.invoke(one.prompt);
      assert.equal(content, one.text);
      assert.equal(usage_metadata.output_tokens, one.maxTokens);
      assert.equal(await textOf(await model.stream(one.prompt)), one.text);
    }
  },

  'the canvas does not disturb it': async ({ chat, cases: [one] }) => {
    for (const canvas of ['text', 'delta', 'full']) {
      const modelKwargs = { seed: one.seed, lacuna: { canvas } };
      const model = chat({ ...asked(one), modelKwargs, __includeRawResponse: true });
      const frames = [];
      let text = '';
      for await (const { content, additional_kwargs } of await model.stream(one.prompt)) {
        text += content;
        const { lacuna } = additional_kwargs.__raw_response ?? {};
        if (lacuna !== undefined) frames.push(lacuna);
      }
      assert.equal(text, one.text);
      if (canvas === 'delta') assert.equal(fold(frames), one.text);
    }
  },

  'by responses, with and without a canvas': async ({ chat, cases: [one] }) => {
    for (const canvas of [undefined, 'delta']) {
      const modelKwargs = { seed: one.seed, ...(canvas && { lacuna: { canvas } }) };
      const model = chat({ ...asked(one), modelKwargs, useResponsesApi: true });
      assert.equal((await model.invoke(one.prompt)).text, one.text);
      let text = '';
      for await (const chunk of await model.stream(one.prompt)) text += chunk.text;
      assert.equal(text, one.text);
    }
  },

  'usage comes when asked for': async ({ chat, cases: [one] }) => {
    const model = chat({ ...asked(one), streamUsage: true });
    let total;
    for await (const chunk of await model.stream(one.prompt)) {
      total = total === undefined ? chunk : total.concat(chunk);
    }
    assert.equal(total.usage_metadata.output_tokens, one.maxTokens);
  },

  'errors before and after the first byte': async ({ chat, cases: [one], ...server }) => {
    await assert.rejects(chat({ temperature: 3 }).invoke(one.prompt), /temperature must be/);
    const loop = async () => {
      const model = chat({ ...asked(one), maxTokens: 200 });
      for await (const { content } of await model.stream(one.prompt)) {
        if (content !== '') await stopStreams(server);
      }
    };
    await assert.rejects(loop, /shutting down/);
    await idle(server);
  },

  'an abort frees the slot': async ({ chat, cases: [one], ...server }) => {
    const controller = new AbortController();
    const { signal } = controller;
    const model = chat({ ...asked(one), maxTokens: 200 });
    const loop = async () => {
      for await (const { content } of await model.stream(one.prompt, { signal })) {
        if (content !== '') controller.abort();
      }
    };
    await assert.rejects(loop);
    await idle(server);
  },
};
