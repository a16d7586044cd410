/** `lacuna(model)` by its contract; what the AI SDK makes of it is in test/clients. */
import { fileURLToPath } from 'node:url';
import type { LanguageModelV3CallOptions, LanguageModelV3StreamPart } from '@ai-sdk/provider';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canvasToUI, lacuna, type CanvasPart } from '../../lib/ai-sdk/index.js';
import { blocks, LacunaError, loadModel, lowConfidence, type Model } from '../../lib/index.js';

const path = fileURLToPath(new URL('../../models/shakespeare-7m.Q8_0.gguf', import.meta.url));
const template = '{{ bos_token }}{% for m in messages %}{{ m.content }}\n\n{% endfor %}';
const policies = { decode: lowConfidence(), blocks: blocks(8) };
const settings = { ...policies, temperature: 0.8, maxTokens: 24, chat: { template } };
const said = 'ROMEO:\nMy lord,';
const prompt: LanguageModelV3CallOptions['prompt'] = [
  { role: 'user', content: [{ type: 'text', text: said }] },
];
let model: Model;
let shakespeare: ReturnType<typeof lacuna>;

beforeAll(async () => {
  model = await loadModel(path, { device: 'cpu' });
  shakespeare = lacuna(model, settings);
});
afterAll(() => model.dispose());

