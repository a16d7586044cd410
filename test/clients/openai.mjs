// OpenAI's client, 6 and 7.
import assert from 'node:assert/strict';
import { asked, fold, idle, stopStreams } from './server.mjs';

const modes = [undefined, 'text', 'delta', 'full'];

export async function open({ client, url, cases, model }) {
  const { default: OpenAI } = await import(client);
  const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none' });
  return { OpenAI, openai, url, cases, model };
}

/** As it is copied everywhere: no question mark behind `choices[0]`. */
async function naive(stream) {
  let text = '';
  const frames = [];
  for await (const chunk of stream) {
    text += chunk.choices[0].delta.content ?? '';
    if (chunk.lacuna !== undefined) frames.push(chunk.lacuna);
  }
  return { text, frames };
}

export const checks = {
  models: async ({ openai, model }) => {
    const { data } = await openai.models.list();
    assert.deepEqual(
      data.map(({ id }) => id),
      [model],
    );
    assert.equal((await openai.models.retrieve(model)).id, model);
  },

  "an answer is the model's own": async ({ openai, model, cases }) => {
    for (const one of cases) {
      const { choices, usage } = await openai.chat.completions.create({ model, ...asked(one) });
      assert.equal(choices[0].message.content, one.text);
      assert.equal(choices[0].finish_reason, 'length');
      assert.equal(usage.completion_tokens, one.maxTokens);
      assert.equal(usage.total_tokens, usage.prompt_tokens + one.maxTokens);
    }
  },

  'the loop that everybody copies, with and without a canvas': async ({ openai, model, cases }) => {
    for (const canvas of modes) {
      const [one] = cases;
      const lacuna = canvas && { lacuna: { canvas } };
      const body = { model, ...asked(one), ...lacuna, stream: true };
      const { text, frames } = await naive(await openai.chat.completions.create(body));
      assert.equal(text, one.text);
      assert.deepEqual(
        [frames.length > 0, frames.at(-1)?.kind],
        [canvas !== undefined, canvas && 'end'],
      );
      if (canvas === 'delta') assert.equal(fold(frames), one.text);
    }
  },

  'the canvas by a header': async ({ openai, model, cases }) => {
    const headers = { 'x-lacuna-canvas': 'delta' };
    const body = { model, ...asked(cases[0]), stream: true };
    const { text, frames } = await naive(await openai.chat.completions.create(body, { headers }));
    assert.deepEqual([text, fold(frames)], [cases[0].text, cases[0].text]);
  },

  '.stream(), with and without a canvas': async ({ openai, model, cases }) => {
    for (const canvas of modes) {
      const [, one] = cases;
      const lacuna = canvas && { lacuna: { canvas } };
      const stream = openai.chat.completions.stream({ model, ...asked(one), ...lacuna });
      let text = '';
      stream.on('content', (delta) => (text += delta));
      assert.equal(await stream.finalContent(), one.text);
      assert.equal(text, one.text);
    }
  },

  'usage comes when asked for': async ({ openai, model, cases }) => {
    const body = { model, ...asked(cases[0]), stream: true };
    const chunks = async (more) => {
      const all = [];
      for await (const chunk of await openai.chat.completions.create({ ...body, ...more })) {
        all.push(chunk);
      }
      return all;
    };
    for (const { choices, usage } of await chunks()) {
      assert.equal(choices.length, 1);
      assert.equal(usage ?? undefined, undefined);
    }
    const { choices, usage } = (await chunks({ stream_options: { include_usage: true } })).at(-1);
    assert.deepEqual([choices, usage.completion_tokens], [[], cases[0].maxTokens]);
  },

  completions: async ({ openai, model, cases: [{ prompt, seed, maxTokens, text }] }) => {
    const body = { model, prompt: `${prompt}\n\n`, max_tokens: maxTokens, seed };
    const whole = await openai.completions.create(body);
    assert.equal(whole.choices[0].text, text);
    let streamed = '';
    for await (const chunk of await openai.completions.create({ ...body, stream: true })) {
      streamed += chunk.choices[0].text;
    }
    assert.equal(streamed, text);
  },

  'errors before the first byte': async ({ OpenAI, openai, model, cases }) => {
    for (const stream of [false, true]) {
      const create = (more) =>
        openai.chat.completions.create({ model, ...asked(cases[0]), stream, ...more });
      await assert.rejects(create({ temperature: 3 }), (error) => {
        assert(error instanceof OpenAI.BadRequestError);
        return error.type === 'invalid_request_error' && /temperature must be/.test(error.message);
      });
      await assert.rejects(create({ model: 'gpt-7' }), (error) => {
        assert(error instanceof OpenAI.NotFoundError);
        return error.code === 'model_not_found';
      });
    }
  },

  'errors after the first byte': async ({ OpenAI, openai, model, cases, ...server }) => {
    const body = { model, ...asked(cases[0]), max_tokens: 200, stream: true };
    const loop = async () => {
      for await (const chunk of await openai.chat.completions.create(body)) {
        if (chunk.choices[0].delta.content) await stopStreams(server);
      }
    };
    await assert.rejects(loop, (error) => {
      assert(error instanceof OpenAI.APIError);
      return /shutting down/.test(error.message);
    });
    const helper = openai.chat.completions.stream(body);
    helper.once('content', () => void stopStreams(server));
    await assert.rejects(helper.finalContent(), /shutting down/);
    await idle(server);
  },

  'who leaves frees the slot': async ({ openai, model, cases, ...server }) => {
    const body = { model, ...asked(cases[0]), max_tokens: 200, stream: true };
    const left = await openai.chat.completions.create(body);
    for await (const chunk of left) if (chunk.choices[0].delta.content) break;
    await idle(server);

    const aborted = await openai.chat.completions.create(body);
    for await (const chunk of aborted) {
      if (chunk.choices[0].delta.content) aborted.controller.abort();
    }
    await idle(server);

    const controller = new AbortController();
    const { signal } = controller;
    const whole = openai.chat.completions.create({ ...body, stream: false }, { signal });
    controller.abort();
    await assert.rejects(whole);
    await idle(server);
  },
};
