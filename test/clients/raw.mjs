// No client at all: fetch, and a parser of event streams.
import assert from 'node:assert/strict';
import { createParser } from 'eventsource-parser';
import { asked, idle } from './server.mjs';

export async function open({ url, cases, model }) {
  const post = (body) =>
    fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, ...body }),
    });
  return { post, url, cases };
}

async function events(response) {
  const found = [];
  const parser = createParser({ onEvent: ({ data }) => found.push(data) });
  for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) parser.feed(bytes);
  assert.equal(found.pop(), '[DONE]');
  return found.map((data) => JSON.parse(data));
}

export const checks = {
  'all cases, whole and streamed, many at once': async ({ post, cases }) => {
    const check = async (one, i) => {
      const whole = await (await post(asked(one))).json();
      const lacuna = i % 2 === 0 ? { lacuna: { canvas: 'delta' } } : {};
      const chunks = await events(await post({ ...asked(one), ...lacuna, stream: true }));
      const text = chunks.map(({ choices }) => choices[0].delta.content ?? '').join('');
      assert.equal(whole.choices[0].message.content, one.text);
      assert.equal(text, one.text);
      assert.equal(chunks.at(-1).choices[0].finish_reason, whole.choices[0].finish_reason);
      const same = new Set(chunks.map(({ id, created, model }) => `${id} ${created} ${model}`));
      assert.equal(same.size, 1);
    };
    // As many as the server answers at a time, so that none is refused.
    const left = cases.map((one, i) => () => check(one, i));
    const worker = async () => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) await next();
    };
    await Promise.all([worker(), worker(), worker(), worker()]);
  },

  'a socket that closes frees the slot': async ({ post, cases, ...server }) => {
    const response = await post({ ...asked(cases[0]), max_tokens: 200, stream: true });
    const reader = response.body.getReader();
    await reader.read();
    await reader.cancel();
    await idle(server);
  },
};
