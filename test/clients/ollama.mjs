// Ollama's client.
import assert from 'node:assert/strict';
import { Ollama } from 'ollama';
import { fold, idle } from './server.mjs';

export function open(config) {
  return { ...config, ollama: new Ollama({ host: config.url }) };
}

const chatOf = ({ prompt, seed, maxTokens }) => ({
  messages: [{ role: 'user', content: prompt }],
  options: { seed, num_predict: maxTokens },
});

export const checks = {
  'what there is': async ({ ollama, model }) => {
    const { models } = await ollama.list();
    assert.deepEqual(
      models.map(({ name }) => name),
      [model],
    );
    const { details } = await ollama.show({ model });
    assert.equal(details.format, 'gguf');
    assert.equal((await ollama.ps()).models.length, 1);
  },

  'chat, whole and streamed': async ({ ollama, model, cases }) => {
    for (const one of cases) {
      const { message, eval_count } = await ollama.chat({ model, ...chatOf(one) });
      assert.deepEqual([message.content, eval_count], [one.text, one.maxTokens]);
      const parts = [];
      for await (const part of await ollama.chat({ model, ...chatOf(one), stream: true })) {
        parts.push(part);
      }
      assert.equal(parts.map(({ message: { content } }) => content).join(''), one.text);
      assert.deepEqual([parts.at(-1).done, parts.at(-1).eval_count], [true, one.maxTokens]);
    }
  },

  'the canvas does not disturb it': async ({ ollama, model, cases: [one] }) => {
    const body = { model, ...chatOf(one), lacuna: { canvas: 'delta' }, stream: true };
    const frames = [];
    let text = '';
    for await (const { message, lacuna } of await ollama.chat(body)) {
      text += message.content;
      if (lacuna !== undefined) frames.push(lacuna);
    }
    assert.deepEqual([text, fold(frames)], [one.text, one.text]);
  },

  generate: async ({ ollama, model, cases: [{ prompt, seed, maxTokens, text }] }) => {
    const options = { seed, num_predict: maxTokens };
    const raw = await ollama.generate({ model, prompt: `${prompt}\n\n`, raw: true, options });
    assert.equal(raw.response, text);
    const fill = await ollama.generate({ model, prompt, suffix: ' my lord.', options });
    assert(fill.done && !fill.response.endsWith(' my lord.'));
  },

  'errors, and an abort': async ({ ollama, model, cases: [one], ...server }) => {
    const wrong = ollama.chat({ model, ...chatOf(one), options: { temperature: 3 } });
    await assert.rejects(wrong, /temperature must be/);
    const body = { model, ...chatOf(one), options: { num_predict: 200 }, stream: true };
    const stream = await ollama.chat(body);
    const loop = async () => {
      for await (const { message } of stream) if (message.content !== '') stream.abort();
    };
    await assert.rejects(loop, { name: 'AbortError' });
    await idle(server);
  },
};
