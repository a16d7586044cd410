/** Likelihoods against brute force over every order, from logits that are turned into logarithms here. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { writeSynthetic } from '../../lib/gguf/synthetic.js';
import { leftToRight } from '../../lib/measure/left-to-right.js';
import { chainLogLikelihood, likelihoodBound, logMeanExp } from '../../lib/measure/likelihood.js';
import { textLikelihood } from '../../lib/measure/text-likelihood.js';
import { loadModel, type Model } from '../../lib/model.js';
import { temporaryFolder } from '../cli/lacuna.js';

const folder = temporaryFolder();
const text = Int32Array.of(7, 40, 7, 101, 3);
const prefix = [12];
const paths: Record<string, string> = {};

beforeAll(async () => {
  for (const architecture of ['llada', 'dream'] as const) {
    paths[architecture] = join(folder, `${architecture}.gguf`);
    const shape = { architecture, layers: 2, dim: 32, heads: 2, ffn: 48, vocabulary: 300 };
    const more = { type: 'F32', seed: 5, tokenizer: true, context: 16 } as const;
    await writeSynthetic(paths[architecture], { ...shape, ...more });
  }
});

const orders = (n: number): number[][] =>
  n === 0
    ? [[]]
    : orders(n - 1).flatMap((rest) =>
        Array.from({ length: n }, (_, at) => [...rest.slice(0, at), n - 1, ...rest.slice(at)]),
      );

/** (2ⁿ × n) log p of the text's token at each masked position, by the set of known positions. */
async function table(model: Model): Promise<Float64Array[]> {
  const n = text.length;
  const rows: Float64Array[] = [];
  using session = model.createSession({ length: n + prefix.length });
  const { vocabulary } = model.info;
  for (let known = 0; known < 2 ** n - 1; known++) {
    const tokens = text.map((token, i) => ((known >> i) & 1 ? token : session.maskToken));
    session.set(0, [...prefix, ...tokens]);
    const masked = [...text.keys()].filter((i) => !((known >> i) & 1));
    const query = Int32Array.from(masked, (i) => i + prefix.length);
    const { logits } = await session.step({ query, logits: true });
    const row = new Float64Array(n).fill(NaN);
    masked.forEach((i, at) => {
      const z = logits!.subarray(at * vocabulary, (at + 1) * vocabulary);
      const total = z.reduce((sum, value) => sum + Math.exp(value), 0);
      row[i] = z[text[i]] - Math.log(total);
    });
    rows.push(row);
  }
  return rows;
}

describe.each(['llada', 'dream'])('%s: brute force over 120 orders', (architecture) => {
  test('every chain, their mean, and the log of their mean', async () => {
    await using model = await loadModel(paths[architecture], { device: 'ref' });
    const logs = await table(model);
    const all = orders(text.length);
    const expected = all.map((order) => {
      let known = 0;
      return order.reduce((sum, i) => {
        const nats = logs[known][i];
        known |= 1 << i;
        return sum + nats;
      }, 0);
    });
    const readings = all.map((order) => Int32Array.from(order));
    const chains = await chainLogLikelihood(model, text, readings, { prefix, batch: 32 });
    chains.forEach((nats, i) => expect(Math.abs(nats - expected[i])).toBeLessThan(1e-6));
    expect(Math.max(...chains) - Math.min(...chains)).toBeGreaterThan(0.1); // the order matters

    const mean = expected.reduce((a, b) => a + b) / expected.length;
    const exact = await likelihoodBound(model, text, { prefix, samples: 'all', batch: 31 });
    expect(exact).toMatchObject({ standardError: 0, samples: 31 });
    expect(Math.abs(exact.logLikelihood - mean)).toBeLessThan(1e-6);
    const logOfMean = Math.log(expected.reduce((sum, x) => sum + Math.exp(x), 0) / 120);
    expect(Math.abs(logMeanExp(chains) - logOfMean)).toBeLessThan(1e-6);
    expect(logOfMean).toBeGreaterThan(mean);

    const estimate = await likelihoodBound(model, text, { prefix, samples: 400, seed: 2 });
    expect(estimate.standardError).toBeGreaterThan(0);
    const z = (estimate.logLikelihood - mean) / estimate.standardError;
    expect(Math.abs(z)).toBeLessThan(4);
  });
});