async function partsOf(
  call: Partial<LanguageModelV3CallOptions>,
): Promise<LanguageModelV3StreamPart[]> {
  const { stream } = await shakespeare.doStream({ prompt, ...call });
  const parts: LanguageModelV3StreamPart[] = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

const textOf = (parts: readonly LanguageModelV3StreamPart[]) =>
  parts.map((part) => (part.type === 'text-delta' ? part.delta : '')).join('');

test('an answer, whole and in parts, is that of model.generate', async () => {
  const ids = model.tokenizer.encode(`${said}\n\n`, { bos: true });
  for (const seed of [1, 2, 3]) {
    const options = { ...policies, temperature: 0.8, maxTokens: 24, seed };
    const direct = await model.generate(ids, options).result;
    const whole = await shakespeare.doGenerate({ prompt, seed });
    expect(whole.content).toEqual([{ type: 'text', text: direct.text }]);
    expect(whole.usage).toMatchObject({
      inputTokens: { total: ids.length },
      outputTokens: { total: direct.tokens.length },
    });
    expect(whole.providerMetadata?.lacuna.stats).toMatchObject({ forwards: direct.forwards });

    const parts = await partsOf({ seed });
    expect(textOf(parts)).toBe(direct.text);
    const last = parts.at(-1);
    expect(last).toMatchObject({ type: 'finish', finishReason: whole.finishReason });
  }
});

test('parts come in the order that the AI SDK reads', async () => {
  const kinds = (await partsOf({})).map(({ type }) => type);
  const deltas = kinds.filter((type) => type === 'text-delta');
  expect(deltas.length).toBeGreaterThan(2);
  expect(kinds).toEqual([
    ...['stream-start', 'response-metadata', 'text-start'],
    ...deltas,
    ...['text-end', 'finish'],
  ]);
});

test('raw parts are made for who asks, and folding them gives the text', async () => {
  const parts = await partsOf({
    seed: 2,
    includeRawChunks: true,
    providerOptions: { lacuna: { candidates: 2 } },
  });
  const sent: CanvasPart[] = [];
  const onChunk = canvasToUI({ write: (part) => sent.push(part) });
  for (const chunk of parts) onChunk({ chunk });
  const canvas = new Array<string>(24);
  for (const { data } of sent) {
    const commits = (data.commits ?? []) as [number, number, string][];
    for (const [at, , text] of commits) canvas[at] = text;
  }
  expect(canvas.join('')).toBe(textOf(parts));
  expect(sent[0]).toMatchObject({ type: 'data-lacuna', transient: true, data: { kind: 'start' } });
  expect(sent[1].data.candidates).toBeDefined();
  expect(sent.at(-1)!.data.kind).toBe('end');
});

describe('ending early', () => {
  test('a signal ends the call with its reason, and the slot is free', async () => {
    const leaver = new AbortController();
    const { stream } = await shakespeare.doStream({
      ...{ prompt, maxOutputTokens: 200, abortSignal: leaver.signal },
    });
    const reader = stream.getReader();
    await reader.read();
    const reason = new DOMException('enough', 'AbortError');
    leaver.abort(reason);
    const read = async () => {
      while (!(await reader.read()).done);
    };
    await expect(read()).rejects.toBe(reason);
    const call = { prompt, maxOutputTokens: 200, abortSignal: leaver.signal };
    await expect(shakespeare.doGenerate(call)).rejects.toBe(reason);
  });

  test('nobody reads: the run ends by itself; somebody cancels: it ends at once', async () => {
    const one = lacuna(model, { ...settings, parallel: 1, queue: 1 });
    await one.doStream({ prompt });
    const { stream } = await one.doStream({ prompt, maxOutputTokens: 200 }); // has waited for its slot
    await stream.cancel();
    const { content } = await one.doGenerate({ prompt });
    expect(content).toHaveLength(1);
  });

  test('a full queue is an error that the AI SDK tries again', async () => {
    const one = lacuna(model, { ...settings, parallel: 1, queue: 1 });
    const calls = [1, 2, 3].map(() => one.doGenerate({ prompt }));
    const [, , third] = await Promise.allSettled(calls);
    expect(third).toMatchObject({
      status: 'rejected',
      reason: { name: 'AI_APICallError', isRetryable: true, statusCode: 429 },
    });
  });

  test('a run that fails says so in its stream', async () => {
    const own = await loadModel(path, { device: 'cpu' });
    const { stream } = await lacuna(own, settings).doStream({ prompt, maxOutputTokens: 200 });
    await own.dispose();
    const parts: LanguageModelV3StreamPart[] = [];
    for await (const part of stream) parts.push(part);
    const [error, finish] = parts.slice(-2);
    expect(error).toMatchObject({ type: 'error', error: { code: 'DISPOSED' } });
    expect(finish).toMatchObject({ type: 'finish', finishReason: { unified: 'error' } });
  });
});

describe('what a call may say', () => {
  test('what means nothing here is a warning', async () => {
    const call = { prompt, presencePenalty: 1, reasoning: 'cosmic', maxOutputTokens: 8 };
    const { warnings } = await shakespeare.doGenerate(call);
    expect(warnings).toEqual([
      { type: 'unsupported', feature: 'presencePenalty' },
      expect.objectContaining({ type: 'unsupported', feature: 'reasoning' }),
    ]);
  });

  test('reasoning is a preset', async () => {
    const call = { prompt, seed: 1, maxOutputTokens: 8, temperature: 0 };
    const high = await shakespeare.doGenerate({ ...call, reasoning: 'high' } as typeof call);
    const providerOptions = { lacuna: { preset: 'quality' } };
    const quality = await shakespeare.doGenerate({ ...call, providerOptions });
    expect(high.content).toEqual(quality.content);
    expect(high.providerMetadata?.lacuna.stats).toMatchObject({ forwards: 8 });
  });

  test('stop sequences', async () => {
    const parts = await partsOf({ seed: 3 });
    const text = textOf(parts);
    const cut = await partsOf({ seed: 3, stopSequences: [text.slice(10, 13)] });
    expect(textOf(cut)).toBe(text.slice(0, text.indexOf(text.slice(10, 13))));
    expect(cut.at(-1)).toMatchObject({ finishReason: { unified: 'stop' } });
  });

  const image = { type: 'file', mediaType: 'image/png', data: 'AAAA' } as const;
  test.each<[string, Partial<LanguageModelV3CallOptions>, RegExp]>([
    ['temperature', { temperature: 3 }, /temperature must be/],
    ['context', { maxOutputTokens: 300 }, /context has 256/],
    ['file', { prompt: [{ role: 'user', content: [image] }] }, /prompt\[0\].*image\/png/],
    ['options', { providerOptions: { lacuna: { presets: 'x' } } }, /lacuna must be an object of/],
  ])('%s', async (_, call, message) => {
    for (const method of ['doGenerate', 'doStream'] as const) {
      const error = await Promise.resolve(shakespeare[method]({ prompt, ...call })).catch(
        (error: unknown) => error,
      );
      expect(LacunaError.isInstance(error)).toBe(true);
      expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' });
      expect((error as Error).message).toMatch(message);
    }
  });

  test('settings are checked at once', () => {
    const misspelt = { maxTokns: 3 } as object;
    expect(() => lacuna(model, misspelt)).toThrow(/maxTokns/);
    expect(() => lacuna(model, { parallel: 0 })).toThrow(/parallel/);
  });
});
