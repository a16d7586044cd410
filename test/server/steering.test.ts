/** Suffixes, biases, predictions, log probabilities, efforts: on the model in the package. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  blocks,
  generate,
  loadModel,
  lowConfidence,
  remask,
  threshold,
  type GenerateOptions,
  type Model,
} from '../../lib/index.js';
import { presets } from '../../lib/decoding/presets.js';
import { createHandler, type Handler } from '../../lib/server/index.js';
import { chunks, folded, request, whole, type Reply } from './local.js';

const path = fileURLToPath(new URL('../../models/shakespeare-7m.Q8_0.gguf', import.meta.url));
const [chat, completions] = ['/v1/chat/completions', '/v1/completions'];
const template = '{{ bos_token }}{% for m in messages %}{{ m.content }}\n\n{% endfor %}';
const options = { decode: lowConfidence(), blocks: blocks(8), temperature: 0.8 };
const messages = [{ role: 'user', content: 'ROMEO:\nMy lord,' }];
let model: Model;
let handler: Handler;
let prompt: Int32Array;

beforeAll(async () => {
  model = await loadModel(path, { device: 'cpu' });
  handler = createHandler({ model, defaults: { ...options, bos: true, chat: { template } } });
  prompt = model.tokenizer.encode(`${messages[0].content}\n\n`, { bos: true });
});
afterAll(() => model.dispose());

const asked = (body: object) => ({ messages, max_tokens: 24, ...body });
const contentOf = (reply: Reply) => reply.choices[0].message!.content!;
const direct = (more: GenerateOptions) =>
  generate(model, prompt, { ...options, maxTokens: 24, ...more }).result;

describe('a suffix', () => {
  const body = { prompt: 'ROMEO:\nMy lord,', suffix: ' ügly — crown\n\nKING', max_tokens: 12 };
  test('is seen, and the text around the hole is exact', async () => {
    for (const seed of [1, 2]) {
      const { choices, usage } = await whole(handler, completions, { ...body, seed });
      const { text, finish } = folded(await chunks(handler, completions, { ...body, seed }));
      expect([text, finish]).toEqual([choices[0].text, choices[0].finish_reason]);
      expect(text).not.toContain('\ufffd');
      const { tokenizer } = model;
      const prefix = tokenizer.encode(body.prompt, { bos: true });
      const suffix = tokenizer.encode(body.suffix, { bos: false });
      // lowConfidence() without a schedule: one token a forward, the surest
      const { temperature, blocks } = options;
      const run = generate(model, { prefix, suffix }, { maxTokens: 12, seed, temperature, blocks });
      const { holes, canvas } = await run.result;
      expect(text).toBe(holes[0].text);
      expect(usage!.completion_tokens).toBe(holes[0].tokens.length);
      expect(tokenizer.decode(canvas)).toBe(body.prompt + text + body.suffix);
    }
    const other = await whole(handler, completions, { ...body, suffix: '.', seed: 1 });
    const first = await whole(handler, completions, { ...body, seed: 1 });
    expect(other.choices[0].text).not.toBe(first.choices[0].text);
  });

  test('empty ones are none', async () => {
    const texts = await Promise.all(
      [undefined, null, '', '<|endoftext|>'].map(async (suffix) => {
        const { choices } = await whole(handler, completions, { ...body, suffix, seed: 4 });
        return choices[0].text;
      }),
    );
    expect(new Set(texts).size).toBe(1);
  });

  test('every preset can fill in, and a stop string ends it', async () => {
    for (const preset of Object.keys(presets)) {
      const { choices } = await whole(handler, completions, { ...body, lacuna: { preset } });
      expect(choices[0].text!.length, preset).toBeGreaterThan(0);
    }
    const { choices } = await whole(handler, completions, { ...body, seed: 1 });
    const stop = choices[0].text!.slice(4, 6);
    const cut = await whole(handler, completions, { ...body, seed: 1, stop });
    expect(cut.choices[0].text).toBe(choices[0].text!.slice(0, choices[0].text!.indexOf(stop)));
    expect(cut.choices[0].finish_reason).toBe('stop');
  });

  test('counts for the context', async () => {
    const response = await handler(
      request(completions, { ...body, suffix: 'my lord '.repeat(300) }),
    );
    const { error } = (await response.json()) as Reply;
    expect([response.status, error!.code]).toEqual([400, 'context_length_exceeded']);
  });
});

describe('log probabilities', () => {
  test('are those of the commits, in one piece or streamed', async () => {
    const { tokens, trace } = await direct({ seed: 5 });
    const commits = new Map(
      trace.flatMap(({ step, committed }) =>
        committed.map(([position, , p]) => [position - prompt.length, { step, p }] as const),
      ),
    );
    const body = asked({ seed: 5, logprobs: true, top_logprobs: 3 });
    const { content } = (await whole(handler, chat, body)).choices[0].logprobs!;
    expect(folded(await chunks(handler, chat, body)).logprobs).toEqual(content);
    expect(content.map(({ token }) => token)).toEqual(
      [...tokens].map((t) => model.tokenizer.token(t)),
    );
    content.forEach(({ logprob, top_logprobs, lacuna, bytes }, i) => {
      const { step, p } = commits.get(i)!;
      expect(lacuna).toEqual({ step, position: i });
      expect(logprob).toBeCloseTo(Math.log(p), 5);
      expect(Buffer.from(bytes)).toEqual(Buffer.from(model.tokenizer.bytes(tokens[i])));
      const sorted = top_logprobs.map((one) => one.logprob);
      expect(sorted).toEqual([...sorted].sort((a, b) => b - a));
      const same = top_logprobs.find(({ token }) => token === content[i].token);
      if (same) expect(same.logprob).toBeCloseTo(logprob, 4);
    });
    const { choices } = await whole(handler, chat, asked({ seed: 5 }));
    expect(choices[0].message!.content).toBe(content.map(({ token }) => token).join(''));
  });

  test('do not show what a stop string has cut off', async () => {
    const text = contentOf(await whole(handler, chat, asked({ seed: 3 })));
    const stop = text.slice(8, 14);
    const body = asked({ seed: 3, stop, logprobs: true });
    const { choices, usage } = await whole(handler, chat, body);
    const { content } = choices[0].logprobs!;
    expect(content).toHaveLength(usage!.completion_tokens);
    const told = content.map(({ token }) => token).join('');
    expect(told.startsWith(choices[0].message!.content!)).toBe(true);
    expect(told).not.toContain(stop);
  });

  test('asking for them leaves the policies of the server as they are', async () => {
    const refine = remask({ rounds: 2 });
    const settings = { decode: threshold({ tau: 0.5 }), blocks: blocks(8), refine };
    const own = createHandler({ model, defaults: { ...settings, chat: { template } } });
    const plain = contentOf(await whole(own, chat, asked({ seed: 2 })));
    expect(
      contentOf(await whole(own, chat, asked({ seed: 2, logprobs: true, top_logprobs: 1 }))),
    ).toBe(plain);
  });
});

describe('logit_bias', () => {
  test('bans and draws', async () => {
    const { tokens } = await direct({ seed: 6 });
    const banned = tokens[2];
    const without = { messages, max_tokens: 24, seed: 6, logprobs: true };
    const reply = await whole(handler, chat, { ...without, logit_bias: { [banned]: -100 } });
    const got = reply.choices[0].logprobs!.content.map(({ token }) => token);
    expect(got).not.toContain(model.tokenizer.token(banned));
    const [wanted] = model.tokenizer.encode('z', { bos: false });
    const drawn = await whole(handler, chat, { ...without, logit_bias: { [wanted]: 100 } });
    expect(drawn.choices[0].message!.content).toBe('z'.repeat(24));
    const nothing = await whole(handler, chat, { ...without, logit_bias: { [wanted]: 0 } });
    expect(nothing.choices[0].message!.content).toBe(model.tokenizer.decode(tokens));
  });

  test.each<[object, RegExp]>([
    [{ '-1': 1 }, /a token must be an integer from 0/],
    [{ x: 1 }, /a token must be an integer/],
    [{ 5: 101 }, /logit_bias.5 must be a number from -100 to 100/],
    [Object.fromEntries(Array.from({ length: 301 }, (_, i) => [i, 1])), /at most 300 tokens/],
  ])('refuses %j', async (logit_bias, message) => {
    const response = await handler(request(chat, asked({ logit_bias })));
    const { error } = (await response.json()) as Reply;
    expect([response.status, error!.message]).toEqual([400, expect.stringMatching(message)]);
  });
});

describe('prediction', () => {
  const predicted = (content: unknown, more: object = {}) =>
    asked({ temperature: 0, prediction: { type: 'content', content }, ...more });

  test('what the model finds likely is kept, the rest is written anew', async () => {
    const text = contentOf(await whole(handler, chat, asked({ temperature: 0 })));
    const same = await whole(handler, chat, predicted(text));
    const details = same.usage!.completion_tokens_details!;
    const all = model.tokenizer.encode(text, { bos: false }).length;
    expect(details.accepted_prediction_tokens + details.rejected_prediction_tokens).toBe(all);
    expect(details.accepted_prediction_tokens).toBeGreaterThan(all / 2);
    // One forward to look at it, then one for each token that was not kept.
    expect(same.lacuna!.stats!.forwards).toBeLessThan(24 / 2);

    const wrong = await whole(handler, chat, predicted('zzqx vvvk jjjj'));
    expect(contentOf(wrong)).not.toContain('zzqx');
    const { accepted_prediction_tokens: kept } = wrong.usage!.completion_tokens_details!;
    expect(kept).toBeLessThan(4);
  });

  test('is streamed like everything else; parts are text, too', async () => {
    const body = predicted([{ type: 'text', text: 'What, my lord, ' }], { logprobs: true });
    const reply = await whole(handler, chat, body);
    const stream = folded(await chunks(handler, chat, body));
    expect(stream.text).toBe(contentOf(reply));
    expect(stream.logprobs).toEqual(reply.choices[0].logprobs!.content);
    for (const { logprob } of stream.logprobs) expect(logprob).toBeGreaterThan(-50);
  });

  test.each([[{ type: 'x', content: 'a' }], [{ type: 'content', content: 7 }], ['a']])(
    'refuses %j',
    async (prediction) => {
      const response = await handler(request(chat, asked({ prediction })));
      const { error } = (await response.json()) as Reply;
      expect([response.status, error!.param]).toEqual([400, expect.stringMatching(/^prediction/)]);
    },
  );
});

test('an effort is a preset; what the request names itself has its way', async () => {
  const text = async (body: object) =>
    contentOf(await whole(handler, chat, { messages, max_tokens: 10, seed: 2, ...body }));
  const efforts = { minimal: 'fast', low: 'fast', medium: 'fast-dllm', high: 'quality' } as const;
  const named = new Map<string, string>();
  for (const [reasoning_effort, preset] of Object.entries(efforts)) {
    const settings = { preset, maxTokens: 10, temperature: 0.8, seed: 2 };
    const { text: own } = await generate(model, prompt, settings).result;
    expect(await text({ reasoning_effort })).toBe(own);
    named.set(preset, own);
  }
  const both = { reasoning_effort: 'low', lacuna: { preset: 'quality' } };
  expect(await text(both)).toBe(named.get('quality'));
});

test('who names no length gets what the context has left', async () => {
  const { usage } = await whole(handler, chat, { messages, lacuna: { preset: 'fast' } });
  expect(usage!.prompt_tokens).toBe(prompt.length);
  expect(usage!.completion_tokens).toBeLessThanOrEqual(256 - prompt.length);
  expect(usage!.completion_tokens).toBeGreaterThan(64);
});

test('counts and times are true', async () => {
  const { usage, timings, lacuna } = await whole(handler, chat, asked({ n: 2, seed: 1 }));
  expect(usage).toMatchObject({ prompt_tokens: prompt.length, completion_tokens: 48 });
  expect(usage!.total_tokens).toBe(prompt.length + 48);
  expect(timings).toMatchObject({ prompt_n: 2 * prompt.length, predicted_n: 48 });
  expect(timings!.prompt_ms).toBeGreaterThan(0);
  expect(timings!.predicted_ms).toBeGreaterThan(timings!.prompt_ms);
  expect(timings!.predicted_per_second).toBeCloseTo((48 * 1000) / timings!.predicted_ms, 6);
  expect(lacuna!.stats).toHaveLength(2);
  const stream = await chunks(handler, chat, asked({ n: 2, seed: 1 }));
  for (const index of [0, 1]) expect(folded(stream, index).finish).toBe('length');
  expect(stream.some((chunk) => 'usage' in chunk)).toBe(false);
});

test('prompts of token ids, one or several', async () => {
  const ids = [...prompt];
  const { choices } = await whole(handler, completions, { prompt: [ids, ids], max_tokens: 4 });
  expect(choices.map(({ index }) => index)).toEqual([0, 1]);
  for (const wrong of [[1, 'x'], [1e9], [-1], [NaN], [[1], 2], [], 7]) {
    const response = await handler(request(completions, { prompt: wrong, max_tokens: 4 }));
    expect(response.status).toBe(400);
  }
});
