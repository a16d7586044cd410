import { expect, test } from 'vitest';
import { positionCurve } from '../../lib/measure/positions.js';
import { loadModel } from '../../lib/model.js';
import { model as path } from '../cli/lacuna.js';

const prompts = ['ROMEO:\n', 'KING HENRY:\nMy lord, what news?\n\n', 'Go,'];

test('is the mean of one forward over each prompt', async () => {
  await using model = await loadModel(path, { device: 'cpu', threads: 1 });
  const curve = await positionCurve(model, prompts, { masks: 12, bos: true, batch: 2 });
  expect(curve.prompts).toBe(3);
  const proposals: number[][] = [];
  const sums = new Float64Array(12);
  for (const prompt of prompts) {
    const known = model.tokenizer.encode(prompt, { bos: true });
    using session = model.createSession({ length: known.length + 12 });
    session.set(0, known);
    const { probability, token } = await session.step({});
    probability.forEach((p, i) => (sums[i] += p / 3));
    proposals.push([...token]);
  }
  curve.positions.forEach(({ n, probability }, i) => {
    expect(n).toBe(i + 1);
    expect(probability).toBeCloseTo(sums[i], 9);
  });
  expect(curve.bands.map(({ from, to, proposals }) => [from, to, proposals])).toEqual([
    [1, 1, 3],
    [2, 2, 3],
    [3, 4, 6],
    [5, 8, 12],
    [9, 12, 12],
  ]);
  const last = proposals.flatMap((tokens) => tokens.slice(8));
  const { distinct, top } = curve.bands[4];
  expect(distinct).toBe(new Set(last).size);
  expect(top[0].share).toBeCloseTo(last.filter((t) => t === top[0].token).length / 12, 12);
  expect(top[0].text).toBe(model.tokenizer.token(top[0].token));
});

test('bad arguments', async () => {
  await using model = await loadModel(path, { device: 'cpu', threads: 1 });
  await expect(positionCurve(model, [])).rejects.toThrow(/prompts must be at least one prompt/);
  await expect(positionCurve(model, ['a'], { masks: 300 })).rejects.toThrow(/context is 256/);
});
