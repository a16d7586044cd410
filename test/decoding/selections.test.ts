/** What a step commits, against the originals' rules computed by hand. */
import { describe, expect, test } from 'vitest';
import {
  absoluteBlocks,
  cap,
  dilated,
  entropyBound,
  factor,
  leftToRight,
  localLeap,
  lowConfidence,
  sdar,
  spaced,
  threshold,
  topK,
  type Decoder,
} from '../../lib/decoding/index.js';
import { factsOf } from '../../lib/decoding/named.js';
import { confident, FakeModel, type Predict } from './fake.js';
import { decoded, order, scripted } from './scripted.js';

/** Logits with entropy `h` nats, so that rules on entropy can be checked against sums. */
function withEntropy(h: number): Float64Array {
  let [low, high] = [1 / 16, 1 - 1e-12];
  const entropy = (p: number) => -p * Math.log(p) - (1 - p) * Math.log((1 - p) / 15);
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2;
    if (entropy(middle) > h) low = middle;
    else high = middle;
  }
  return confident(1, low);
}
const entropies = (h: number[]) => new FakeModel((position) => withEntropy(h[position - 2]));

describe('threshold', () => {
  // the golden value of the references: ≥ takes two, > takes one. 0.5 and 0.25 are exact logits.
  test.each([
    [false, [[3, 2], [4]]],
    [true, [[3], [2], [4]]],
  ])('strict %s', async (strict, expected) => {
    const exact: Predict = (position) =>
      position === 2
        ? Float64Array.from({ length: 16 }, (_, t) => (t < 2 ? 0 : -Infinity)) // p = ½
        : confident(1, position === 3 ? 0.9 : 0.3);
    const decode = threshold({ tau: 0.5, strict });
    const { order } = await decoded(new FakeModel(exact), { decode, maxTokens: 3 });
    expect(order).toEqual(expected.map((step) => step.sort()));
  });
});

describe('factor', () => {
  // (n + 1)(1 − c): .02, .3, .8 fails 1? no: ranks need free, .667, .75, .8: .8 > .75 fails at rank 4
  test.each([
    [[0.99, 0.9, 0.8, 0.7, 0.5], false, 3],
    [[0.5, 0.1], false, 1],
    [[0.5, 0.1], true, 2],
    [[0.1], true, 1],
  ])('%j, literal %s: %i', async (p, literal, first) => {
    const steps = await order({ decode: factor({ literal }) }, p);
    expect(steps[0].length).toBe(first);
  });
});

describe('entropyBound', () => {
  const h = [0.05, 0.3, 0.01, 0.02];

  // sums without the largest: 0, .01, .03, .08
  test.each([
    [0.1, 4],
    [0.05, 3],
    [0.02, 2],
    [0, 1],
  ])('gamma %f takes %i', async (gamma, first) => {
    const { order } = await decoded(entropies(h), {
      decode: entropyBound({ gamma }),
      maxTokens: 4,
    });
    expect(order[0]).toEqual([4, 5, 2, 3].slice(0, first).sort());
  });

  test('bits are ln 2 nats', async () => {
    // .08 nats = .1154 bits
    for (const [gamma, first] of [
      [0.116, 4],
      [0.115, 3],
    ]) {
      const decode = entropyBound({ gamma, unit: 'bits' });
      expect((await decoded(entropies(h), { decode, maxTokens: 4 })).order[0].length).toBe(first);
    }
  });

  test('another proxy orders, entropy bounds', async () => {
    const model = new FakeModel();
    await decoded(model, { decode: entropyBound({ proxy: 'margin' }), maxTokens: 4 });
    expect(model.requests[0].commit).toMatchObject({
      score: 'margin',
      select: { kind: 'entropyBound', gamma: 0.1 },
    });
  });
});

