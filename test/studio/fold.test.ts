/** The canvas as the studio folds it is the canvas as the session had it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { embeddedDefaults } from '../../lib/cli/embedded.js';
import { policyNamed } from '../../lib/decoding/catalogue.js';
import { generate, loadModel, type GenerateOptions, type Model } from '../../lib/index.js';
import { createHandler } from '../../lib/server/index.js';
import { cardOf, seriesOf, whatIf } from '../../studio/src/figures.js';
import { blockOf, Timeline } from '../../studio/src/fold.js';
import type { CanvasFrame } from '../../studio/src/frames.js';
import { parseTrace } from '../../studio/src/traces.js';
import { nameOf, textOf } from '../../studio/src/words.js';
import { writingModel } from '../server/local.js';
import { modelPath } from './chromium.js';

let model: Model;
beforeAll(async () => {
  model = await loadModel(modelPath, { device: 'cpu' });
});
afterAll(() => model.dispose());

const prompt = 'ROMEO:\n';
const { chat: _, ...defaults } = embeddedDefaults;

async function framesOf(
  lacuna: object,
  more: object = {},
  handler = createHandler({ model, defaults: embeddedDefaults }),
): Promise<CanvasFrame[]> {
  const watch = { canvas: 'delta', measures: ['entropy', 'margin'], ahead: true, ...lacuna };
  const body = { prompt, max_tokens: 48, seed: 4, stream: true, lacuna: watch, ...more };
  const headers = { host: 'localhost', 'content-type': 'application/json' };
  const init = { method: 'POST', headers, body: JSON.stringify(body) };
  const text = await (await handler(new Request('http://localhost/v1/completions', init))).text();
  return text
    .split('\n\n')
    .filter((line) => line.startsWith('data: {'))
    .flatMap((line) => (JSON.parse(line.slice(6)) as { lacuna?: CanvasFrame }).lacuna ?? []);
}

const policies: Record<string, { decode: { name: string; options?: object }; size: number }> = {
  'one at a time': { decode: { name: 'lowConfidence' }, size: 8 },
  'several at a time': { decode: { name: 'threshold', options: { tau: 0.3 } }, size: 16 },
  'taken back': { decode: { name: 'wino', options: { draft: 0.3, verify: 0.5 } }, size: 48 },
};

describe.each(Object.entries(policies))('%s', (_name, { decode, size }) => {
  const blocks = { name: 'blocks', options: { size } };
  test('every canvas and its text', async () => {
    const options: GenerateOptions = {
      ...{ ...defaults, maxTokens: 48, seed: 4 },
      decode: policyNamed('decode', 'decode', decode),
      blocks: policyNamed('blocks', 'blocks', blocks),
    };
    const timeline = Timeline.of(await framesOf({ decode, blocks }));
    let i = 1;
    for await (const frame of model.generate(prompt, options)) {
      const moment = timeline.moments[i++];
      expect(moment.tokens).toEqual(frame.tokens);
      expect(moment.remaining).toBe(frame.remaining);
      expect(textOf(timeline, moment)).toBe(frame.text);
      const changed = [...moment.marks].filter(([, mark]) => mark !== 'remask').map(([at]) => at);
      expect(changed.sort((a, b) => a - b)).toEqual([...frame.committed]);
      expect(blockOf(timeline, Math.max(...changed, 0))).toBeLessThanOrEqual(frame.block);
    }
    expect(timeline.moments).toHaveLength(i);
    const { committed } = seriesOf(timeline);
    const { remasks } = cardOf(timeline, 0);
    const last = timeline.last!;
    const fixed = last.tokens.length - last.remaining;
    expect(committed.reduce((a, b) => a + b)).toBe(fixed + remasks);
  });

  test('the same from whole pictures alone, and after frames were lost', async () => {
    const frames = await framesOf({ decode, blocks });
    const full = await framesOf({ decode, blocks, canvas: 'full' });
    const whole = Timeline.of(frames);
    const pictures = Timeline.of(full);
    const tokens = (timeline: Timeline) => timeline.moments.slice(1).map((m) => [...m.tokens]);
    expect(tokens(pictures)).toEqual(tokens(whole));

    const pictured = new Map(full.map((f) => ['step' in f ? f.step : -1, f] as const));
    const lost = frames.flatMap((frame): CanvasFrame[] => {
      if (frame.kind !== 'step' || frame.step < 5 || frame.step > 9) return [frame];
      return frame.step === 9 ? [pictured.get(9)!] : [];
    });
    const patched = Timeline.of(lost);
    expect([...patched.last!.tokens]).toEqual([...whole.last!.tokens]);
    expect(textOf(patched, patched.last!)).toBe(textOf(whole, whole.last!));
  });
});

test('characters that are spread over tokens come whole', async () => {
  const said = 'Σ é 😀!'; // each byte is a token
  const bytes = writingModel(() => said);
  const decode = { name: 'randomOrder' };
  const handler = createHandler({ model: bytes, defaults: { bos: true } });
  const body = { prompt: '', max_tokens: 12 };
  const timeline = Timeline.of(await framesOf({ decode, candidates: 2 }, body, handler));
  const policy = policyNamed('decode', 'decode', decode);
  const options: GenerateOptions = { decode: policy, bos: true, maxTokens: 12, seed: 4 };
  let i = 1;
  let broken = 0;
  for await (const { text } of generate(bytes, '', options)) {
    const shown = textOf(timeline, timeline.moments[i++]);
    expect(shown).toBe(text.replaceAll('\uFFFD', ''));
    broken += Number(text !== shown);
  }
  expect(broken).toBeGreaterThan(3);
  expect(textOf(timeline, timeline.last!)).toBe(said);
  expect(nameOf(timeline, 0xf0)).toBe('⟨f0⟩');
  expect(nameOf(timeline, '!'.charCodeAt(0))).toBe('"!"');
});

test('what is no text of the answer is not in its text', async () => {
  const tokens = [...'a'].map((char) => char.charCodeAt(0));
  const bytes = writingModel(() => 'bc');
  const lacuna = { start: [260, ...tokens, null, null], fixed: [0, 1] };
  const handler = createHandler({ model: bytes });
  const timeline = Timeline.of(await framesOf(lacuna, { max_tokens: 4 }, handler));
  expect(timeline.moments[0].tokens[0]).toBe(260);
  expect(textOf(timeline, timeline.moments[0])).toBe('a░░');
  expect(nameOf(timeline, 260)).toBe('"<|startoftext|>"');
});

test('holes that change their length', async () => {
  const template = [
    'ROMEO:\nMy',
    { min: 1, max: 8, stop: ['a', 'e', 'i', ' '] },
    ' the crown',
    { min: 2, max: 2 },
  ];
  const frames = await framesOf({ template }, { max_tokens: undefined });
  expect(frames.some((frame) => frame.kind === 'step' && frame.splices)).toBe(true);
  const timeline = Timeline.of(frames);
  for (const moment of timeline.moments) {
    expect(moment.born).toHaveLength(moment.tokens.length);
    expect(textOf(timeline, moment)).toMatch(/^ROMEO:\nMy.* the crown/s);
  }
  expect(textOf(timeline, timeline.last!)).not.toContain('░');
});

test('what if', async () => {
  const timeline = Timeline.of(await framesOf({}));
  const none = whatIf(timeline, 1.01);
  expect(new Set(none)).toEqual(new Set([1])); // the best one in any case
  const all = whatIf(timeline, 0);
  expect(all[0]).toBe(8); // a block
});

test('files that are not runs', () => {
  expect(() => parseTrace('{')).toThrow('not JSON');
  expect(() => parseTrace('{"kind":"trace"}')).toThrow('not a run');
});

test('steps that compute a cache anew are marked', async () => {
  const cache = { name: 'prefixCache' };
  const blocks = { name: 'blocks', options: { size: 16 } };
  const timeline = Timeline.of(await framesOf({ cache, blocks }));
  const options: GenerateOptions = {
    ...{ ...defaults, maxTokens: 48, seed: 4 },
    cache: policyNamed('cache', 'cache', cache),
    blocks: policyNamed('blocks', 'blocks', blocks),
  };
  const { trace } = await model.generate(prompt, options).result;
  const marked = timeline.moments.slice(1).map(({ refresh }) => refresh);
  expect(marked).toEqual(trace.map(({ refresh }) => refresh));
  expect(new Set(marked).size).toBe(2);
  const { refreshed, ms } = seriesOf(timeline);
  expect(refreshed).toEqual(ms.map((one, i) => (marked[i] ? one : null)));
});
