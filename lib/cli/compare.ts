/** `lacuna compare`: presets side by side over prompts. */
import { Command, InvalidArgumentError } from 'commander';
import { presetNames, type PresetName } from '../decoding/presets.js';
import { LacunaError } from '../errors.js';
import { compare, type Comparison } from '../measure/compare.js';
import { readText, writeJson } from './files.js';
import { interruptible } from './interrupt.js';
import {
  embeddedModel,
  loadOptions,
  machineOptions,
  overrideOptions,
  real,
  whole,
  type ModelFlags,
} from './options.js';
import { withModel } from './show.js';

interface CompareFlags extends ModelFlags {
  prompts: string;
  presets?: PresetName[];
  maxTokens: number;
  temperature?: number;
  seed?: number;
  bos?: boolean;
  output?: string;
}

export function compareCommand(): Command {
  const command = new Command('compare')
    .description(
      'Runs presets on the same prompts and prints what they cost and how probable the same model ' +
        'finds what they wrote, read from left to right: a proxy of quality, and repetition is ' +
        'probable too.',
    )
    .summary('presets side by side')
    .argument('[model]', 'GGUF file (default: the small Shakespeare model, with --bos)')
    .requiredOption(
      '--prompts <file>',
      'one prompt a line, or a JSON list of texts; as they are, without a chat format',
    )
    .option('--presets <names>', 'with commas between (default: all)', presetList)
    .option('-n, --max-tokens <n>', 'length of each answer', whole(1), 64)
    .option('-t, --temperature <t>', '0: always the most probable token (default: 0)', real(0))
    .option('--seed <n>', 'of all random choices (default: 0)', whole(0))
    .option('--bos', 'begin with the begin-of-text token (default: as the file says)')
    .option('--no-bos', 'do not')
    .option('-o, --output <file>', 'write the figures and the texts to a JSON file too');
  machineOptions(command);
  overrideOptions(command);
  return command.action(run);
}

async function run(path: string | undefined, flags: CompareFlags): Promise<void> {
  const prompts = promptsOf(flags.prompts);
  const { maxTokens, temperature, seed, presets } = flags;
  const bos = flags.bos ?? (path === undefined ? true : undefined);
  const given = { maxTokens, temperature, seed, presets, bos };
  const options = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  );
  const comparisons = await interruptible(
    () => {},
    (signal) =>
      withModel(path ?? embeddedModel, loadOptions(flags), signal, (model) =>
        compare(model, prompts, { ...options, signal }),
      ),
  );
  process.stdout.write(`${comparisonTable(comparisons)}\n`);
  if (flags.output !== undefined) await writeJson(flags.output, comparisons);
}

function presetList(text: string): PresetName[] {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !(presetNames as string[]).includes(name));
  if (unknown === undefined) return names as PresetName[];
  throw new InvalidArgumentError(`There is no ${unknown}; presets are ${presetNames.join(', ')}.`);
}

function promptsOf(path: string): string[] {
  const text = readText('--prompts', path);
  const prompts = text.trimStart().startsWith('[')
    ? fromJson(path, text)
    : text.split(/\r?\n/).filter((line) => line.trim() !== '');
  if (prompts.length > 0) return prompts;
  throw new LacunaError('INVALID_ARGUMENT', `--prompts: ${path} holds no prompt`);
}

function fromJson(path: string, text: string): string[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new LacunaError('INVALID_ARGUMENT', `--prompts: ${path} is no JSON file`, { cause });
  }
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  throw new LacunaError('INVALID_ARGUMENT', `--prompts: ${path} is no JSON list of texts`);
}

const columns: [string, (row: Comparison) => string][] = [
  ['preset', ({ preset }) => preset],
  ['tokens', ({ tokens }) => String(tokens)],
  ['nats/token', ({ logProbability }) => fixed(logProbability, 2)],
  ['forwards', ({ forwards }) => String(forwards)],
  ['canvases', ({ canvases }) => String(canvases)],
  ['tokens/forward', ({ tokensPerForward }) => fixed(tokensPerForward, 2)],
  ['tokens/s', ({ tokensPerSecond }) => fixed(tokensPerSecond, 1)],
];

/** A Markdown table, with aligned columns: it reads in a terminal and goes into a page. */
export function comparisonTable(rows: readonly Comparison[]): string {
  const cells = rows.map((row) => columns.map(([, of]) => of(row)));
  const widths = columns.map(([name], i) =>
    Math.max(name.length, ...cells.map((line) => line[i].length)),
  );
  const line = (parts: string[]) =>
    `| ${parts.map((part, i) => (i === 0 ? part.padEnd(widths[i]) : part.padStart(widths[i]))).join(' | ')} |`;
  const rule = widths.map((width, i) =>
    i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  return [line(columns.map(([name]) => name)), line(rule), ...cells.map(line)].join('\n');
}

function fixed(value: number, digits: number): string {
  return Number.isFinite(value) ? value.toFixed(digits) : '–';
}