describe('sdar', () => {
  const p = [0.9, 0.86, 0.85, 0.2, 0.3, 0.95];

  test('dynamic: all above tau, strictly, or the share', async () => {
    // k = 1: .9, .86, .95 at once; .85 is not above .85
    const one = await order({ decode: sdar() }, p);
    expect(one).toEqual([[2, 3, 7], [4], [6], [5]]);
    // k = 2 of six positions in three steps: never fewer
    const two = await order({ decode: sdar({ steps: 3, tau: 0.94 }) }, p);
    expect(two).toEqual([
      [2, 7],
      [3, 4],
      [5, 6],
    ]);
  });

  test('static: the share of the whole block, the larger ones first', async () => {
    const decode = sdar({ strategy: 'static', steps: 4 });
    expect(await order({ decode }, p)).toEqual([[2, 7], [3, 4], [6], [5]]);
  });

  test('sequential: from the first mask on', async () => {
    const decode = sdar({ strategy: 'sequential', steps: 4 });
    expect(await order({ decode }, p)).toEqual([[2, 3], [4, 5], [6], [7]]);
  });

  test('a share larger than the masks left touches nothing known', async () => {
    // absolute blocks of 8: the first has six masks, shared out as eight: 4 + 4
    for (const strategy of ['static', 'dynamic', 'sequential'] as const) {
      const decode = sdar({ strategy, steps: 2 });
      const steps = await order({ decode, blocks: absoluteBlocks(8) }, p);
      expect(steps.map((step) => step.length)).toEqual([4, 2]);
    }
  });

  test('entropy bounded: the sum itself, strictly below epsilon, at least one', async () => {
    const h = [0.05, 0.3, 0.01, 0.02];
    const first = async (epsilon: number) => {
      const decode = sdar({ strategy: 'entropyBounded', epsilon });
      return (await decoded(entropies(h), { decode, maxTokens: 4 })).order[0];
    };
    // .01, .03, .08, .38
    expect(await first(0.1)).toEqual([2, 4, 5]);
    expect(await first(0.35)).toEqual([2, 4, 5]);
    expect(await first(0.39)).toEqual([2, 3, 4, 5]);
    expect(await first(0.005)).toEqual([4]);
    expect(await first(0)).toEqual([4]);
  });

  test('confidence is that of the tempered distribution', async () => {
    for (const strategy of ['dynamic', 'static', 'sequential', 'entropyBounded'] as const) {
      const model = new FakeModel(scripted(p));
      await decoded(model, { decode: sdar({ strategy }), maxTokens: 6, temperature: 0.5 });
      expect(model.requests[0].sampling?.statistics).toBe('sampled');
    }
  });

  test("an option of another strategy is refused, and steps are no more than a block's positions", async () => {
    expect(() => sdar({ strategy: 'entropyBounded', steps: 4 })).toThrow(
      /strategy entropyBounded: unknown option "steps"; the options are strategy, epsilon/,
    );
    expect(() => sdar({ strategy: 'static', tau: 0.5 })).toThrow(/unknown option "tau"/);
    const decode = sdar({ strategy: 'static', steps: 99 });
    expect((await order({ decode }, p)).length).toBe(6);
  });
});

describe('localLeap', () => {
  test('near an anchor less is enough', async () => {
    // anchor at 4 (.95): .75 suffices at 2 … 6 with radius 2, elsewhere .9
    const p = [0.76, 0.7, 0.95, 0.1, 0.8, 0.8, 0.89];
    expect(await order({ decode: localLeap({ radius: 2 }) }, p)).toEqual([
      [2, 4, 6],
      [8],
      [7],
      [3],
      [5],
    ]);
  });

  test('the default radius is 4, inclusive', async () => {
    const p = [0.8, 0.8, 0.1, 0.1, 0.1, 0.95];
    expect((await order({ decode: localLeap() }, p))[0]).toEqual([3, 7]);
  });

  test('both bounds are inclusive', async () => {
    const half = () => Float64Array.from({ length: 16 }, (_, t) => (t < 2 ? 0 : -Infinity));
    const quarter = () => Float64Array.from({ length: 16 }, (_, t) => (t < 4 ? 0 : -Infinity));
    const model = new FakeModel((position) => (position === 2 ? half() : quarter()));
    const decode = localLeap({ kappa: 0.5, tau: 0.25 });
    expect((await decoded(model, { decode, maxTokens: 3 })).order).toEqual([[2, 3, 4]]);
  });

  test('anchors do not spread: who is near a follower is not near an anchor', async () => {
    const p = [0.95, 0.8, 0.8, 0.8];
    expect((await order({ decode: localLeap({ radius: 1 }) }, p))[0]).toEqual([2, 3]);
  });

  test('without an anchor it is the plain threshold: the best alone', async () => {
    expect(await order({ decode: localLeap() }, [0.8, 0.85, 0.2])).toEqual([[3], [2], [4]]);
  });

  test('tau above kappa is refused', () => {
    expect(() => localLeap({ kappa: 0.5, tau: 0.6 })).toThrow(/tau must be a number from 0 to 0.5/);
    expect(factsOf(localLeap({ kappa: 0.5 })).options).toEqual({ kappa: 0.5 });
  });
});