describe('orders', () => {
  test('left to right is what `leftToRight` scores; names are those orders', async () => {
    await using model = await loadModel(paths.llada, { device: 'cpu', threads: 1 });
    const names = ['leftToRight', 'rightToLeft'] as const;
    const [forth, back] = await chainLogLikelihood(model, text, names, { prefix });
    const canvas = Int32Array.of(...prefix, ...text);
    const scores = await leftToRight(model, canvas, { start: 1, end: canvas.length });
    expect(forth).toBeCloseTo(
      scores.reduce((a, b) => a + b, 0),
      9,
    );
    const figures = [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]].map((order) => Int32Array.from(order)); // prettier-ignore
    expect([...(await chainLogLikelihood(model, text, figures, { prefix }))]).toEqual([
      ...[forth, back],
    ]);
  });

  test('confidence reads where the model is surest', async () => {
    await using model = await loadModel(paths.llada, { device: 'cpu', threads: 1 });
    const order: number[] = [];
    using session = model.createSession({ length: 6 });
    session.set(0, prefix);
    while (order.length < text.length) {
      const { position, probability } = await session.step({});
      const at = position[probability.indexOf(Math.max(...probability))];
      session.set(at, [text[at - 1]]);
      order.push(at - 1);
    }
    const readings = ['confidence', Int32Array.from(order)] as const;
    const [named, figures] = await chainLogLikelihood(model, text, readings, { prefix });
    expect(named).toBeCloseTo(figures, 9);
  });

  test('bad arguments', async () => {
    await using model = await loadModel(paths.llada, { device: 'cpu', threads: 1 });
    const twice = [Int32Array.of(0, 1, 2, 3, 3)];
    await expect(chainLogLikelihood(model, text, twice)).rejects.toThrow(
      /orders\[0\] must be a kn/,
    );
    await expect(chainLogLikelihood(model, [299], [])).rejects.toThrow(/must be without MASK/);
    await expect(likelihoodBound(model, new Int32Array(17))).rejects.toThrow(/of at most 16/);
    const many = likelihoodBound(model, new Int32Array(13), { samples: 'all' });
    await expect(many).rejects.toThrow(/number of tokens for samples: 'all' must be .* at most 12/);
    await using shifted = await loadModel(paths.dream, { device: 'cpu', threads: 1 });
    await expect(likelihoodBound(shifted, text)).rejects.toThrow(/prefix must be at least one/);
  });
});

describe('a text', () => {
  test('in pieces: the sums of what its pieces give', async () => {
    await using model = await loadModel(paths.llada, { device: 'cpu', threads: 1 });
    const words = 'naïve 🜍 text';
    const options = { prefix, length: 6, samples: 16, randomOrders: 3, seed: 9 };
    const done: string[] = [];
    const found = await textLikelihood(model, words, {
      ...options,
      onChunk: (i, of) => done.push(`${i}/${of}`),
    });
    expect(found).toMatchObject({ tokens: 16, characters: [...words].length, chunks: 3 });
    expect(done).toEqual(['1/3', '2/3', '3/3']);
    const ids = model.tokenizer.encode(words, { bos: false });
    let forth = 0;
    for (const start of [0, 6, 12]) {
      const piece = ids.slice(start, start + 6);
      const [nats] = await chainLogLikelihood(model, piece, ['leftToRight'], { prefix });
      forth += nats;
    }
    const [first, , , random] = found.chains;
    expect(first).toEqual({
      order: 'leftToRight',
      logLikelihood: expect.closeTo(forth, 9) as number,
    });
    expect(random.logOfMean).toBeGreaterThan(random.logLikelihood);
    expect(found.bound!.standardError).toBeGreaterThan(0);
    expect(await textLikelihood(model, words, options)).toEqual(found); // the same seed
  });

  test('only a part, without a bound', async () => {
    await using model = await loadModel(paths.llada, { device: 'cpu', threads: 1 });
    const options = { length: 4, chunks: 1, samples: 0, orders: ['rightToLeft'] } as const;
    const found = await textLikelihood(model, 'some words', options);
    expect(found).toMatchObject({ tokens: 4, chunks: 1, chains: [{ order: 'rightToLeft' }] });
    expect(found.bound).toBeUndefined();
    await expect(textLikelihood(model, '')).rejects.toThrow(/text must be a text of at least one/);
  });
});
