/** Soft masks: what goes into a forward, by the formula, and where nothing does. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  blocks,
  daedal,
  dualCache,
  remask,
  softMask,
  threshold,
  topK,
  type SoftMaskOptions,
} from '../../lib/decoding/index.js';
import { generate } from '../../lib/generate.js';
import { loadModel, type Model } from '../../lib/model.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { FakeModel, mask, noisy, vocabulary, type Predict } from './fake.js';
import { decoded, prompt, scripted } from './scripted.js';

/** What each forward was given: position → [alpha, [token, weight] …]. */
async function mixed(options: GenerateOptions, predict: Predict = noisy, info = {}) {
  const model = new FakeModel(predict, info);
  const { trace, canvas } = await decoded(model, { maxTokens: 6, decode: topK(), ...options });
  const mixes = model.requests.map(({ softMask: mix }) => {
    if (mix === undefined) return undefined;
    const k = mix.token.length / mix.position.length;
    const cells = (i: number) =>
      Array.from({ length: k }, (_, j) => [mix.token[i * k + j], mix.weight[i * k + j]]);
    return new Map([...mix.position].map((at, i) => [at, { alpha: mix.alpha[i], mix: cells(i) }]));
  });
  return { mixes, trace, canvas, model };
}

/** alpha and the k largest of softmax(z) without MASK. */
function expected(z: ArrayLike<number>, { k = 3, scale = 0, slope = 10 / 1.5, centre = -0.75 }) {
  const weights = Array.from(z, (logit, token) => (token === mask ? 0 : Math.exp(logit)));
  const sum = weights.reduce((a, b) => a + b, 0);
  const p = weights.map((weight) => weight / sum);
  const H = p.reduce((h, q) => (q > 0 ? h - q * Math.log(q) : h), 0);
  const best = [...p.keys()].sort((a, b) => p[b] - p[a]).slice(0, k);
  const top = best.reduce((total, token) => total + p[token], 0);
  return {
    alpha: expect.closeTo(scale / (1 + Math.exp(-slope * (-H - centre))), 6) as number,
    mix: best.map((token) => [token, expect.closeTo(p[token] / top, 6) as number]),
  };
}