describe('dilated', () => {
  const sure = (n: number) => new Array<number>(n).fill(0.9);
  const from = (positions: number[]) => positions.map((position) => position + 2);

  test.each([
    [
      8,
      [
        [0, 4],
        [2, 6],
        [1, 3, 5, 7],
      ],
    ],
    [
      6,
      [
        [0, 3],
        [1, 2, 4, 5],
      ],
    ],
    [1, [[0]]],
    [2, [[0, 1]]],
  ])('a block of %i', async (n, levels) => {
    expect(await order({ decode: dilated() }, sure(n))).toEqual(levels.map(from));
  });

  test('a block of 32: strides 16, 8, 4, 2, 1', async () => {
    const steps = await order({ decode: dilated() }, sure(32));
    expect(steps.slice(0, 4)).toEqual(
      [
        [0, 16],
        [8, 24],
        [4, 12, 20, 28],
        [2, 6, 10, 14, 18, 22, 26, 30],
      ].map(from),
    );
    expect(steps.map((step) => step.length)).toEqual([2, 2, 4, 8, 16]);
  });

  test('another base; what no stride reaches is a last level', async () => {
    // 6 / 3 = 2, then 0: the odd ones are left
    const decode = dilated({ base: 3 });
    expect(await order({ decode }, sure(6))).toEqual(
      [
        [0, 2, 4],
        [1, 3, 5],
      ].map(from),
    );
    const skipping = dilated({ skip: 2 });
    expect((await order({ decode: skipping }, sure(8)))[0]).toEqual(from([0, 2, 4, 6]));
  });

  test('merge joins a last level that is smaller than the one before', async () => {
    // 7 / 3 = 2: {0, 2, 4, 6}, left {1, 3, 5}
    expect(await order({ decode: dilated({ base: 3 }) }, sure(7))).toHaveLength(2);
    expect(await order({ decode: dilated({ base: 3, merge: true }) }, sure(7))).toHaveLength(1);
    expect(await order({ decode: dilated({ merge: true }) }, sure(8))).toHaveLength(3);
  });

  test('what is less sure than the floor waits for the next level, and nothing is left', async () => {
    // 2 and 6 are level 0, but 6 is unsure; 4 and 8 level 1; 8 is unsure too
    const p = [0.9, 0.9, 0.9, 0.9, 0.2, 0.9, 0.29, 0.9];
    expect(await order({ decode: dilated() }, p)).toEqual([[2], [4], [3, 5, 6, 7, 8, 9]]);
    expect(await order({ decode: dilated({ floor: 0 }) }, p)).toEqual([
      [2, 6],
      [4, 8],
      [3, 5, 7, 9],
    ]);
  });

  test('asks only for the level that is due', async () => {
    const model = new FakeModel(scripted(sure(8)));
    await decoded(model, { decode: dilated(), maxTokens: 8 });
    expect(model.requests.map(({ query }) => query.length)).toEqual([2, 2, 4]);
  });

  test('positions count from the start of the block; known ones are left out', async () => {
    // absolute blocks of 8 after a prompt of 2: the first has offsets 2 … 7, the second 0 …
    const steps = await order({ decode: dilated(), blocks: absoluteBlocks(8) }, sure(14));
    expect(steps).toEqual([[4], [2, 6], [3, 5, 7], [8, 12], [10, 14], [9, 11, 13, 15]]);
  });
});

