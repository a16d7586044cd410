/** `lacuna parallelbench`: how much is lost by committing several tokens at once. */
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { blocks } from '../decoding/blocks.js';
import { fastest, overTasks, parallelbench, type BenchPoint } from '../tasks/bench.js';
import { taskCorpus, taskNames, taskWords, type Split, type TaskName } from '../tasks/index.js';
import { strategies, strategyNames, type StrategyName } from '../tasks/strategies.js';
import { modelSubject, oracleSubject, type Subject } from '../tasks/subject.js';
import { loadVega, type Vega } from './chart.js';
import { curvesChart } from './curves.js';
import { fileError, writeJson, writeText } from './files.js';
import { fields, plural, table } from './format.js';
import { interruptible } from './interrupt.js';
import {
  choice,
  defined,
  loadOptions,
  machineOptions,
  overrideOptions,
  real,
  UsageError,
  whole,
  type ModelFlags,
} from './options.js';
import { note } from './progress.js';
import { withModel } from './show.js';

interface ParallelbenchFlags extends ModelFlags {
  oracle?: boolean;
  tasks: TaskName[];
  strategies: StrategyName[];
  values?: number[];
  samples: number;
  size?: number;
  temperatures: number[];
  blockLength?: number;
  batch: number;
  seed: number;
  output?: string;
  chart?: string;
  writeCorpus?: string;
  writeWords?: string;
  count: number;
  split: Split;
}

export function parallelbenchCommand(): Command {
  const command = new Command('parallelbench')
    .description(
      'Tasks with exact checkers, after ParallelBench, decoded by every strategy at several speeds: ' +
        'what is lost by committing several tokens at once.',
    )
    .summary('accuracy against tokens per forward')
    .argument('[model]', 'GGUF file of a model trained on these tasks')
    .option('--oracle', 'in place of a model one that knows the exact marginals')
    .optionsGroup('Tasks:')
    .addOption(
      new Option('--tasks <names>', 'with commas between')
        .argParser(names('task', taskNames))
        .default(taskNames, 'all'),
    )
    .option('--samples <n>', 'instances of each task', whole(1), 50)
    .option('--size <n>', 'their n (default: all that the task has)', whole(1))
    .option('--seed <n>', 'of instances and of all random choices', whole(0), 0)
    .optionsGroup('Decoding:')
    .addOption(
      new Option('--strategies <names>', 'with commas between, see below')
        .argParser(names('strategy', strategyNames))
        .default(strategyNames, 'all'),
    )
    .option('--values <list>', 'of what a strategy sweeps, these values alone', numbers)
    .addOption(
      new Option('--temperatures <list>', 'with commas between')
        .argParser(numbers)
        .default([0, 1], '0,1'),
    )
    .option('--block-length <n>', 'work block by block (default: all at once)', whole(1))
    .option('--batch <n>', 'runs that share their forwards', whole(1, 256), 16)
    .optionsGroup('Output:')
    .option('-o, --output <file>', 'write every point as JSON')
    .option(
      '--chart <file>',
      'draw the curves as SVG, those of each temperature to FILE with its number before the ' +
        'extension if there are several; needs the package vega: npm install vega@6',
    )
    .optionsGroup('Corpus:')
    .option('--write-corpus <file>', 'write tasks with answers, one JSON object a line')
    .option('--count <n>', 'how many', whole(1, 100_000_000), 100_000)
    .addOption(
      choice('--split <name>', 'instances to train on, or those held out', [
        'train',
        'test',
      ]).default('train'),
    )
    .option('--write-words <file>', 'write the list of all words of prompts and answers, as JSON');
  machineOptions(command);
  overrideOptions(command);
  return command
    .addHelpText('after', `\nStrategies, and what is swept:\n${strategyHelp()}`)
    .action(run);
}

function strategyHelp(): string {
  return fields(
    strategyNames.map((name) => {
      const { about, parameter, values } = strategies[name];
      return [`  ${name}`, `${about}; ${parameter} ${values.join(', ')}`];
    }),
  );
}

async function run(path: string | undefined, flags: ParallelbenchFlags): Promise<void> {
  const writes = flags.writeCorpus !== undefined || flags.writeWords !== undefined;
  const subjects = Number(path !== undefined) + Number(flags.oracle === true);
  if (subjects > 1 || (subjects === 0 && !writes)) {
    throw new UsageError('parallelbench needs a model or --oracle, or --write-corpus');
  }
  if (flags.writeWords !== undefined) await writeJson(flags.writeWords, taskWords, '--write-words');
  if (flags.writeCorpus !== undefined) await writeCorpus(flags.writeCorpus, flags);
  if (subjects === 1) await bench(path, flags);
}

