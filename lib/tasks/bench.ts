/** The benchmark: every strategy at every value on every task. */
import type { BlockPlan } from '../decoding/policy.js';
import { throwIfAborted, type GenerationResult } from '../generation.js';
import { wilson } from '../measure/interval.js';
import type { GenerateOptions } from '../plan.js';
import { integer, knownKeys, list, number, oneOf } from '../validate.js';
import { taskInstance, taskNames, type TaskInstance, type TaskName } from './index.js';
import { hash } from './random.js';
import { strategies, strategyNames, strategyOptions, type StrategyName } from './strategies.js';
import type { Subject } from './subject.js';

export interface BenchOptions {
  /** Default: all. */
  tasks?: readonly TaskName[];
  strategies?: readonly StrategyName[];
  /** Of the sweeps, these values alone. Default: all of each strategy. */
  values?: readonly number[];
  /** Instances of each task, at least 1. Default 50. */
  samples?: number;
  /** Their size; default: all sizes of the task. */
  n?: number;
  /** Default `[0, 1]`. */
  temperatures?: readonly number[];
  /** Default: the whole answer at once; a strategy with blocks of its own has its way. */
  blocks?: BlockPlan;
  /** More options for each run, such as `refine`; those of the strategy have their way over them. */
  options?: GenerateOptions;
  /** Of instances and of all random choices. Default 0. */
  seed?: number;
  signal?: AbortSignal;
  onRun?: (run: BenchRun, done: number, of: number) => void;
}

/** A strategy at a value of its parameter, on one task. */
export interface BenchSetting {
  task: TaskName;
  strategy: StrategyName;
  /** Of the strategy's parameter. */
  value: number;
  temperature: number;
}

export interface BenchRun extends BenchSetting {
  instance: TaskInstance;
  result: GenerationResult;
  text: string;
  right: boolean;
}

/** What was counted over the instances of a task, or over several tasks. */
export interface Score {
  samples: number;
  right: number;
  /** right / samples */
  accuracy: number;
  /** 95 %, Wilson. */
  interval: [low: number, high: number];
  tokens: number;
  /** One after the other. */
  forwards: number;
  /** Canvases that the forwards computed: more than forwards where a decoder looks ahead. */
  canvases: number;
  tokensPerForward: number;
}

export type BenchPoint = BenchSetting & Score;

const optionNames = [
  ...['tasks', 'strategies', 'samples', 'n', 'temperatures', 'blocks', 'options', 'seed'],
  ...['values', 'signal', 'onRun'],
];

/**
 * Runs every strategy at every value of its parameter and every temperature on the same test
 * instances of each task. Rejects with `INVALID_ARGUMENT`, `ABORTED` and what a generation rejects with.
 *
 * @returns by task, temperature, strategy and value, in the order of the options
 */
export async function parallelbench(
  subject: Subject,
  given: BenchOptions = {},
): Promise<BenchPoint[]> {
  const options = checked(given);
  const jobs = options.tasks.flatMap((task) => jobsOf(task, options));
  const scores = new Map<BenchSetting, Sums>();
  let done = 0;
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < jobs.length) {
      if (options.signal) throwIfAborted(options.signal);
      const { setting, instance, index } = jobs[next++];
      const run = await runOne(subject, setting, instance, index, options);
      const { tokens, forwards, counts } = run.result;
      const { canvases } = counts;
      const sums = {
        samples: 1,
        right: Number(run.right),
        tokens: tokens.length,
        forwards,
        canvases,
      };
      scores.set(setting, added(scores.get(setting) ?? none(), sums));
      options.onRun?.(run, ++done, jobs.length);
    }
  };
  await Promise.all(Array.from({ length: subject.width }, work));
  const settings = new Set(jobs.map(({ setting }) => setting));
  return [...settings].map((setting) => ({ ...setting, ...scored(scores.get(setting)!) }));
}

function checked(given: BenchOptions) {
  const name = 'parallelbench';
  knownKeys(`${name} options`, given, optionNames);
  const { tasks = taskNames, strategies = strategyNames, temperatures = [0, 1] } = given;
  list(`${name}: tasks`, tasks).forEach((task) => oneOf(`${name}: tasks`, task, taskNames));
  list(`${name}: strategies`, strategies).forEach((strategy) =>
    oneOf(`${name}: strategies`, strategy, strategyNames),
  );
  list(`${name}: values`, given.values ?? []).forEach((value) => number(`${name}: values`, value));
  for (const value of temperatures) number(`${name}: temperatures`, value, { min: 0 });
  const samples = integer(`${name}: samples`, given.samples ?? 50, { min: 1 });
  const seed = integer(`${name}: seed`, given.seed ?? 0, { min: 0 });
  return { ...given, tasks, strategies, temperatures, samples, seed };
}

type Checked = ReturnType<typeof checked>;

interface Job {
  setting: BenchSetting;
  instance: TaskInstance;
  index: number;
}

