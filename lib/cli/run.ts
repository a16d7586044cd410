/** `lacuna run`: generates from a prompt. */
import { Command } from 'commander';
import {
  generateOptions,
  generationOptions,
  policyHelp,
  type GenerationFlags,
} from './decoders.js';
import {
  embeddedFlags,
  embeddedModel,
  loadOptions,
  machineOptions,
  overrideOptions,
  type ModelFlags,
} from './options.js';
import { chatTemplate, promptOptions, type PromptFlags } from './prompt.js';
import { ratio } from './canvas.js';
import { writeJson } from './files.js';
import { printSummary, show, type Shown } from './show.js';
import { readTemplate, templateOptions, type TemplateFlags } from './template.js';

interface RunFlags extends GenerationFlags, ModelFlags, PromptFlags, TemplateFlags {
  json?: boolean;
  trace?: string;
  live: boolean;
  color: boolean;
  quiet?: boolean;
}

export function runCommand(): Command {
  const command = new Command('run')
    .description(
      'Generates text. In a terminal the answer is drawn while it forms: ░ is a mask, a token ' +
        'not committed yet; the colour of a committed one tells how sure the model was, from red to ' +
        'green. In a pipe only the finished text is printed.',
    )
    .summary('generate text')
    .argument(
      '[model]',
      'GGUF file (default: the small Shakespeare model in the package, with --bos ' +
        '--block-length 8 -t 0.8)',
    );
  promptOptions(command);
  templateOptions(command);
  generationOptions(command);
  machineOptions(command);
  overrideOptions(command);
  return command
    .optionsGroup('Output:')
    .option('--json', 'text, token ids and statistics as JSON')
    .option('--trace <path>', 'write all that happened to a JSON file, for `lacuna replay`')
    .option('--no-live', 'do not draw, print the finished text')
    .option('--no-color', 'draw without colours (also: NO_COLOR)')
    .option('-q, --quiet', 'no summary on standard error')
    .addHelpText(
      'after',
      `
${policyHelp()}

Examples:
  lacuna run -f scene.txt
  lacuna run llada.gguf --chat "Why is the sky blue?" -n 256
  lacuna run llada.gguf --template "The capital of {{4}} is Paris, that of {{4}} Rome."
  lacuna run llada.gguf --chat "2 + 2?" --decode threshold --tau 0.9 --cache dual
  lacuna run dream.gguf -f story.txt --decode dream-entropy --steps 64 > more.txt
  lacuna run sdar.gguf --attention block-causal:4 --mask-token 151669 --chat "Hello"`,
    )
    .action(run);
}

async function run(path: string | undefined, flags: RunFlags, command: Command): Promise<void> {
  const embedded = path === undefined && flags.chat === undefined;
  const { blockLength, ...rest } = embeddedFlags;
  // A preset has blocks of its own.
  const usual = flags.preset === undefined ? { ...rest, blockLength } : rest;
  const all = generateOptions(embedded ? { ...usual, ...flags } : flags);
  const lengthGiven = command.getOptionValueSource('maxTokens') === 'cli';
  const { prompt, before } = await readTemplate(flags, lengthGiven);
  const { maxTokens, ...others } = all;
  const generate = flags.template === undefined ? { ...others, maxTokens } : others;
  const options = {
    load: { ...loadOptions(flags), ...chatTemplate(flags) },
    generate,
    live: flags.live && !flags.json,
    colour: flags.color,
  };
  const shown = await show(path ?? embeddedModel, prompt, before, options);
  if (flags.trace !== undefined) await writeJson(flags.trace, shown.trace, '--trace');
  if (flags.json) console.log(JSON.stringify(asJson(shown), null, 2));
  else if (!shown.drawn) process.stdout.write(withNewline(shown.result.text));
  if (!flags.quiet && !flags.json) printSummary(shown);
}

/** A shell expects the last line to end. */
export function withNewline(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}

function asJson({ result, info }: Shown): object {
  const { text, tokens, finishReason, steps, forwards, timing, holes, counts } = result;
  return {
    text,
    tokens: [...tokens],
    ...(holes.length > 0 && { holes: holes.map(({ text, ended }) => ({ text, ended })) }),
    finishReason,
    steps,
    forwards,
    milliseconds: timing.total,
    nativeMilliseconds: timing.native,
    tokensPerForward: Number(counts.tokensPerForward.toFixed(1)),
    tokensPerSecond: Number(ratio(tokens.length, timing.total / 1000)),
    model: { architecture: info.architecture, name: info.name, backend: info.backend },
  };
}