async function bench(path: string | undefined, flags: ParallelbenchFlags): Promise<void> {
  const vega = flags.chart === undefined ? undefined : await loadVega(); // before the long work
  const points = await interruptible(
    () => note(process.stderr, ''),
    (signal) =>
      path === undefined
        ? measured(oracleSubject(), flags, signal)
        : withModel(path, loadOptions(flags), signal, (model) =>
            measured(modelSubject(model, flags.batch), flags, signal),
          ),
  );
  process.stdout.write(`${report(points)}\n`);
  if (flags.output !== undefined) await writeJson(flags.output, points);
  if (vega !== undefined) await writeCharts(vega, points, path, flags);
}

async function measured(
  subject: Subject,
  flags: ParallelbenchFlags,
  signal: AbortSignal,
): Promise<BenchPoint[]> {
  const { tasks, strategies, values, samples, size: n, temperatures, blockLength, seed } = flags;
  const onRun = (_: unknown, done: number, of: number) =>
    note(process.stderr, `${Math.floor((100 * done) / of)} % of ${plural(of, 'run')}`);
  const plan = blockLength === undefined ? undefined : blocks(blockLength);
  const swept = { strategies, values, temperatures, blocks: plan };
  const options = { tasks, samples, n, seed, ...swept, signal, onRun };
  const points = await parallelbench(subject, defined(options));
  note(process.stderr, '');
  return points;
}

/** Curves over all tasks, then how fast each strategy is where it is still accurate. */
function report(points: readonly BenchPoint[]): string {
  const curve = overTasks(points);
  const rows = curve.map(({ strategy, temperature, value, ...score }) => [
    ...[strategy, String(temperature), `${strategies[strategy].parameter} ${value}`],
    ...[percent(score.accuracy), score.interval.map((p) => (100 * p).toFixed(1)).join(' … ')],
    score.tokensPerForward.toFixed(2),
  ]);
  const header = ['strategy', '>T', 'at', '>right', '>95 %', '>tokens/forward'];
  const summary = fastest(curve).map(({ strategy, temperature, best, point }) => [
    ...[strategy, String(temperature), percent(best.accuracy)],
    ...(point === undefined
      ? ['–', '–', '–']
      : [
          point.tokensPerForward.toFixed(2),
          percent(point.accuracy),
          `${strategies[strategy].parameter} ${point.value}`,
        ]),
  ]);
  const fast = ['strategy', '>T', '>best', '>tokens/forward', '>right', 'at'];
  const title = 'Fastest with at least 80 % of what confidence gets right one by one:';
  return `${table(header, rows)}\n\n${title}\n${table(fast, summary)}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

async function writeCharts(
  vega: Vega,
  points: readonly BenchPoint[],
  path: string | undefined,
  { chart = '', temperatures, samples, blockLength }: ParallelbenchFlags,
): Promise<void> {
  const name = path === undefined ? 'the oracle' : basename(path);
  const order = blockLength === undefined ? 'all at once' : `blocks of ${blockLength}`;
  for (const t of temperatures) {
    const some = points.filter(({ temperature }) => temperature === t);
    const about = `${plural(samples, 'instance')} of each task, temperature ${t}, ${order}; bars: 95 %`;
    const title = `Accuracy against tokens per forward, ${name}`;
    const file = temperatures.length === 1 ? chart : chart.replace(/(\.[^.]*)?$/, `-${t}$1`);
    await writeText('--chart', file, await curvesChart(vega, some, { title, about }));
  }
}

async function writeCorpus(path: string, flags: ParallelbenchFlags): Promise<void> {
  const { count, tasks, seed, split } = flags;
  try {
    const file = await open(path, 'w');
    try {
      let lines = '';
      for (const { task, n, prompt, answer } of taskCorpus(count, { tasks, seed, split })) {
        lines += `${JSON.stringify({ task, n, prompt, answer })}\n`;
        if (lines.length < 1 << 16) continue;
        await file.write(lines);
        lines = '';
      }
      await file.write(lines);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw fileError('--write-corpus', cause);
  }
}

function names<Name extends string>(kind: string, known: readonly Name[]) {
  return (text: string): Name[] => {
    const given = text.split(',').map((name) => name.trim());
    const unknown = given.find((name) => !(known as readonly string[]).includes(name));
    if (unknown === undefined) return given as Name[];
    throw new InvalidArgumentError(
      `There is no ${kind} ${unknown}; there are ${known.join(', ')}.`,
    );
  };
}

function numbers(text: string): number[] {
  return text.split(',').map(real(0));
}
