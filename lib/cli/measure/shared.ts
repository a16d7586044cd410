/** What the commands of `lacuna measure` share: options, models, and where results go. */
import { basename } from 'node:path';
import type { Command } from 'commander';
import type { Model } from '../../model.js';
import { loadVega, type Vega } from '../chart.js';
import { writeJson, writeText } from '../files.js';
import { interruptible } from '../interrupt.js';
import {
  embeddedModel,
  loadOptions,
  machineOptions,
  overrideOptions,
  whole,
  type ModelFlags,
} from '../options.js';
import { withModel } from '../show.js';

export interface OutputFlags {
  output?: string;
  chart?: string;
}

export interface MeasureFlags extends ModelFlags, OutputFlags {
  sample?: number;
}

/** `-o` and `--chart`. */
export function outputOptions(command: Command): Command {
  return command
    .optionsGroup('Output:')
    .option('-o, --output <file>', 'write the figures to a JSON file too')
    .option('--chart <file>', 'draw them as SVG; needs the package vega: npm install vega@6');
}

/** All that a measurement of a model takes beside its own options. */
export function modelOptions(command: Command, sampled: string): Command {
  outputOptions(command).option('--sample <n>', `only the first n ${sampled}`, whole(1));
  machineOptions(command);
  return overrideOptions(command);
}

/** What came of a measurement. */
export interface Measured {
  /** For standard output. */
  text: string;
  /** For `-o`. */
  json: object;
  chart: (vega: Vega) => Promise<string>;
}

/** Does the work and brings the result where it is wanted. */
export async function report(
  { output, chart }: OutputFlags,
  work: () => Promise<Measured>,
): Promise<void> {
  const vega = chart === undefined ? undefined : await loadVega(); // before the long work
  const { text, json, chart: draw } = await work();
  process.stdout.write(`${text}\n`);
  if (output !== undefined) await writeJson(output, json);
  if (vega !== undefined && chart !== undefined)
    await writeText('--chart', chart, await draw(vega));
}

/** The same with a model, the one in the package if there is no path; Ctrl-C ends the work. */
export function reportModel(
  path: string | undefined,
  flags: MeasureFlags,
  work: (model: Model, name: string, signal: AbortSignal) => Promise<Measured>,
  fallback = embeddedModel,
): Promise<void> {
  const file = path ?? fallback;
  return report(flags, () =>
    interruptible(
      () => {},
      (signal) =>
        withModel(file, loadOptions(flags), signal, (model) =>
          work(model, model.info.name || basename(file), signal),
        ),
    ),
  );
}

/** `12 of 40` on standard error, where that is a terminal. */
export function showProgress(what: string): (done: number, of: number) => void {
  const { stderr } = process;
  if (!stderr.isTTY) return () => {};
  return (done, of) => stderr.write(done < of ? `\r${what} ${done} of ${of}` : '\r\x1b[K');
}

/** Fixed digits; `–` for what is no number. */
export function digits(value: number, n: number): string {
  return Number.isFinite(value) ? value.toFixed(n) : '–';
}
