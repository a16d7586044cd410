/** A deadline: whatever is masked gets its token with the next forward, whoever decides. */
import { expect, test } from 'vitest';
import { blocks, leftToRight, lowConfidence, wholeAnswer } from '../../lib/decoding/index.js';
import { generate } from '../../lib/generate.js';
import type { GenerateOptions, Prompt } from '../../lib/plan.js';
import { hole } from '../../lib/index.js';
import { FakeModel, mask, noisy } from './fake.js';
import { methods } from './methods.js';

const prompt = [1, 2, 3];

/** Runs until the deadline, which fires while the forward after `steps` steps is on its way. */
async function cut(options: GenerateOptions, steps: number, given: Prompt = prompt) {
  const deadline = new AbortController();
  let made = 0;
  const model = new FakeModel((position, canvas, step) => {
    made = Math.max(made, step + 1);
    if (made > steps) deadline.abort();
    return noisy(position, canvas, step);
  });
  const run = generate(model, given, { ...options, deadline: deadline.signal });
  const result = await run.result;
  for (const session of model.sessions) expect(session.disposed).toBe(true);
  return { model, result };
}

test.each(Object.entries(methods))('%s', async (_, { options }) => {
  const common = { maxTokens: 24, blocks: blocks(8), stopAtEos: false };
  const { result } = await cut({ ...common, ...options }, 2);
  const answer = result.canvas.subarray(prompt.length, prompt.length + 24);
  expect(answer).not.toContain(mask);
  expect(result.finishReason).not.toBe('steps');
  // Two steps, the one in which it fired, and one for the rest.
  expect(result.trace.filter(({ forwards }) => forwards > 0).length).toBeLessThanOrEqual(4);
});

test('one forward for all blocks, every row of it', async () => {
  const decode = lowConfidence({ schedule: 'even' });
  const options = { maxTokens: 24, blocks: blocks(4), decode, stopAtEos: false };
  const { result, model } = await cut(options, 3);
  expect(result.trace.map(({ committed }) => committed.length)).toEqual([1, 1, 1, 1, 20]);
  expect(model.requests.at(-1)!.rows).toBeUndefined();
  expect(result.trace.at(-1)!.stable).toBe(24);
});

test('a forward that already waits comes first', async () => {
  const deadline = new AbortController();
  const model = new FakeModel((position, canvas, step) => {
    if (step === 1) deadline.abort();
    return noisy(position, canvas, step);
  });
  model.queues = true;
  const decode = leftToRight();
  const options = { maxTokens: 12, blocks: wholeAnswer(), decode, deadline: deadline.signal };
  const { trace, canvas } = await generate(model, prompt, options).result;
  expect(trace.map(({ committed }) => committed.length)).toEqual([1, 1, 1, 9]);
  expect(canvas).not.toContain(mask);
});

test('known text of a template stands; a hole ends where it ends', async () => {
  const segments = [hole({ max: 6 }), [5, 6], hole({ min: 3, max: 3 }), [7]];
  const { result } = await cut({}, 1, { prompt, segments });
  expect(result.finishReason).toBe('filled');
  const [first, second] = result.holes;
  expect(second.tokens).toHaveLength(3);
  const known = [...first.tokens, 5, 6, ...second.tokens, 7];
  expect([...result.canvas.subarray(prompt.length)]).toEqual(known);
});

test('one that has passed leaves one forward', async () => {
  const deadline = AbortSignal.abort();
  const { trace, canvas } = await generate(new FakeModel(), prompt, { deadline }).result;
  expect(trace.map(({ forwards }) => forwards)).toEqual([1]);
  expect(canvas).not.toContain(mask);
});
