/** Steps that are begun before the one before them has ended. */
import { expect, test } from 'vitest';
import {
  blocks,
  dkvCache,
  dream,
  dualCache,
  growUntilEos,
  lowConfidence,
  threshold,
} from '../../lib/decoding/index.js';
import { generate } from '../../lib/generate.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { confident, eos, FakeModel, mask, noisy, type Predict } from './fake.js';

async function run(options: GenerateOptions, predict: Predict = noisy, queues = true) {
  const model = new FakeModel(predict);
  model.queues = queues;
  const result = await generate(model, [1, 2, 3], { maxTokens: 16, blocks: blocks(8), ...options })
    .result;
  return { ...result, model };
}

async function same(options: GenerateOptions, predict?: Predict) {
  const ahead = await run(options, predict);
  const waiting = await run(options, predict, false);
  expect(ahead.trace).toEqual(waiting.trace);
  expect(ahead.canvas).toEqual(waiting.canvas);
  expect(ahead.model.requests).toEqual(waiting.model.requests);
  return ahead;
}

test('all steps of a block but the first, where the schedule alone says how many', async () => {
  const decode = lowConfidence({ steps: 8 });
  const { forwards, model } = await same({ decode, cache: dualCache(), stopAtEos: false });
  expect([forwards, model.early]).toEqual([8, 6]);
});

test('where nobody knows when a block ends, a last step finds nothing to do', async () => {
  const { model, counts } = await same({ decode: threshold({ tau: 0.2 }), stopAtEos: false });
  expect(model.idle).toBe(1); // the second block's is ended with the run
  expect(counts.commits.every((tokens) => tokens > 0)).toBe(true);
});

test('none where a policy looks at the canvas', async () => {
  const decode = lowConfidence({ steps: 8 });
  expect((await same({ decode, cache: dkvCache(), stopAtEos: false })).model.early).toBeLessThan(6);
  expect((await same({ decode: dream({ steps: 8 }), stopAtEos: false })).model.early).toBe(0);
});

test('the end of the answer, the last step and a longer canvas leave nothing behind', async () => {
  const ending: Predict = (position) => confident(position > 5 ? eos : 1, 0.9);
  expect((await same({ decode: threshold({ tau: 0.95 }) }, ending)).finishReason).toBe('eos');
  expect((await same({ decode: lowConfidence(), steps: 3 })).canvas).toContain(mask);
  const endless: Predict = (position) => confident(position % 5, 0.9);
  const grow = { decode: threshold({ tau: 0.2 }), length: growUntilEos({ initial: 8 }) };
  const grown = await same(grow, endless);
  expect(grown.canvas.length).toBeGreaterThan(3 + 8);
});

test('an aborted run ends while two steps are under way', async () => {
  const model = new FakeModel();
  model.queues = true;
  const controller = new AbortController();
  const generation = generate(model, [1], { maxTokens: 16, signal: controller.signal });
  for await (const { step } of generation) {
    if (step === 2) break;
  }
  await expect(generation.result).rejects.toMatchObject({ code: 'ABORTED' });
  expect(model.sessions.every(({ disposed }) => disposed)).toBe(true);
});
