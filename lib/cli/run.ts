/** `lacuna run`: generates from a prompt. */
import { text as readAll } from 'node:stream/consumers';
import { Command } from 'commander';
import type { LoadOptions } from '../model.js';
import type { Prompt } from '../plan.js';
import type { ChatMessage } from '../text/template.js';
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
  UsageError,
  type ModelFlags,
} from './options.js';
import { ratio } from './canvas.js';
import { readText, writeText } from './files.js';
import { printSummary, show, type Shown } from './show.js';

interface RunFlags extends GenerationFlags, ModelFlags {
  prompt?: string;
  file?: string;
  chat?: string;
  system?: string;
  chatTemplate?: string;
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
    )
    .optionsGroup('Prompt (one of these, or standard input):')
    .option('-p, --prompt <text>', 'text to continue, as it is')
    .option('-f, --file <path>', 'the same from a file')
    .option('-c, --chat <text>', "a message, in the model's chat format")
    .option('--system <text>', 'a system message in front of --chat')
    .option('--chat-template <path>', "a Jinja file instead of the model's chat format")
    .option('--bos', 'begin with the begin-of-text token (default: as the file says)')
    .option('--no-bos', 'do not');
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
  lacuna run llada.gguf --chat "2 + 2?" --decode threshold --tau 0.9 --cache dual
  lacuna run dream.gguf -f story.txt --decode dream-entropy --steps 64 > more.txt
  lacuna run sdar.gguf --attention block-causal:4 --mask-token 151669 --chat "Hello"`,
    )
    .action(run);
}

async function run(path: string | undefined, flags: RunFlags): Promise<void> {
  const embedded = path === undefined && flags.chat === undefined;
  const { blockLength, ...others } = embeddedFlags;
  // A preset has blocks of its own.
  const usual = flags.preset === undefined ? { ...others, blockLength } : others;
  const generate = generateOptions(embedded ? { ...usual, ...flags } : flags);
  const { prompt, before } = await readPrompt(flags);
  const options = {
    load: { ...loadOptions(flags), ...(await chatTemplate(flags)) },
    generate,
    live: flags.live && !flags.json,
    colour: flags.color,
  };
  const shown = await show(path ?? embeddedModel, prompt, before, options);
  if (flags.trace !== undefined) {
    await writeText('--trace', flags.trace, `${JSON.stringify(shown.trace)}\n`);
  }
  if (flags.json) console.log(JSON.stringify(asJson(shown), null, 2));
  else if (!shown.drawn) process.stdout.write(withNewline(shown.result.text));
  if (!flags.quiet && !flags.json) printSummary(shown);
}

async function readPrompt(flags: RunFlags): Promise<{ prompt: Prompt; before: string }> {
  const given = (['prompt', 'file', 'chat'] as const).filter((name) => flags[name] !== undefined);
  if (given.length > 1) {
    throw new UsageError(`give only one of ${given.map((name) => `--${name}`).join(' and ')}`);
  }
  if (flags.system !== undefined && flags.chat === undefined) {
    throw new UsageError('--system needs --chat');
  }
  const { chat, system, file } = flags;
  if (chat !== undefined) {
    const messages: ChatMessage[] = [{ role: 'user', content: chat }];
    if (system !== undefined) messages.unshift({ role: 'system', content: system });
    return { prompt: messages, before: `> ${chat}\n\n` };
  }
  const text =
    flags.prompt ?? (await (file === undefined ? readInput() : readText('--file', file)));
  return { prompt: text, before: text };
}

async function chatTemplate(flags: RunFlags): Promise<LoadOptions> {
  if (flags.chatTemplate === undefined) return {};
  if (flags.chat === undefined) throw new UsageError('--chat-template needs --chat');
  return { chatTemplate: await readText('--chat-template', flags.chatTemplate) };
}

function readInput(): Promise<string> {
  if (!process.stdin.isTTY) return readAll(process.stdin);
  throw new UsageError(
    'no prompt: give --prompt "…", --chat "…" or --file, or pipe text in. `lacuna demo` needs none',
  );
}

/** A shell expects the last line to end. */
export function withNewline(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}

function asJson({ result, info }: Shown): object {
  const { text, tokens, finishReason, steps, forwards, timing } = result;
  return {
    text,
    tokens: [...tokens],
    finishReason,
    steps,
    forwards,
    milliseconds: timing.total,
    nativeMilliseconds: timing.native,
    tokensPerForward: Number(ratio(tokens.length, forwards)),
    tokensPerSecond: Number(ratio(tokens.length, timing.total / 1000)),
    model: { architecture: info.architecture, name: info.name, backend: info.backend },
  };
}
