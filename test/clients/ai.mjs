// The AI SDK, 6 and 7: over HTTP with createOpenAICompatible, and in process with lacuna().
import assert from 'node:assert/strict';
import { askedOf as asked, open, partsOf, textOf } from './ai-models.mjs';
import { fold, stopStreams } from './server.mjs';

export { open };

const bye = /shutting down/;

/** What reaches `onError` is looked at where it matters; by default the AI SDK prints it. */
const onError = () => {};

export const checks = {
  "an answer is the model's own, whole and streamed": async ({ ai, model, cases }) => {
    for (const one of cases) {
      const whole = await ai.generateText({ model, ...asked(one) });
      assert.equal(whole.text, one.text);
      assert.equal(whole.finishReason, 'length');
      assert.equal(whole.usage.outputTokens, one.maxTokens);
      const streamed = ai.streamText({ model, ...asked(one) });
      const deltas = await partsOf(streamed.textStream);
      assert.equal(deltas.join(''), one.text);
      assert.equal(await streamed.finishReason, 'length');
      const { inputTokens, outputTokens } = await streamed.usage;
      assert.deepEqual([inputTokens, outputTokens], [whole.usage.inputTokens, one.maxTokens]);
    }
  },

  'raw parts bring the canvas to who asks': async ({ ai, model, cases: [one], canvas }) => {
    const providerOptions = canvas({ canvas: 'delta', candidates: 2 });
    const seen = [];
    const onChunk = ({ chunk }) => void seen.push(chunk.type);
    const call = { model, ...asked(one), providerOptions, onChunk, includeRawChunks: true };
    const parts = await partsOf(ai.streamText(call).fullStream);
    const frames = parts
      .filter(({ type }) => type === 'raw')
      .flatMap(({ rawValue }) => rawValue.lacuna ?? []);
    assert.equal(fold(frames), one.text);
    assert(frames.some(({ candidates }) => candidates?.length > 0));
    assert.equal(textOf(parts), one.text);
    assert(seen.includes('raw'));

    const without = await partsOf(ai.streamText({ ...call, includeRawChunks: false }).fullStream);
    assert.equal(textOf(without), one.text);
    assert(without.every(({ type }) => type !== 'raw' && type !== 'error'));
  },

  'canvasToUI brings it to useChat': async ({ ai, model, cases: [one], canvas, canvasToUI }) => {
    const providerOptions = canvas({ canvas: 'delta' });
    const stream = ai.createUIMessageStream({
      execute: ({ writer }) => {
        const result = ai.streamText({
          ...{ model, ...asked(one), providerOptions, includeRawChunks: true },
          onChunk: canvasToUI(writer),
        });
        writer.merge(result.toUIMessageStream());
      },
    });
    const parts = await partsOf(stream);
    const frames = parts.filter(({ type }) => type === 'data-lacuna');
    assert(frames.every(({ transient }) => transient === true));
    assert.equal(fold(frames.map(({ data }) => data)), one.text);
    const deltas = parts.filter(({ type }) => type === 'text-delta').map(({ delta }) => delta);
    assert.equal(deltas.join(''), one.text);
  },

  'errors before the first byte are told at once, and not tried again': async (opened) => {
    const {
      ai,
      model,
      cases: [one],
    } = opened;
    const call = { model, ...asked(one), temperature: 3 };
    await assert.rejects(ai.generateText(call), (error) => {
      assert(!ai.RetryError.isInstance(error));
      return /temperature must be/.test(error.message);
    });
    const parts = await partsOf(ai.streamText({ ...call, onError }).fullStream);
    const { error } = parts.find(({ type }) => type === 'error');
    assert.match(error.message, /temperature must be/);
  },

  'an abort is an abort, and frees the slot': async ({ ai, model, cases: [one], idle }) => {
    const controller = new AbortController();
    let aborted = 0;
    const streamed = ai.streamText({
      ...{ model, ...asked(one), maxOutputTokens: 200, abortSignal: controller.signal },
      onAbort: () => void aborted++,
    });
    const types = [];
    for await (const { type } of streamed.fullStream) {
      types.push(type);
      if (type === 'text-delta') controller.abort();
    }
    assert.equal(types.at(-1), 'abort');
    assert(!types.includes('error'));
    assert.equal(aborted, 1);
    await idle();

    const late = new AbortController();
    const { signal: abortSignal } = late;
    const whole = ai.generateText({ model, ...asked(one), maxOutputTokens: 200, abortSignal });
    late.abort();
    await assert.rejects(whole, { name: 'AbortError' });
    await idle();
  },

  'who leaves the loop holds nothing': async ({ ai, model, cases: [one], idle }) => {
    const streamed = ai.streamText({ model, ...asked(one), maxOutputTokens: 48 });
    for await (const { type } of streamed.fullStream) if (type === 'text-delta') break;
    await idle();
  },

  'errors after the first byte are error parts': async ({ ai, model, cases: [one], ...opened }) => {
    if (!opened.compatible) return; // by its contract, in test/ai-sdk
    const call = { model, ...asked(one), maxOutputTokens: 200, onError };
    const types = [];
    for await (const part of ai.streamText(call).fullStream) {
      types.push(part.type);
      if (part.type === 'text-delta') await stopStreams(opened);
      if (part.type === 'error') assert.match(String(part.error.message ?? part.error), bye);
    }
    assert(types.includes('error'));
    await opened.idle();
  },

  'a full queue is tried again': async ({ ai, again, cases: [one] }) => {
    if (again === undefined) return; // in process alone: over HTTP it is up to the AI SDK
    const model = again({});
    let asks = 0;
    const counted = { ...model, doGenerate: (call) => (asks++, model.doGenerate(call)) };
    const answers = [1, 2, 3, 4].map(() =>
      ai.generateText({ model: counted, ...asked(one), maxRetries: 9 }),
    );
    for (const { text } of await Promise.all(answers)) assert.equal(text, one.text);
    assert(asks > 4);
  },

  'what means nothing here is a warning': async ({ ai, model, again, cases: [one] }) => {
    if (again === undefined) return; // over HTTP: the header x-lacuna-ignored
    const call = { model, ...asked(one), presencePenalty: 1 };
    const { warnings } = await ai.generateText(call);
    assert.deepEqual(
      warnings.map(({ feature }) => feature),
      ['presencePenalty'],
    );
  },
};
