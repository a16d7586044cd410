/** `lacuna convert`: a Hugging Face folder to a GGUF file. */
import { rmSync } from 'node:fs';
import { basename } from 'node:path';
import { Command } from 'commander';
import { convert, type Converted } from '../convert/convert.js';
import { mixNames } from '../gguf/mixes.js';
import { partOf } from '../gguf/writer.js';
import { bytes, count, plural } from './format.js';
import { sanitise } from './glyphs.js';
import { interruptible } from './interrupt.js';
import { choice, defined, loadOptions, overrideOptions, type ModelFlags } from './options.js';
import { note } from './progress.js';

interface ConvertFlags extends ModelFlags {
  output: string;
  type?: (typeof mixNames)[number];
  name?: string;
  json?: boolean;
}

export function convertCommand(): Command {
  const command = new Command('convert')
    .description(
      'Writes the model in a Hugging Face folder (config.json, safetensors, tokenizer) as a GGUF file.',
    )
    .summary('make a GGUF file of a Hugging Face folder')
    .argument('<folder>', 'with config.json, *.safetensors and tokenizer.json')
    .requiredOption('-o, --output <file>', 'the GGUF file; one that is there is replaced')
    .addOption(choice('--type <name>', 'type of the matrices (default: as they are)', mixNames))
    .option('--name <text>', 'name of the model (default: that of the folder)')
    .option('--json', 'what was written, as JSON');
  overrideOptions(command, 'Model (default: what the folder says):');
  return command
    .addHelpText(
      'after',
      `
Examples:
  lacuna convert LLaDA-8B-Instruct -o llada.gguf --type Q4_K_M
  lacuna convert my-qwen -o mine.gguf --attention full --shift 1 --mask-token 151669`,
    )
    .action(run);
}

async function run(folder: string, flags: ConvertFlags): Promise<void> {
  const { output, type, name, json } = flags;
  const { attention, shift, maskToken, pre } = loadOptions(flags);
  const options = defined({ type, name, attention, shift, maskToken, pre });
  const onProgress = ({ written, total }: { written: number; total: number }): void => {
    const percent = Math.floor((100 * written) / total);
    note(process.stderr, `writing ${basename(output)}: ${percent} % of ${bytes(total)}`);
  };
  const restore = (): void => {
    note(process.stderr, '');
    rmSync(partOf(output), { force: true }); // there only when the process is being ended
  };
  const converted = await interruptible(restore, (signal) =>
    convert(folder, output, { ...options, signal, onProgress }),
  );
  console.log(json ? JSON.stringify(converted, null, 2) : summary(converted));
}

function summary({ path, bytes: size, architecture, type, ...rest }: Converted): string {
  const lines = [
    `${sanitise(path)}: ${architecture}, ${count(rest.parameters)} parameters in ` +
      `${plural(rest.tensors, 'tensor')}, ${type}, ${bytes(size)}`,
  ];
  const kinds = rest.substituted.map((tensor) => `${tensor.type} instead of ${tensor.wanted}`);
  for (const kind of new Set(kinds)) {
    const n = kinds.filter((other) => other === kind).length;
    lines.push(`${plural(n, 'tensor')} ${kind}: rows are no multiple of its block`);
  }
  return lines.join('\n');
}
