/** Command-line options that several commands share, and what they mean to the library. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { LoadOptions } from '../model.js';

/** dist/cli/ lies two levels below the package root. */
export const packageRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/**
 * The model that the package carries, and how it writes best: it was trained with the begin-of-text
 * token, though its file does not ask for it, and over long blocks at temperature 0 it only ends.
 */
export const embeddedModel = join(packageRoot, 'models', 'shakespeare-7m.Q8_0.gguf');
export const embeddedFlags = { bos: true, blockLength: 8, temperature: 0.8 };

/** The model in the package that was trained on the tasks of `lacuna parallelbench`. */
export const tasksModel = join(packageRoot, 'models', 'tasks.Q8_0.gguf');

export const version = (
  createRequire(import.meta.url)(join(packageRoot, 'package.json')) as { version: string }
).version;

/** Wrong use of the command line: exit code 2. */
export class UsageError extends Error {}

/** Parses a whole number from `min` to `max`. */
export function whole(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^[+-]?\d+$/.test(text) && value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new InvalidArgumentError(`It must be a whole number ${range}.`);
  };
}

/** Parses whole numbers from `min` on with commas between. */
export function wholeList(min: number): (text: string) => number[] {
  const one = whole(min);
  return (text) => text.split(',').map((part) => one(part.trim()));
}

/** Parses a number from `min` to `max`. */
export function real(min: number, max = Infinity): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isFinite(value) && value >= min && value <= max) return value;
    const range = max === Infinity ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new InvalidArgumentError(`It must be a number ${range}.`);
  };
}

/** An option whose values are a fixed list. */
export function choice(flags: string, description: string, values: readonly string[]): Option {
  return new Option(flags, description).choices(values);
}

/** Parses one of a list that the help explains value by value. */
export function oneOf(values: readonly string[]): (text: string) => string {
  return (text) => {
    if (values.includes(text)) return text;
    throw new InvalidArgumentError(`Allowed choices are ${values.join(', ')}.`);
  };
}

function attention(text: string): LoadOptions['attention'] {
  if (text === 'full' || text === 'causal' || /^block-causal:[1-9]\d*$/.test(text)) {
    return text as LoadOptions['attention'];
  }
  throw new InvalidArgumentError('It must be full, causal or block-causal:N (N: block length).');
}

function device(text: string): LoadOptions['device'] {
  if (/^(auto|cpu|cuda|cuda:\d{1,3}|ref)$/.test(text)) return text as LoadOptions['device'];
  throw new InvalidArgumentError(
    'It must be auto, cpu, cuda, cuda:N (N: number of a card) or ref.',
  );
}

export interface ModelFlags {
  device: LoadOptions['device'];
  threads?: number;
  isa?: string;
  attention?: LoadOptions['attention'];
  shift?: '0' | '1';
  maskToken?: number;
  pre?: string;
}

/** Where and how a model runs. */
export function machineOptions(command: Command): Command {
  return command
    .optionsGroup('Machine:')
    .addOption(
      new Option('--device <name>', 'what computes: auto, cpu, cuda, cuda:N (a card) or ref')
        .default('auto')
        .argParser(device),
    )
    .option('--threads <n>', 'CPU threads (default: as many as cores)', whole(1, 1024))
    .addOption(
      choice('--isa <name>', 'CPU instruction set (default: the best here)', [
        'scalar',
        'avx2',
        'avx512',
        'neon',
      ]),
    );
}

/** How a model that is not a diffusion model by its file is to be read. */
export function overrideOptions(
  command: Command,
  group = 'Model overrides (default: what the file says):',
): Command {
  return command
    .optionsGroup(group)
    .option('--attention <kind>', 'full, causal or block-causal:N', attention)
    .addOption(choice('--shift <n>', '1: row i − 1 predicts token i', ['0', '1']))
    .option('--mask-token <id>', 'token id of the mask', whole(0))
    .option('--pre <name>', 'pre-tokenizer: how text is cut into words');
}

/** For commands whose result is a file for another command. */
export function jsonOutput(command: Command): Command {
  return command
    .optionsGroup('Output:')
    .option('-o, --output <path>', 'where the JSON goes (default: standard output)');
}

export function loadOptions(flags: ModelFlags): LoadOptions {
  const { device, threads, isa, attention, maskToken, pre } = flags;
  const shift = flags.shift === undefined ? undefined : flags.shift === '1' ? 1 : 0;
  return defined({ device, threads, isa, attention, shift, maskToken, pre });
}

/** Without the entries that are undefined: the library takes them as given. */
export function defined<T extends object>(options: T): T {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as T;
}
