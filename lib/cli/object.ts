/** `lacuna object`: a value that fits a JSON Schema. */
import { Command } from 'commander';
import { loadModel } from '../model.js';
import type { JsonSchema } from '../schema/types.js';
import { readJson } from './files.js';
import {
  embeddedFlags,
  embeddedModel,
  loadOptions,
  machineOptions,
  overrideOptions,
  real,
  whole,
  type ModelFlags,
} from './options.js';
import { chatTemplate, promptOptions, readPrompt, type PromptFlags } from './prompt.js';

interface ObjectFlags extends ModelFlags, PromptFlags {
  schema: string;
  bos?: boolean;
  temperature: number;
  seed: number;
  maxStringTokens: number;
  maxItems: number;
  depth: number;
  json?: boolean;
  quiet?: boolean;
}

export function objectCommand(): Command {
  const command = new Command('object')
    .description(
      'Writes JSON that fits a schema, whatever the model: only values are left to it, each within ' +
        'its type and bounds. With --chat the schema is added to the message.',
    )
    .summary('write JSON that fits a schema')
    .argument('[model]', 'GGUF file (default: the small Shakespeare model in the package)')
    .requiredOption('--schema <path>', 'a file with a JSON Schema (draft 2020-12)');
  promptOptions(command)
    .optionsGroup('Values:')
    .option('-t, --temperature <t>', 'of numbers and strings; 0: the most probable', real(0), 0)
    .option('--seed <n>', 'the same seed gives the same value', whole(0), 0)
    .option('--max-string-tokens <n>', 'most tokens of a string', whole(1), 32)
    .option('--max-items <n>', 'most items of an array that allows more', whole(0), 8)
    .option('--depth <n>', 'how often a $ref may be inside of itself', whole(0), 3);
  machineOptions(command);
  overrideOptions(command);
  return command
    .optionsGroup('Output:')
    .option('--json', 'value, decisions with their probabilities and forwards as JSON')
    .option('-q, --quiet', 'no summary on standard error')
    .addHelpText(
      'after',
      `
Examples:
  lacuna object llada.gguf --schema person.json --chat "Ada Lovelace, born in 1815"
  lacuna object --schema scene.json -p "KING RICHARD:" --seed 3`,
    )
    .action(run);
}

async function run(path: string | undefined, flags: ObjectFlags): Promise<void> {
  const schema = readJson('--schema', flags.schema) as JsonSchema;
  const { prompt } = await readPrompt(flags);
  const { temperature, seed, maxStringTokens, maxItems, depth } = flags;
  const bos =
    flags.bos ?? (path === undefined && flags.chat === undefined ? embeddedFlags.bos : undefined);
  const model = await loadModel(path ?? embeddedModel, {
    ...loadOptions(flags),
    ...chatTemplate(flags),
  });
  try {
    const options = {
      temperature,
      seed,
      maxStringTokens,
      maxItems,
      depth,
      ...(bos !== undefined && { bos }),
    };
    const start = performance.now();
    const { value, text, forwards, choices } = await model.object(schema, prompt, options);
    const milliseconds = Math.round(performance.now() - start);
    if (flags.json)
      console.log(JSON.stringify({ value, choices, forwards, milliseconds }, null, 2));
    else console.log(text);
    if (!flags.json && !flags.quiet) {
      process.stderr.write(
        `${forwards} forwards, ${choices.length} decisions, ${milliseconds} ms\n`,
      );
    }
  } finally {
    await model.dispose();
  }
}