describe('cap', () => {
  const p = [0.9, 0.99, 0.95, 0.5, 0.97, 0.96];

  test('the best of what the decoder decides', async () => {
    const decode = cap(threshold({ tau: 0.9 }), { max: 2 });
    expect(await order({ decode }, p)).toEqual([[3, 6], [4, 7], [2], [5]]);
  });

  test("best by the decoder's own score", async () => {
    expect(await order({ decode: cap(leftToRight({ k: 4 }), { max: 3 }) }, p)).toEqual([
      [2, 3, 4],
      [5, 6, 7],
    ]);
    const chosen = cap(localLeap(), { max: 1 });
    expect((await order({ decode: chosen }, p)).flat()).toEqual([3, 6, 7, 4, 2, 5]);
  });

  test("a share of the block's masks: min(max(⌊.7 m⌋, 5), 20)", async () => {
    const wino = { share: 0.7, min: 5, max: 20 };
    const all = threshold({ tau: 0 });
    const counts = async (n: number) =>
      (await order({ decode: cap(all, wino) }, new Array<number>(n).fill(0.9))).map(
        (s) => s.length,
      );
    expect(await counts(40)).toEqual([20, 14, 5, 1]); // 28, 14, 4.2, 1
    expect(await counts(6)).toEqual([5, 1]);
  });

  test('the longest run of the best below a perplexity', async () => {
    const run = (perplexity: number) =>
      order({ decode: cap(threshold({ tau: 0 }), { perplexity }) }, [0.9, 0.5, 0.8, 0.4]);
    // (0.9 · 0.8)^(−1/2) = 1.18, with 0.5 too 1.41, with 0.4 too 1.62
    expect(await run(1.4)).toEqual([[2, 4], [3], [5]]);
    expect(await run(1.42)).toEqual([[2, 3, 4], [5]]);
    expect(await run(1.63)).toEqual([[2, 3, 4, 5]]);
    expect(await run(1)).toEqual([[2], [4], [3], [5]]);
    const most = cap(threshold({ tau: 0 }), { perplexity: 1, min: 3 });
    expect(await order({ decode: most }, [0.9, 0.5, 0.8, 0.4])).toEqual([[2, 3, 4], [5]]);
    expect(() => cap(threshold(), { perplexity: 0.5 })).toThrow(
      /perplexity must be a number of at/,
    );
  });

  test('a decoder that looks keeps its look, and its options are shown', async () => {
    const looking: Decoder =
      () =>
      ({ masked }) => ({
        choose: async (report, look) => {
          await look([{ changes: [{ position: masked[0], token: 3 }] }]);
          return Array.from(report.position, (position, i) => ({
            position,
            token: report.token[i],
          }));
        },
      });
    const { counts, policies } = await decoded(new FakeModel(scripted(p)), {
      decode: cap(looking, { max: 3 }),
      maxTokens: 6,
    });
    expect(counts.commits).toEqual([3, 3]);
    expect(counts.canvases).toBe(4);
    expect(policies.decode).toMatchObject({
      name: 'cap',
      options: { max: 3, decoder: { name: 'looking' } },
    });
  });

  test.each<[Decoder, RegExp]>([
    [
      lowConfidence(),
      /one without a schedule, whose last step would leave masks, but is "lowConfidence/,
    ],
    ['threshold' as never, /cap\(\): decoder must be a decoder/],
  ])('is not for every decoder', (decoder, message) => {
    expect(() => cap(decoder, { max: 1 })).toThrow(message);
  });
});

describe('spaced', () => {
  test('tokens of a step keep the gap, which shrinks with the masks', async () => {
    const p = Array.from({ length: 16 }, (_, i) => 0.98 - i / 500);
    const steps = await order({ decode: spaced(threshold(), { gap: 8 }) }, p);
    // 16 masks of 16: 8 apart; 14: 7; 11 or fewer: ⌊11 · 8 / 16⌋ = 5 …
    expect(steps[0]).toEqual([2, 10]);
    expect(steps[1]).toEqual([3, 11]);
    for (const step of steps) {
      step.slice(1).forEach((position, i) => expect(position - step[i]).toBeGreaterThanOrEqual(2));
    }
    expect(steps.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, i) => i + 2));
  });

  test('the surest first', async () => {
    const decode = spaced(topK({ k: 3 }), { gap: 4 });
    // gaps of 4, 3 and 2: 3 alone; 4, which is too near to 2 and 5; both of these
    expect(await order({ decode }, [0.8, 0.99, 0.95, 0.9])).toEqual([[3], [4], [2, 5]]);
  });
});
