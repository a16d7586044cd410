/** Thresholds that one run records and others use. */
import { describe, expect, test } from 'vitest';
import {
  blocks,
  calibrate,
  osdt,
  threshold,
  type CalibrateOptions,
  type ThresholdProfile,
} from '../../lib/decoding/index.js';
import { FakeModel } from './fake.js';
import { decoded, order, prompt, scripted } from './scripted.js';

const p = [0.95, 0.5, 0.7, 0.6, 0.98, 0.92, 0.8, 0.3];
const calibrated = (options: CalibrateOptions = {}) =>
  calibrate(new FakeModel(scripted(p)), prompt, {
    maxTokens: 8,
    blocks: blocks(4),
    stopAtEos: false,
    ...options,
  });
const rounded = (values: number[][]) =>
  values.map((row) => row.map((x) => Math.round(x * 1e4) / 1e4));

describe('calibrate', () => {
  // At tau .9 the first block's masks before each commit are .95 .5 .7 .6 | .5 .7 .6 | .5 .6 | .5,
  // the second's .98 .92 .8 .3 | .8 .3 | .3
  test.each<[ThresholdProfile['metric'], number[][], number]>([
    ['mean', [[0.615], [0.6286]], 0.6206],
    ['median', [[0.6], [0.8]], 0.6],
    ['q1', [[0.5], [0.3]], 0.5],
    // ranks 6.75 of ten: between .6 and .7; 4.5 of seven: between .8 and .92
    ['q3', [[0.675], [0.86]], 0.8],
    ['whisker', [[0.5], [0.3]], 0.3],
  ])('%s of each block', async (metric, expected, overall) => {
    const profile = await calibrated({ metric });
    expect(rounded(profile.thresholds)).toEqual(expected);
    expect(profile.overall).toBeCloseTo(overall, 3);
    expect(profile).toMatchObject({ kind: 'thresholds', metric, granularity: 'block' });
  });

  test('of each step of each block', async () => {
    const profile = await calibrated({ granularity: 'step', metric: 'mean', cap: 0.9, slack: 0.2 });
    expect(rounded(profile.thresholds)).toEqual([
      [0.6875, 0.6, 0.55, 0.5],
      [0.75, 0.55, 0.3],
    ]);
    expect(profile).toMatchObject({ cap: 0.9, slack: 0.2 });
  });

  test('the whisker leaves outliers out', async () => {
    const outlier = [0.9, 0.89, 0.88, 0.87, 0.86, 0.2].map((x) => x - 0.01);
    const model = new FakeModel(scripted(outlier));
    // the first step has .19 … .89: q1 = .8525, q3 = .8775; 1.5 · .025 below q1 is .815
    const profile = await calibrate(model, prompt, {
      ...{ maxTokens: 6, blocks: blocks(6), stopAtEos: false },
      ...{ metric: 'whisker', granularity: 'step', cap: 0.95 },
    });
    expect(profile.thresholds[0][0]).toBeCloseTo(0.85, 6);
  });

  test('decodes with the cap as a fixed threshold', async () => {
    const model = new FakeModel(scripted(p));
    const run = { maxTokens: 8, blocks: blocks(4), stopAtEos: false };
    await calibrate(model, prompt, { ...run, cap: 0.6 });
    const plain = new FakeModel(scripted(p));
    await decoded(plain, { ...run, decode: threshold({ tau: 0.6 }) });
    expect(model.requests.length).toBe(plain.requests.length);
    expect(model.sessions[0].canvas).toEqual(plain.sessions[0].canvas);
  });

  test.each([
    [{ metric: 'mode' }, /calibrate options: metric/],
    [{ granularity: 'token' }, /calibrate options: granularity/],
    [{ cap: 2 }, /calibrate options: cap/],
    [{ slack: -1 }, /calibrate options: slack/],
    [{ blockLength: 3 }, /unknown option "blockLength"/],
  ])('%j is refused', async (options, message) => {
    await expect(calibrated(options as never)).rejects.toThrow(message);
  });
});

describe('osdt', () => {
  const profile: ThresholdProfile = {
    kind: 'thresholds',
    granularity: 'step',
    metric: 'mean',
    cap: 0.9,
    slack: 0,
    overall: 0.55,
    thresholds: [[0.94, 0.65]],
  };
  const taus = async (options: Parameters<typeof osdt>[0]) => {
    const model = new FakeModel(scripted(p));
    await decoded(model, { decode: osdt(options), maxTokens: 8, blocks: blocks(4) });
    return model.requests.map(({ commit }) => (commit!.select as { tau: number }).tau);
  };

  test('τ = min(T, cap) · (1 − slack), by block and step', async () => {
    // block 0: .94 capped to .9, then .65; a step beyond takes .65 again. Block 1: overall
    expect(await taus({ profile })).toEqual([0.9, 0.65, 0.65, 0.65, 0.55, 0.55]);
    const slack = await taus({ profile, cap: 0.6, slack: 0.5 });
    expect(slack.slice(0, 2)).toEqual([0.3, 0.275]);
  });

  test('commits with p ≥ τ, the best in any case', async () => {
    expect(await order({ decode: osdt({ profile }), blocks: blocks(4) }, p)).toEqual([
      [2],
      [4],
      [5],
      [3],
      [6, 7, 8],
      [9],
    ]);
  });

  test('one threshold for a block serves all its steps; a block without any takes the overall one', async () => {
    const coarse = { ...profile, granularity: 'block', thresholds: [[], [0.85]] } as const;
    expect(await taus({ profile: coarse as never })).toEqual([0.55, 0.55, 0.85, 0.85, 0.85]);
  });

  test('a recorded profile goes through a file and repeats the run it came from or beats it', async () => {
    const copy = JSON.parse(JSON.stringify(await calibrated())) as ThresholdProfile;
    const run = { maxTokens: 8, blocks: blocks(4) };
    const fixed = await decoded(new FakeModel(scripted(p)), { ...run, decode: threshold() });
    const adaptive = await decoded(new FakeModel(scripted(p)), {
      ...run,
      decode: osdt({ profile: copy }),
    });
    expect(adaptive.canvas).toEqual(fixed.canvas);
    expect(adaptive.forwards).toBeLessThan(fixed.forwards);
    expect(adaptive.policies.decode.options).toEqual({
      ...{ granularity: 'block', metric: 'median', cap: 0.9, slack: 0.1 },
    });
  });

  test.each<[unknown, RegExp]>([
    [undefined, /profile.kind must be "thresholds"/],
    [{ ...profile, metric: 'mode' }, /profile: metric/],
    [{ ...profile, overall: null }, /profile.overall must be a number from 0 to 1/],
    [{ ...profile, thresholds: [] }, /profile.thresholds: blocks/],
    [{ ...profile, thresholds: [[0.5], 3] }, /profile.thresholds\[1\] must be an array/],
    [{ ...profile, thresholds: [[0.5, 2]] }, /profile.thresholds\[0\]\[1\] must be a number/],
  ])('%j is no profile', (value, message) => {
    expect(() => osdt({ profile: value as ThresholdProfile })).toThrow(message);
  });
});
