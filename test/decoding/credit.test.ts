/** CreditDecoding against its formulas, worked out densely over the whole vocabulary. */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  blocks,
  credit,
  lowConfidence,
  noCache,
  threshold,
  wholeAnswer,
  type CreditOptions,
  type Decoder,
} from '../../lib/decoding/index.js';
import { loadModel } from '../../lib/model.js';
import { tokenGumbel } from '../../lib/decoding/philox.js';
import type { StepResult } from '../../lib/types.js';
import { confident, FakeModel, mask, noisy, vocabulary, type Predict } from './fake.js';
import { decoded, prompt } from './scripted.js';

const maxTokens = 9;
const n = prompt.length + maxTokens;

function softmax(z: readonly number[]): number[] {
  const weights = z.map(Math.exp);
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

const best = (values: readonly number[]) =>
  values.reduce((a, value, i) => (i !== mask && (a < 0 || value > values[a]) ? i : a), -1);

interface Dense {
  tau: number;
  size: number;
  temperature: number;
  parameters: (masked: number, size: number) => { alpha: number; beta: number; gamma: number };
}

/** Every number of the paper's algorithm, block by block: what each step commits. */
function dense(predict: Predict, { tau, size, temperature, parameters }: Dense): number[][][] {
  const canvas = new Int32Array(n).fill(mask);
  canvas.set(prompt);
  const steps: number[][][] = [];
  for (let start = prompt.length; start < n; start += size) {
    const block = Array.from({ length: Math.min(size, n - start) }, (_, i) => start + i);
    const C = block.map(() => new Array<number>(vocabulary).fill(0));
    for (;;) {
      const masked = block.filter((position) => canvas[position] === mask);
      if (masked.length === 0) break;
      const { alpha, beta, gamma } = parameters(masked.length, block.length);
      const step = steps.length;
      const rows = masked.map((position) => {
        const z = Array.from(predict(position, canvas, step));
        const own = C[position - start];
        own.forEach((_, v) => (own[v] *= beta));
        const p = softmax(z);
        own[best(p)] += p[best(p)] ** gamma;
        const fused = z.map((logit, v) => logit + alpha * Math.log1p(own[v]));
        const noise = (v: number) => tokenGumbel(7, step, position, v);
        const draw = fused.map((x, v) => (temperature > 0 ? x / temperature + noise(v) : x));
        return { position, token: best(draw), p: softmax(fused)[best(draw)] };
      });
      const most = Math.max(...rows.map(({ p }) => p));
      const first = rows.find(({ p }) => p === most);
      const committed = rows.filter((row) => row.p >= tau || row === first);
      for (const { position, token } of committed) canvas[position] = token;
      steps.push(committed.map(({ position, token }) => [position, token]));
    }
  }
  return steps;
}

const constant = (alpha: number, beta: number, gamma: number) => () => ({ alpha, beta, gamma });
/** Proposals that change their mind now and then. */
const wavering: Predict = (position, canvas, step) => {
  const steady = noisy(position, canvas.with(0, Math.floor(step / 3)), 0);
  return Array.from(steady, (z, v) => 0.6 * z + 0.25 * noisy(position + v, canvas, 0)[v]);
};

describe('the same steps as the dense matrix', () => {
  const variants: [CreditOptions, Dense['parameters']][] = [
    [{}, constant(0.65, 0.7, 0.2)],
    [{ parameters: 'dInfer' }, constant(0.7, 0.8, 0.2)],
    [
      { parameters: 'parameterFree' },
      (masked, size) => ({ alpha: 1 - masked / size, beta: 1 - masked / size, gamma: 1 }),
    ],
    [{ alpha: 3, beta: 0.9, gamma: 2 }, constant(3, 0.9, 2)],
  ];
  test.each(variants)('%j', async (options, parameters) => {
    for (const [model, predict] of Object.entries({ noisy, wavering })) {
      for (const temperature of [0, 0.7, 2]) {
        for (const size of [4, 9]) {
          const decode = credit(threshold({ tau: 0.5 }), options);
          const given = { decode, temperature, seed: 7, maxTokens, blocks: blocks(size) };
          const { trace } = await decoded(new FakeModel(predict), given);
          const steps = trace.map(({ committed }) => committed.map(([at, token]) => [at, token]));
          const expected = dense(predict, { tau: 0.5, size, temperature, parameters });
          expect(steps, `${model} ${temperature} ${size}`).toEqual(expected);
        }
      }
    }
  });
});

test('the noise is that of native code', async () => {
  const path = fileURLToPath(new URL('../../models/shakespeare-7m.Q8_0.gguf', import.meta.url));
  await using model = await loadModel(path, { device: 'cpu', threads: 1 });
  const session = model.createSession({ length: 12 });
  const sampling = { temperature: 1.5, seed: 2 ** 40 + 5, step: 3 };
  const { position, token, logits } = await session.step({ sampling, logits: true });
  const { vocabulary: n, tokens } = model.info;
  position.forEach((at, i) => {
    const z = Array.from(logits!.subarray(i * n, (i + 1) * n), (logit, v) =>
      v === tokens.mask ? -Infinity : logit / 1.5 + tokenGumbel(sampling.seed, 3, at, v),
    );
    expect(token[i]).toBe(z.indexOf(Math.max(...z)));
  });
});

describe('credits', () => {
  /** What an inner decoder is shown of position 2, which is filled last. */
  async function seen(predict: Predict, options: CreditOptions, steps: number) {
    const reports: StepResult[] = [];
    const watching: Decoder = () => () => ({
      choose: (report) => {
        reports.push(report);
        const last = report.position.length - 1;
        return [{ position: report.position[last], token: report.token[last] }];
      },
    });
    const decode = credit(watching, options);
    await decoded(new FakeModel(predict), { decode, maxTokens: steps, cache: noCache() });
    return reports.map(({ token, probability, margin, entropy }) => ({
      ...{ token: token[0], p: probability[0], margin: margin[0], entropy: entropy[0] },
    }));
  }
  const odds = (p: number) => p / (1 - p);

  test('a constant top-1 with c = 1: C → 1 / (1 − beta), odds times 2.59 at most', async () => {
    const p = 1 - 1e-6;
    const reports = await seen(() => confident(1, p), {}, 60);
    const boosts = reports.map((report) => odds(report.p) / odds(p));
    expect(boosts[0]).toBeCloseTo(2 ** 0.65, 4); // C = 1
    expect(boosts[1]).toBeCloseTo(2.7 ** 0.65, 4); // 1 + 0.7 + 1
    expect(boosts[59]).toBeCloseTo((1 + 1 / 0.3) ** 0.65, 4);
    expect(boosts[59]).toBeCloseTo(2.59, 2);
  });

  test('gamma lifts small probabilities; dInfer forgets more slowly', async () => {
    const [first] = await seen(() => confident(1, 0.2), {}, 3);
    expect(odds(first.p) / odds(0.2)).toBeCloseTo((1 + 0.2 ** 0.2) ** 0.65);
    const last = (await seen(() => confident(1, 0.2), { parameters: 'dInfer' }, 60))[59];
    expect(odds(last.p) / odds(0.2)).toBeCloseTo((1 + 0.2 ** 0.2 / 0.2) ** 0.7, 3);
  });

  test('the winner may differ from the raw top-1, and the raw one is credited', async () => {
    const turning: Predict = (_, __, step) =>
      Float64Array.from({ length: vocabulary }, (_, v) =>
        Math.log(
          (step < 3 ? [0.6, 0.3, 0.1 / 14] : [0.45, 0.48, 0.07 / 14])[Math.min((v + 15) % 16, 2)],
        ),
      );
    const reports = await seen(turning, {}, 6);
    expect(reports.map(({ token }) => token)).toEqual([1, 1, 1, 1, 2, 2]);
    // C of 1 and 2 in step 3, from p 0.6 three times and then 0.48 for the other
    const C1 = 0.6 ** 0.2 * (0.7 + 0.49 + 0.343);
    const [q1, q2] = [0.45 * (1 + C1) ** 0.65, 0.48 * (1 + 0.48 ** 0.2) ** 0.65];
    const q = [q1, q2, ...new Array<number>(14).fill(0.07 / 14)];
    const sum = q.reduce((a, b) => a + b, 0);
    expect(reports[3].p).toBeCloseTo(q1 / sum);
    expect(reports[3].margin).toBeCloseTo((q1 - q2) / sum);
    const entropy = q.reduce((h, x) => h - (x / sum) * Math.log(x / sum), 0);
    expect(reports[3].entropy).toBeCloseTo(entropy);
  });

  test('MASK gets none, though it ranks first', async () => {
    const masks: Predict = (position) =>
      confident(3, 0.3).map((z, v) => (v === mask ? Math.log(0.5) : z + 0 * position));
    const weights = [0.3, 0.5, ...new Array<number>(14).fill(0.7 / 15)];
    const sum = weights.reduce((a, b) => a + b, 0);
    const p = 0.3 / sum;
    const [report] = await seen(masks, {}, 2);
    expect(report.token).toBe(3);
    expect(odds(report.p) / odds(p)).toBeCloseTo((1 + p ** 0.2) ** 0.65);
  });

  test('parameter-free: nothing in the first step of a block, then by the share that is known', async () => {
    const reports = await seen(() => confident(1, 0.4), { parameters: 'parameterFree' }, 4);
    const boosts = reports.map((report) => odds(report.p) / odds(0.4));
    const C = [0.4, 0.4 * 0.25 + 0.4, (0.4 * 0.25 + 0.4) * 0.5 + 0.4];
    expect(boosts[0]).toBeCloseTo(1, 12);
    expect(boosts[1]).toBeCloseTo((1 + C[1]) ** 0.25);
    expect(boosts[2]).toBeCloseTo((1 + C[2]) ** 0.5);
  });

  test('alpha 0 changes nothing; neither does a block of one step', async () => {
    for (const decode of [threshold({ tau: 0.4 }), lowConfidence({ score: 'margin', steps: 7 })]) {
      for (const temperature of [0, 1]) {
        const given = { maxTokens, temperature, seed: 3, blocks: blocks(4) };
        const alone = await decoded(new FakeModel(), { ...given, decode });
        const with0 = credit(decode, { alpha: 0 });
        const result = await decoded(new FakeModel(), { ...given, decode: with0 });
        expect(result.trace).toEqual(alone.trace);
      }
    }
  });

  test('begin anew with each block', async () => {
    const predict: Predict = (position) => confident(position % 10, 0.5);
    const given = { decode: credit(threshold({ tau: 0.6 })), maxTokens };
    // 0.5 grows to 0.6004, 0.643, 0.667 …: with 0.6 a block takes one step
    const fast = await decoded(new FakeModel(predict), { ...given, blocks: blocks(3) });
    expect(fast.order.map((step) => step.length)).toEqual([3, 3, 3]);
    // 0.64 is passed in the second step, of which each block needs its own
    const slow = { ...given, decode: credit(threshold({ tau: 0.64 })) };
    const { order } = await decoded(new FakeModel(predict), { ...slow, blocks: blocks(3) });
    expect(order.map((step) => step.length)).toEqual([1, 2, 1, 2, 1, 2]);
    const whole = await decoded(new FakeModel(predict), { ...slow, blocks: wholeAnswer() });
    expect(whole.order.map((step) => step.length)).toEqual([1, 8]);
  });

  test.each<[string, () => unknown, RegExp]>([
    ['twice', () => credit(credit()), /decoder must be one without credits.*"credit\(\)"/],
    ['no decoder', () => credit('threshold' as never), /decoder must be a decoder/],
    ['beta', () => credit(threshold(), { beta: 1.5 }), /credit\(\): beta .*0 to 1/],
    [
      'parameters of their own',
      () => credit(threshold(), { parameters: 'parameterFree', gamma: 1 }),
      /gamma must be left out/,
    ],
    ['misspelt', () => credit(threshold(), { tau: 1 } as never), /"tau".*parameters, alpha/],
  ])('refuses: %s', (_, make, message) => {
    expect(make).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(message) as string,
      }),
    );
  });
});