function jobsOf(task: TaskName, options: Checked): Job[] {
  const { samples, seed, n, temperatures } = options;
  const instances = Array.from({ length: samples }, (_, index) =>
    taskInstance(task, { n, seed, index, split: 'test' }),
  );
  const longest = Math.max(...instances.map(({ answer }) => answer.split(' ').length));
  const settings = temperatures.flatMap((temperature) =>
    options.strategies.flatMap((strategy) =>
      valuesFor(strategy, longest, options.values).map((value) => ({
        task,
        strategy,
        value,
        temperature,
      })),
    ),
  );
  return settings.flatMap((setting) =>
    instances.map((instance, index) => ({ setting, instance, index })),
  );
}

/** Without the counts beyond the one that commits the longest answer at once. */
function valuesFor(strategy: StrategyName, longest: number, wanted?: readonly number[]): number[] {
  const { values, parameter } = strategies[strategy];
  const counts = parameter === 'k' || parameter === 'tokens a step';
  return values.filter(
    (value, i) =>
      (wanted?.includes(value) ?? true) && (!counts || i === 0 || values[i - 1] < longest),
  );
}

async function runOne(
  subject: Subject,
  setting: BenchSetting,
  instance: TaskInstance,
  index: number,
  { seed, blocks, options }: Checked,
): Promise<BenchRun> {
  const { task, strategy, value, temperature } = setting;
  const { text, result } = await subject.run(instance, (about) => ({
    ...options,
    ...strategyOptions(strategy, value, about, blocks),
    temperature,
    seed: hash(`${seed} ${task} ${index}`),
    stopAtEos: false,
  }));
  return { ...setting, instance, result, text, right: instance.check(text) };
}

type Sums = Omit<Score, 'accuracy' | 'interval' | 'tokensPerForward'>;

function none(): Sums {
  return { samples: 0, right: 0, tokens: 0, forwards: 0, canvases: 0 };
}

function added(a: Sums, b: Sums): Sums {
  return {
    samples: a.samples + b.samples,
    right: a.right + b.right,
    tokens: a.tokens + b.tokens,
    forwards: a.forwards + b.forwards,
    canvases: a.canvases + b.canvases,
  };
}

function scored({ samples, right, tokens, forwards, canvases }: Sums): Score {
  return {
    ...{ samples, right, accuracy: right / samples, interval: wilson(right, samples) },
    ...{ tokens, forwards, canvases, tokensPerForward: tokens / forwards },
  };
}

/** A strategy at a value, over all tasks: every instance counts the same. */
export type CurvePoint = Omit<BenchSetting, 'task'> & Score;

/**
 * @returns by temperature, strategy and value. A sweep over counts ends for a task where everything is
 *   committed at once; beyond that its last point stands for it.
 */
export function overTasks(points: readonly BenchPoint[]): CurvePoint[] {
  const sweeps = new Map<string, Map<TaskName, BenchPoint[]>>();
  for (const point of points) {
    const key = `${point.temperature} ${point.strategy}`;
    const sweep = sweeps.get(key) ?? new Map<TaskName, BenchPoint[]>();
    sweeps.set(key, sweep.set(point.task, [...(sweep.get(point.task) ?? []), point]));
  }
  return [...sweeps.values()].flatMap((sweep) => {
    const tasks = [...sweep.values()];
    const [longest] = tasks.toSorted((a, b) => b.length - a.length);
    return longest.map(({ strategy, value, temperature }) => {
      const members = tasks.map((some) => some.find((p) => p.value === value) ?? some.at(-1)!);
      return { strategy, value, temperature, ...scored(members.reduce<Sums>(added, none())) };
    });
  });
}

/** How fast a strategy is where it is still accurate. */
export interface Fastest {
  strategy: StrategyName;
  temperature: number;
  /** The most accurate point of the sweep. */
  best: CurvePoint;
  /** The fastest point with at least `share` of the reference's accuracy; `undefined` if there is none. */
  point: CurvePoint | undefined;
}

/**
 * Tokens per forward at `share` of what `confidence` reaches one token at a time, at the same
 * temperature: of the measured points, nothing between them. Without that strategy among the points
 * there is no reference and no answer.
 */
export function fastest(curve: readonly CurvePoint[], share = 0.8): Fastest[] {
  const keys = new Set(curve.map(({ strategy, temperature }) => `${temperature} ${strategy}`));
  return [...keys].map((key) => {
    const sweep = curve.filter((p) => `${p.temperature} ${p.strategy}` === key);
    const [{ strategy, temperature }] = sweep;
    const reference = curve.find(
      (p) => p.strategy === 'confidence' && p.value === 1 && p.temperature === temperature,
    );
    const enough = sweep.filter(
      ({ accuracy }) => reference !== undefined && accuracy >= share * reference.accuracy,
    );
    const [point] = enough.toSorted((a, b) => b.tokensPerForward - a.tokensPerForward);
    const [best] = sweep.toSorted((a, b) => b.accuracy - a.accuracy);
    return { strategy, temperature, best, point: best.right === 0 ? undefined : point };
  });
}
