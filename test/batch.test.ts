/** Generations that share forwards: the same tokens, separate fates. */
import { expect, test } from 'vitest';
import { Batch, type BatchForward } from '../lib/batch.js';
import {
  beam,
  blocks,
  dualCache,
  freeDave,
  generate,
  lowConfidence,
  prefixCache,
  threshold,
  wino,
  type GenerateOptions,
  type LacunaError,
} from '../lib/index.js';
import { modelFolder } from './session/models.js';

const models = modelFolder();

const runs: GenerateOptions[] = [
  { decode: lowConfidence({ steps: 8 }), blocks: blocks(8) },
  { decode: threshold({ tau: 0.01 }), blocks: blocks(8), cache: dualCache(), temperature: 1 },
  { decode: threshold({ tau: 0.02 }), blocks: blocks(8), cache: prefixCache(), seed: 5 },
  { decode: lowConfidence({ steps: 8 }), cfgScale: 1.5 },
  { decode: wino(), blocks: blocks(16) },
  { decode: lowConfidence(), blocks: blocks(8), speculate: freeDave({ depth: 2 }) },
  { decode: beam({ depth: 2, width: 2 }), blocks: blocks(8) },
].map((options, i) => ({ maxTokens: 16 + 8 * (i % 3), stopAtEos: false, ...options }));

const promptOf = (i: number) => Int32Array.from({ length: 3 + 5 * i }, (_, j) => 7 * i + j);

test.each(['llada', 'dream'] as const)('%s: the tokens are those of each alone', async (name) => {
  const model = await models.load(name, { device: 'cpu' });
  const alone = [];
  for (const [i, options] of runs.entries()) {
    alone.push(await model.generate(promptOf(i), options).result);
  }
  const forwards: BatchForward[] = [];
  const batch = new Batch(model, { onForward: (forward) => forwards.push(forward) });
  const together = await Promise.all(
    runs.map((options, i) => generate(batch, promptOf(i), options).result),
  );
  expect(together.map(({ canvas }) => canvas)).toEqual(alone.map(({ canvas }) => canvas));
  expect(together.map(({ forwards }) => forwards)).toEqual(alone.map(({ forwards }) => forwards));
  const most = Math.max(...alone.map((result) => result.forwards));
  const sum = alone.reduce((total, result) => total + result.forwards, 0);
  expect(forwards.length).toBeLessThan(sum / 2);
  expect(forwards.length).toBeGreaterThanOrEqual(most);
  expect(Math.max(...forwards.map(({ steps }) => steps))).toBe(runs.length);
});

test('who leaves does not disturb the others', async () => {
  const model = await models.load('llada', { device: 'cpu' });
  const alone = await model.generate(promptOf(1), runs[0]).result;
  const batch = new Batch(model);
  const leaver = new AbortController();
  const stays = generate(batch, promptOf(1), runs[0]);
  const leaves = generate(batch, promptOf(2), { ...runs[0], signal: leaver.signal });
  for await (const { step } of stays) if (step === 1) leaver.abort();
  await expect(leaves.result).rejects.toMatchObject({ code: 'ABORTED' });
  expect((await stays.result).canvas).toEqual(alone.canvas);
  // Its session went after the forward that it was in: nothing is left to be freed.
  await batch.createSession({ length: 4 }).step();
});

test('an error is of the step that makes it', async () => {
  const model = await models.load('llada', { device: 'cpu' });
  const batch = new Batch(model);
  const [good, bad] = [batch.createSession({ length: 8 }), batch.createSession({ length: 8 })];
  const [wrong, right] = await Promise.allSettled([
    bad.step({ query: Int32Array.of(99) }),
    good.step(),
  ]);
  expect(wrong).toMatchObject({ reason: { code: 'INVALID_ARGUMENT' } });
  expect(right).toMatchObject({ value: { position: { length: 8 } } });
});

test('short steps do not wait for long ones', async () => {
  const model = await models.load('llada', { device: 'cpu' });
  const joined: number[] = [];
  const batch = new Batch(model, { rows: 64, onForward: ({ rows }) => joined.push(rows) });
  const step = (length: number) => batch.createSession({ length }).step();
  await Promise.all([...[48, 48, 48, 100].map(step), ...[8, 4].map(step)]);
  expect(joined).toEqual([48 + 12, 48, 48, 100]);
});

test('disposing of the model ends what waits', async () => {
  const model = await models.load('llada', { device: 'cpu' });
  const batch = new Batch(model);
  const waiting = [0, 1, 2].map((i) => generate(batch, promptOf(i), runs[0]).result);
  await model.dispose();
  const codes = (await Promise.allSettled(waiting)).map(
    (end) => end.status === 'rejected' && (end.reason as LacunaError).code,
  );
  expect(codes).toEqual(['DISPOSED', 'DISPOSED', 'DISPOSED']);
});
