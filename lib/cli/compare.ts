/** `lacuna compare`: presets side by side over prompts. */
import { basename } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { presetNames, type PresetName } from '../decoding/presets.js';
import { compare } from '../measure/compare.js';
import { comparisonChart, loadVega } from './chart.js';
import { comparisonTable } from './comparison.js';
import { writeJson, writeText } from './files.js';
import { plural } from './format.js';
import { interruptible } from './interrupt.js';
import {
  defined,
  embeddedModel,
  loadOptions,
  machineOptions,
  overrideOptions,
  real,
  whole,
  type ModelFlags,
} from './options.js';
import { readPrompts } from './prompt.js';
import { withModel } from './show.js';

interface CompareFlags extends ModelFlags {
  prompts: string;
  presets?: PresetName[];
  maxTokens: number;
  temperature?: number;
  seed?: number;
  bos?: boolean;
  output?: string;
  chart?: string;
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
    .option('-o, --output <file>', 'write the figures and the texts to a JSON file too')
    .option(
      '--chart <file>',
      'draw the figures as SVG; needs the package vega: npm install vega@6',
    );
  machineOptions(command);
  overrideOptions(command);
  return command.action(run);
}

async function run(path: string | undefined, flags: CompareFlags): Promise<void> {
  const prompts = readPrompts(flags.prompts);
  const { maxTokens, temperature, seed, presets } = flags;
  const bos = flags.bos ?? (path === undefined ? true : undefined);
  const options = defined({ maxTokens, temperature, seed, presets, bos });
  const vega = flags.chart === undefined ? undefined : await loadVega(); // before the long work
  const { name, comparisons } = await interruptible(
    () => {},
    (signal) =>
      withModel(path ?? embeddedModel, loadOptions(flags), signal, async (model) => ({
        name: model.info.name || basename(path ?? embeddedModel),
        comparisons: await compare(model, prompts, { ...options, signal }),
      })),
  );
  process.stdout.write(`${comparisonTable(comparisons)}\n`);
  if (flags.output !== undefined) await writeJson(flags.output, comparisons);
  if (vega === undefined || flags.chart === undefined) return;
  const about = `${plural(prompts.length, 'prompt')}, answers of up to ${plural(maxTokens, 'token')}`;
  const svg = await comparisonChart(vega, comparisons, { title: `Presets of ${name}`, about });
  await writeText('--chart', flags.chart, svg);
}

export function presetList(text: string): PresetName[] {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !(presetNames as string[]).includes(name));
  if (unknown === undefined) return names as PresetName[];
  throw new InvalidArgumentError(`There is no ${unknown}; presets are ${presetNames.join(', ')}.`);
}
