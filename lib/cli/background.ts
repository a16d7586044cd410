/** `lacuna background`: counts the tokens of texts, for PC-Sampler. */
import { createReadStream } from 'node:fs';
import { Command } from 'commander';
import { countTokens } from '../decoding/background.js';
import { LacunaError } from '../errors.js';
import { fileTokenizer } from '../info.js';
import { inspectFile } from '../model.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { fileError, writeJson } from './files.js';
import { embeddedModel, jsonOutput, overrideOptions, type ModelFlags } from './options.js';

interface BackgroundFlags extends ModelFlags {
  model?: string;
  output?: string;
}

const chunkLength = 1 << 18; // characters that are encoded at once, up to the end of a line

export function backgroundCommand(): Command {
  const command = new Command('background')
    .description(
      "Counts how often each token of a model's vocabulary occurs in texts, for `lacuna run --decode " +
        'pc-sampler`. Take ordinary texts in the language of the answers, the more the better. Only ' +
        "the model's tokenizer is loaded.",
    )
    .summary('count the tokens of texts, for --decode pc-sampler')
    .argument('<text...>', 'text files')
    .option(
      '-m, --model <path>',
      'GGUF file (default: the small Shakespeare model in the package)',
    );
  overrideOptions(command);
  return jsonOutput(command)
    .addHelpText(
      'after',
      `
Example:
  lacuna background books/*.txt --model llada.gguf -o background.json
  lacuna run llada.gguf --chat "Hello" --decode pc-sampler --background background.json`,
    )
    .action(background);
}

async function background(paths: string[], flags: BackgroundFlags): Promise<void> {
  const file = await inspectFile(flags.model ?? embeddedModel);
  if (file.spec === undefined) {
    throw new LacunaError('UNSUPPORTED_ARCHITECTURE', file.specError?.message ?? file.path);
  }
  const tokenizer = fileTokenizer(file, file.spec, { pre: flags.pre });
  const texts: Int32Array[] = [];
  for (const path of paths) {
    for await (const tokens of tokensOf(path, tokenizer)) texts.push(tokens);
  }
  await writeJson(flags.output, countTokens(texts, file.spec.vocabulary));
}

/** A text in pieces that end with a line, so that it may be larger than memory. */
async function* tokensOf(path: string, tokenizer: Tokenizer): AsyncGenerator<Int32Array> {
  const encode = (text: string) => tokenizer.encode(text, { bos: false });
  let rest = '';
  try {
    for await (const chunk of createReadStream(path, 'utf8') as AsyncIterable<string>) {
      rest += chunk;
      const end = rest.lastIndexOf('\n') + 1;
      if (rest.length < chunkLength || end === 0) continue;
      yield encode(rest.slice(0, end));
      rest = rest.slice(end);
    }
  } catch (cause) {
    throw fileError('text', cause);
  }
  yield encode(rest);
}
