/** `lacuna bench`: how fast this machine runs a model. */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { syntheticShapes, writeSynthetic, type SyntheticShapeName } from '../gguf/synthetic.js';
import { fileTypes, type FileType } from '../gguf/types.js';
import type { Model } from '../model.js';
import { benchCacheCommand } from './bench-cache.js';
import { bytes, count, digits3, duration, fields, table } from './format.js';
import { interruptible } from './interrupt.js';
import {
  measureModel,
  measurePeak,
  type Measurements,
  type Peak,
  type StepMeasurement,
} from './speed.js';
import {
  choice,
  embeddedModel,
  loadOptions,
  machineOptions,
  overrideOptions,
  UsageError,
  version,
  whole,
  type ModelFlags,
} from './options.js';
import { note } from './progress.js';
import { withModel } from './show.js';

interface BenchFlags extends ModelFlags {
  synthetic?: SyntheticShapeName;
  type: FileType;
  vocabulary?: number;
  rows: number;
  canvas?: number;
  peak?: boolean;
  json?: boolean;
}

/** Where a bench ran, and on which model. */
export interface Machine {
  lacuna: string;
  node: string;
  cpu: string;
  threads: number;
  model: {
    architecture: string;
    name: string;
    parameters: number;
    weightBytes: number;
    backend: string;
  };
}

interface Report extends Measurements, Machine {
  /** Milliseconds. */
  load: number;
  peak?: Peak;
}

export function benchCommand(): Command {
  const command = new Command('bench')
    .description(
      'Measures how fast this machine runs a model: a whole forward, a step of one block with the ' +
        'dual cache, and a generation from end to end. Steps are medians of several runs.',
    )
    .summary('measure how fast this machine runs a model')
    .argument('[model]', 'GGUF file (default: the small Shakespeare model in the package)')
    .optionsGroup('What to measure:')
    .addOption(
      choice(
        '--synthetic <shape>',
        'instead of a file: random weights, written to a temporary folder',
        Object.keys(syntheticShapes),
      ),
    )
    .addOption(choice('--type <name>', 'tensor type of --synthetic', fileTypes).default('Q8_0'))
    .option('--vocabulary <n>', 'tokens of --synthetic (default: by shape)', whole(256))
    .option('--rows <n>', 'rows of the whole forward', whole(1), 256)
    .option('--canvas <n>', 'canvas length, at least the rows (default: the rows)', whole(1))
    .option('--peak', "also measure the processor's arithmetic peak, and compare");
  machineOptions(command);
  overrideOptions(command);
  command.addCommand(benchCacheCommand());
  return command
    .optionsGroup('Output:')
    .option('--json', 'everything as JSON')
    .addHelpText(
      'after',
      `
Examples:
  lacuna bench
  lacuna bench llada.gguf --threads 4
  lacuna bench cache
  lacuna bench --synthetic bench-16x1024 --type Q8_0 --rows 256 --peak`,
    )
    .action(bench);
}

async function bench(path: string | undefined, flags: BenchFlags): Promise<void> {
  const { rows, canvas = rows } = flags;
  if (path !== undefined && flags.synthetic !== undefined) {
    throw new UsageError('give a model or --synthetic, not both');
  }
  if (canvas < rows) throw new UsageError(`--canvas ${canvas} has no room for --rows ${rows}`);

  const folder = flags.synthetic && mkdtempSync(join(tmpdir(), 'lacuna-bench-'));
  const cleanUp = (): void => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    note(process.stderr, '');
  };
  const report = await interruptible(cleanUp, async (signal) => {
    if (folder !== undefined) note(process.stderr, 'writing the model …');
    const file = folder === undefined ? (path ?? embeddedModel) : await synthesise(folder, flags);
    const start = performance.now();
    return withModel(file, loadOptions(flags), signal, async (model): Promise<Report> => {
      const load = performance.now() - start;
      note(process.stderr, 'measuring …');
      const before = flags.peak ? await measurePeak(flags) : undefined;
      const measured = await measureModel(model, { rows, canvas }, signal);
      // The better of two: other work on the machine must not make the model look fast.
      const peak = flags.peak ? higher(before, await measurePeak(flags)) : undefined;
      return { ...machine(model, flags), load, ...(peak && { peak }), ...measured };
    });
  });
  console.log(flags.json ? JSON.stringify(report, null, 2) : asText(report));
}