describe('softMask', () => {
  test.each<SoftMaskOptions>([
    { scale: 0.25, slope: 5, centre: -1, k: 1 }, // learned, as the original's README shows it
    { scale: 1 },
    { scale: 0.5, slope: 0.3, centre: -2, k: 4 },
    { scale: 0.5, k: 15 },
  ])('%j: the last prediction of every mask, MASK left out', async (options) => {
    const { mixes, trace } = await mixed({ refine: softMask(options) });
    expect(mixes[0]).toBeUndefined(); // the first forward sees hard masks
    const canvas = new Int32Array(8).fill(mask);
    canvas.set(prompt);
    for (const [step, mix] of mixes.entries()) {
      if (mix === undefined) continue;
      const before = trace[step - 1].committed[0][0];
      const masks = [...canvas.keys()].filter((i) => canvas[i] === mask && i !== before);
      expect([...mix.keys()]).toEqual(masks);
      for (const i of masks) {
        expect(mix.get(i)).toEqual(expected(noisy(i, canvas, step - 1), options));
      }
      for (const [at, token] of trace[step - 1].committed) canvas[at] = token;
    }
    expect(mixes.filter((mix) => mix !== undefined).length).toBe(5);
  });

  test('the surer, the softer: half of scale where H = −centre', async () => {
    const half: Predict = (position) =>
      Float64Array.from({ length: vocabulary }, (_, v) =>
        v < 2 ** (position - 2) ? 0 : -Infinity,
      );
    const options = { scale: 0.8, centre: -Math.log(2), slope: 9 };
    const { mixes } = await mixed({ refine: softMask(options), maxTokens: 4 }, half);
    const alpha = [...mixes[1]!].map(([at, mix]) => [at, mix.alpha]);
    expect(alpha).toEqual([
      [3, expect.closeTo(0.4, 5)],
      [4, expect.closeTo(0.8 / (1 + 2 ** 9), 5)],
      [5, expect.closeTo(0.8 / (1 + 4 ** 9), 5)],
    ]);
  });

  test.each<[SoftMaskOptions, number[]]>([
    [{}, [1, 2, 3, 4, 5, 6, 7]],
    [{ share: 0.5 }, [1, 3, 5, 7]],
    [{ share: 0.8 }, [1, 2, 3, 4, 6, 7]], // due: 0 0.8 1.6 2.4 3.2 4 4.8 5.6 6.4
    [{ share: 0 }, []],
    [{ first: 0.5 }, [1, 2, 3]], // 8 masks: strictly more than half
    [{ first: 0.2 }, [1]],
    [{ first: 0 }, []],
    [{ share: 0.5, first: 0.5 }, [1, 3]],
  ])('%j: soft in forwards %j', async (options, soft) => {
    const refine = softMask({ scale: 0.5, ...options });
    const { mixes } = await mixed({ refine, maxTokens: 8 });
    expect([...mixes.keys()].filter((i) => mixes[i] !== undefined)).toEqual(soft);
  });

  test('linear: scale falls with the masks', async () => {
    const given = { scale: 0.8, slope: 0, centre: 0, linear: true }; // half of scale everywhere
    const { mixes } = await mixed({ refine: softMask(given), maxTokens: 4 });
    const alpha = mixes.map((mix) => mix && Math.max(...[...mix.values()].map((x) => x.alpha)));
    expect(alpha.slice(1)).toEqual([0.3, 0.2, 0.1].map((x) => expect.closeTo(x, 6) as number));
  });

  test('in blocks: the masks of later blocks too; rows left out keep their last prediction', async () => {
    const refine = softMask({ scale: 0.5 });
    const options = { refine, blocks: blocks(3), cache: dualCache() };
    const { mixes } = await mixed(options);
    expect([...mixes[1]!.keys()].filter((i) => i > 4)).toEqual([5, 6, 7]);
    const later = (step: number) => [5, 6, 7].map((i) => mixes[step]!.get(i));
    expect(later(2)).toEqual(later(1));
    expect(later(3)).toEqual(later(1)); // what the first forward said; now all rows are computed
    expect(mixes[4]!.size).toBe(2);
  });

  test('a token taken back is a hard mask at first', async () => {
    const refine = [softMask({ scale: 0.5 }), remask({ k: 2, after: 0.5 })];
    const { mixes, trace } = await mixed({ refine }, scripted([0.3, 0.4, 0.5, 0.6, 0.7, 0.8]));
    const step = trace.findIndex(({ remasked }) => remasked !== undefined);
    const back = trace[step].remasked!;
    expect(back.length).toBe(2);
    for (const position of back) expect(mixes[step + 1]!.has(position)).toBe(false);
    const [[again]] = trace[step + 1].committed;
    const [waiting] = back.filter((position) => position !== again);
    expect(mixes[step + 2]!.has(waiting)).toBe(true);
  });

  test('when positions move, everything is hard for one forward', async () => {
    const length = daedal({ initial: 4, expand: 3, low: 0.4, window: 2 });
    const decode = threshold({ tau: 0.9, strict: true });
    const refine = softMask({ scale: 0.5 });
    const { mixes, trace } = await mixed({ decode, length, refine, maxTokens: 12 });
    const forwards = trace.filter((step) => step.forwards > 0);
    forwards.forEach(({ splices }, i) => {
      if (splices !== undefined && i + 1 < mixes.length) expect(mixes[i + 1]).toBeUndefined();
    });
    expect(mixes.some((mix) => mix !== undefined)).toBe(true);
  });

  test('where MASK takes all, the mask stays hard', async () => {
    const only: Predict = () =>
      Float64Array.from({ length: vocabulary }, (_, v) => (v === mask ? 0 : -2000));
    const { mixes } = await mixed({ refine: softMask({ scale: 1 }) }, only);
    expect(mixes.every((mix) => mix === undefined)).toBe(true);
  });

  test('parameters of the file, of the caller, of the original', async () => {
    const file = { k: 2, scale: 0.3, slope: 4, centre: -1.5 };
    const firstOf = async (options: SoftMaskOptions) => {
      const { mixes } = await mixed({ refine: softMask(options) }, noisy, { softMask: file });
      const [[position, mix]] = mixes[1]!;
      const canvas = Int32Array.of(7, 7, ...new Array<number>(6).fill(mask));
      return [mix, noisy(position, canvas, 0)] as const;
    };
    for (const options of [{}, { k: 1, centre: -0.5 }, { scale: 0.9, slope: 1 }]) {
      const [mix, z] = await firstOf(options);
      expect(mix).toEqual(expected(z, { ...file, ...options }));
    }
    expect(() => generate(new FakeModel(), prompt, { refine: softMask() })).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(
          /softMask\(\): scale must be given.*no parameters/,
        ) as string,
      }),
    );
  });

  test.each<[object, RegExp]>([
    [{ k: 0 }, /softMask\(\): k .*at least 1/],
    [{ scale: 1.1 }, /softMask\(\): scale .*0 to 1/],
    [{ slope: -1 }, /slope/],
    [{ centre: NaN }, /centre/],
    [{ share: 2 }, /share/],
    [{ first: -0.1 }, /first/],
    [{ linear: 1 }, /linear .*true or false/],
    [{ alpha: 1 }, /"alpha".*k, scale, slope/],
  ])('refuses %j', (options, message) => {
    expect(() => softMask(options)).toThrow(message);
  });

  test('scale 0 asks for nothing', async () => {
    const alone = await mixed({});
    const result = await mixed({ refine: softMask({ scale: 0 }) });
    expect(result.trace).toEqual(alone.trace);
    const plain = ({ commit: _, ...request }: object & { commit?: unknown }) => request;
    expect(result.model.requests.map(plain)).toEqual(alone.model.requests.map(plain));
  });
});

describe('with the model in the package', () => {
  let model: Model;
  const path = fileURLToPath(new URL('../../models/shakespeare-7m.Q8_0.gguf', import.meta.url));
  beforeAll(async () => {
    model = await loadModel(path, { device: 'cpu', threads: 1 });
  });
  afterAll(() => model.dispose());

  test('scale 0 is the decoder alone, bit for bit; more is not', async () => {
    const options = { maxTokens: 16, blocks: blocks(8), decode: threshold({ tau: 0.5 }) };
    const write = (refine?: GenerateOptions['refine']) =>
      model.generate('KING:\n', { ...options, refine, stopAtEos: false }).result;
    const commits = async (refine?: GenerateOptions['refine']) =>
      (await write(refine)).trace.map(({ committed }) => committed);
    const alone = await commits();
    expect(await commits(softMask({ scale: 0 }))).toEqual(alone);
    const soft = await commits(softMask({ scale: 0.3 }));
    expect(soft[0]).toEqual(alone[0]); // hard masks at first
    expect(soft).not.toEqual(alone);
  });
});
