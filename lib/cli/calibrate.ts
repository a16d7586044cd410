/** `lacuna calibrate`: thresholds from one run, for later ones. */
import { Command } from 'commander';
import { calibrate, type CalibrateOptions } from '../decoding/osdt.js';
import { generateOptions, generationOptions, type GenerationFlags } from './decoders.js';
import { writeJson } from './files.js';
import { interruptible } from './interrupt.js';
import {
  choice,
  embeddedFlags,
  embeddedModel,
  jsonOutput,
  loadOptions,
  machineOptions,
  overrideOptions,
  real,
  UsageError,
  type ModelFlags,
} from './options.js';
import { chatTemplate, promptOptions, readPrompt, type PromptFlags } from './prompt.js';
import { note } from './progress.js';
import { withModel } from './show.js';

type CalibrateFlags = PromptFlags &
  GenerationFlags &
  ModelFlags &
  Pick<CalibrateOptions, 'granularity' | 'metric' | 'cap' | 'slack'> & { output?: string };

export function calibrateCommand(): Command {
  const command = new Command('calibrate')
    .description(
      'Runs one prompt with a fixed threshold and records how sure the model was, block by block. ' +
        '`lacuna run --decode osdt --profile FILE` then takes its thresholds from that: for prompts ' +
        'of the same kind, with the same blocks.',
    )
    .summary('record thresholds on one prompt, for --decode osdt')
    .argument('[model]', 'GGUF file (default: the small Shakespeare model in the package)')
    .optionsGroup('Thresholds:')
    .addOption(
      choice('--granularity <kind>', 'one threshold for each', ['block', 'step']).default('block'),
    )
    .addOption(
      choice('--metric <name>', 'what sums up the recorded confidences', [
        'mean',
        'q1',
        'median',
        'q3',
        'whisker',
      ]).default('median'),
    )
    .option('--cap <p>', 'the highest threshold, and that of the recorded run', real(0, 1), 0.9)
    .option('--slack <share>', 'how far thresholds lie below what was recorded', real(0, 1), 0.1);
  promptOptions(command);
  generationOptions(command);
  machineOptions(command);
  overrideOptions(command);
  return jsonOutput(command)
    .addHelpText(
      'after',
      `
Example:
  lacuna calibrate llada.gguf --chat "$QUESTION" --block-length 32 -o profile.json
  lacuna run llada.gguf --chat "$OTHER" --block-length 32 --decode osdt --profile profile.json`,
    )
    .action(run);
}

async function run(path: string | undefined, flags: CalibrateFlags): Promise<void> {
  if (flags.decode !== undefined) {
    throw new UsageError('calibrate decodes with a threshold of --cap; leave --decode out');
  }
  const embedded = path === undefined && flags.chat === undefined;
  const options = generateOptions(embedded ? { ...embeddedFlags, ...flags } : flags);
  const { prompt } = await readPrompt(flags);
  const load = { ...loadOptions(flags), ...chatTemplate(flags) };
  const { granularity, metric, cap, slack } = flags;
  const profile = await interruptible(
    () => note(process.stderr, ''),
    (signal) =>
      withModel(path ?? embeddedModel, load, signal, (model) =>
        calibrate(model, prompt, { ...options, granularity, metric, cap, slack, signal }),
      ),
  );
  await writeJson(flags.output, profile);
}