async function synthesise(folder: string, flags: BenchFlags): Promise<string> {
  const { synthetic = 'tiny', type, vocabulary, rows, canvas = rows } = flags;
  const path = join(folder, `${synthetic}.${type}.gguf`);
  const shape = syntheticShapes[synthetic];
  const context = Math.max(4096, canvas);
  await writeSynthetic(path, {
    ...shape,
    vocabulary: vocabulary ?? shape.vocabulary,
    context,
    type,
  });
  return path;
}

export function machine({ info }: Model, { threads }: { threads?: number }): Machine {
  const { architecture, name, parameters, weightBytes, backend } = info;
  return {
    lacuna: version,
    node: process.versions.node,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    threads: threads ?? availableParallelism(),
    model: { architecture, name, parameters, weightBytes, backend },
  };
}

function asText(report: Report): string {
  const { model, forward, block, generation, peak } = report;
  const head = fields([
    ['model', `${model.name || model.architecture}, ${count(model.parameters)} parameters`],
    ['weights', `${bytes(model.weightBytes)} in memory, loaded in ${duration(report.load)}`],
    ['machine', `${report.cpu}, ${model.backend}`],
    ['canvas', `${report.canvas} tokens`],
    ...(peak ? [['peak', peakText(peak)] as [string, string]] : []),
  ]);
  const { tokens, forwards, milliseconds, tokensPerSecond } = generation;
  return [
    head,
    stepTable(report),
    `generation: ${tokens} tokens in ${duration(milliseconds)}, ${forwards} forwards, ` +
      `${digits3(tokensPerSecond)} tokens/s`,
    [conclusion('forward', forward, peak), conclusion('block step', block, peak)].join('\n'),
  ].join('\n\n');
}

function higher(a: Peak | undefined, b: Peak | undefined): Peak | undefined {
  return a && b && { ...a, int8: Math.max(a.int8, b.int8), f32: Math.max(a.f32, b.f32) };
}

function peakText({ isa, int8, f32 }: Peak): string {
  return `int8 ${digits3(int8)} GOP/s, f32 ${digits3(f32)} GOP/s (${isa}, from registers)`;
}

function stepTable({ forward, block, peak }: Report): string {
  const experts = forward.timing.moe > 0;
  const row = (name: string, { timing, ...step }: StepMeasurement): string[] => [
    name,
    String(step.rows),
    ...[step.milliseconds, step.rowsPerSecond, step.gops].map(digits3),
    ...(peak ? [`${percentOf(step, peak)} %`] : []),
    digits3(timing.linear),
    ...(experts ? [digits3(timing.moe)] : []),
    digits3(timing.attend),
    digits3(timing.head),
    digits3(step.milliseconds - timing.linear - timing.moe - timing.attend - timing.head),
  ];
  const header = ['', '>rows', '>ms', '>rows/s', '>GOP/s', ...(peak ? ['>of peak'] : [])];
  const parts = ['>linear ms', ...(experts ? ['>experts'] : []), '>attention', '>head', '>other'];
  return table([...header, ...parts], [row('forward', forward), row('block step', block)]);
}

/** `forward 256 rows: 612 ms, 41.3 % of int8 peak` */
function conclusion(name: string, step: StepMeasurement, peak: Peak | undefined): string {
  const share = peak ? `, ${percentOf(step, peak)} % of int8 peak` : '';
  return `${name} ${step.rows} rows: ${digits3(step.milliseconds)} ms${share}`;
}

function percentOf(step: { gops: number }, peak: Peak): string {
  return digits3((100 * step.gops) / peak.int8);
}
