/** One-shot dynamic thresholds: how sure a model was on one prompt sets the thresholds for others. */
import { generate } from '../generate.js';
import type { GenerateOptions, GenerationModel, Prompt } from '../plan.js';
import { integer, invalid, knownKeys, list, number, object, oneOf } from '../validate.js';
import { named } from './named.js';
import type { Decoder, Refinement } from './policy.js';
import { threshold } from './threshold.js';

const granularities = ['block', 'step'] as const;
const metrics = ['mean', 'q1', 'median', 'q3', 'whisker'] as const;

/** What `calibrate` finds, as `lacuna calibrate` writes it to a JSON file. */
export interface ThresholdProfile {
  kind: 'thresholds';
  granularity: (typeof granularities)[number];
  metric: (typeof metrics)[number];
  /** The highest threshold, whatever was recorded. */
  cap: number;
  /** How far, as a share, the thresholds lie below what was recorded. */
  slack: number;
  /** The metric over everything: for blocks that were not calibrated. */
  overall: number;
  /** (blocks, steps or 1) The metric of each block, or of each step of each block. */
  thresholds: number[][];
}

export interface CalibrateOptions extends Omit<GenerateOptions, 'decode'> {
  /** One threshold for each `'block'` (default), or for each `'step'` of each block. */
  granularity?: ThresholdProfile['granularity'];
  /**
   * Of the recorded confidences: the mean, a quartile (default `'median'`), or the lower `'whisker'` of
   * a box plot, the smallest one that is at least q1 − 1.5·(q3 − q1).
   */
  metric?: ThresholdProfile['metric'];
  /** Default 0.9. */
  cap?: number;
  /** Default 0.1. */
  slack?: number;
}

/**
 * Records a confidence signature on one prompt, decoded with `threshold({ tau: cap })`: at each step
 * the probabilities of the proposals at all masked positions of the active block, before any of them
 * is committed.
 *
 * The paper has two phases, two granularities and a metric; its formula for cap and slack, what
 * exactly is recorded, and its best settings could not be verified: population, defaults and the
 * behaviour beyond the calibrated steps are ours.
 * Source: OSDT (arXiv 2511.02077).
 *
 * @param options those of `generate` but `decode`, and how to summarise. Throws `INVALID_ARGUMENT`.
 */
export async function calibrate(
  model: GenerationModel,
  prompt: Prompt,
  options: CalibrateOptions = {},
): Promise<ThresholdProfile> {
  const { granularity = 'block', metric = 'median', cap = 0.9, slack = 0.1, ...rest } = options;
  checkSummary('calibrate options', { granularity, metric, cap, slack });
  const record: number[][][] = []; // block, step, confidences
  const { refine = [], ...run } = rest;
  const others: readonly Refinement[] = typeof refine === 'function' ? [refine] : refine;
  const decode = threshold({ tau: cap });
  const recorder = recording(record);
  await generate(model, prompt, { ...run, decode, refine: [recorder, ...others] }).result;
  const summary = metricOf[metric];
  const thresholds = record.map((steps) =>
    granularity === 'step' || steps.length === 0 ? steps.map(summary) : [summary(steps.flat())],
  );
  const overall = summary(record.flat(2));
  return { kind: 'thresholds', granularity, metric, cap, slack, overall, thresholds };
}

function recording(record: number[][][]): Refinement {
  const refinement: Refinement = () => ({
    ask: ({ masked }) => ({ query: masked }),
    revise: ({ block }, { probability }) => {
      if (probability.length === 0) return undefined;
      while (record.length <= block) record.push([]);
      record[block].push([...probability]);
      return undefined;
    },
  });
  return named('calibrate', {}, refinement);
}

/**
 * The threshold decoder with thresholds from `calibrate`: tau = min(T, cap) · (1 − slack) with the T
 * of the block, or of the block's step; a step beyond the calibrated ones takes the last T of its
 * block, a block beyond them the T over everything. All proposals with p ≥ tau are committed, the best
 * one in any case.
 * Source: OSDT (arXiv 2511.02077); see `calibrate` for what is ours.
 * @param options `profile`; `cap` and `slack` default to those of the profile
 */
export function osdt(options: {
  profile: ThresholdProfile;
  cap?: number;
  slack?: number;
}): Decoder {
  const name = 'osdt()';
  knownKeys(name, options, ['profile', 'cap', 'slack']);
  const { thresholds, overall, granularity, metric, ...own } = checkProfile(options.profile);
  const { cap = own.cap, slack = own.slack } = options;
  checkSummary(name, { granularity, metric, cap, slack });
  const decoder: Decoder =
    () =>
    ({ block, blockStep }) => {
      const steps = thresholds.at(block) ?? [];
      const recorded = steps.at(Math.min(blockStep, steps.length - 1)) ?? overall;
      const tau = Math.min(recorded, cap) * (1 - slack);
      return { commit: { select: { kind: 'threshold', tau } } };
    };
  return named('osdt', { granularity, metric, cap, slack }, decoder);
}

const metricOf: Record<ThresholdProfile['metric'], (values: readonly number[]) => number> = {
  mean: (values) => values.reduce((sum, value) => sum + value, 0) / values.length,
  q1: (values) => quantile(values, 0.25),
  median: (values) => quantile(values, 0.5),
  q3: (values) => quantile(values, 0.75),
  whisker: (values) => {
    const [q1, q3] = [quantile(values, 0.25), quantile(values, 0.75)];
    return Math.min(...values.filter((value) => value >= q1 - 1.5 * (q3 - q1)));
  },
};

/** Linear between the two nearest ranks. */
function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = share * (sorted.length - 1);
  const below = sorted[Math.floor(rank)];
  return below + (rank % 1) * (sorted[Math.ceil(rank)] - below);
}

type Summary = Pick<ThresholdProfile, 'granularity' | 'metric' | 'cap' | 'slack'>;

function checkSummary(name: string, { granularity, metric, cap, slack }: Summary): void {
  oneOf(`${name}: granularity`, granularity, granularities);
  oneOf(`${name}: metric`, metric, metrics);
  number(`${name}: cap`, cap, { min: 0, max: 1 });
  number(`${name}: slack`, slack, { min: 0, max: 1 });
}

function checkProfile(value: unknown): ThresholdProfile {
  const { kind } = object('profile', value);
  if (kind !== 'thresholds') invalid('profile.kind', kind, '"thresholds"');
  const keys = ['kind', 'granularity', 'metric', 'cap', 'slack', 'overall', 'thresholds'];
  knownKeys('profile', value, keys);
  const profile = value as ThresholdProfile;
  checkSummary('profile', profile);
  const share = (name: string, x: unknown) => number(name, x, { min: 0, max: 1 });
  share('profile.overall', profile.overall);
  const blocks = list('profile.thresholds', profile.thresholds);
  integer('profile.thresholds: blocks', blocks.length, { min: 1 });
  blocks.forEach((steps, i) =>
    list(`profile.thresholds[${i}]`, steps).forEach((x, j) =>
      share(`profile.thresholds[${i}][${j}]`, x),
    ),
  );
  return profile;
}
