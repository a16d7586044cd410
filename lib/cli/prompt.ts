/** The prompt on the command line. */
import { text as readAll } from 'node:stream/consumers';
import type { Command } from 'commander';
import type { LoadOptions } from '../model.js';
import type { PlainPrompt } from '../prompt.js';
import type { ChatMessage } from '../text/template.js';
import { LacunaError } from '../errors.js';
import { parseJson, readText } from './files.js';
import { UsageError } from './options.js';

export interface PromptFlags {
  prompt?: string;
  file?: string;
  chat?: string;
  system?: string;
  chatTemplate?: string;
}

export function promptOptions(command: Command): Command {
  return command
    .optionsGroup('Prompt (one of these, or standard input):')
    .option('-p, --prompt <text>', 'text to continue, as it is')
    .option('-f, --file <path>', 'the same from a file')
    .option('-c, --chat <text>', "a message, in the model's chat format")
    .option('--system <text>', 'a system message in front of --chat')
    .option('--chat-template <path>', "a Jinja file instead of the model's chat format")
    .option('--bos', 'begin with the begin-of-text token (default: as the file says)')
    .option('--no-bos', 'do not');
}

/** Throws `UsageError` for options that do not go together. */
export async function readPrompt(
  flags: PromptFlags,
): Promise<{ prompt: PlainPrompt; before: string }> {
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
  const text = flags.prompt ?? (file === undefined ? await readInput() : readText('--file', file));
  return { prompt: text, before: text };
}

export function chatTemplate(flags: PromptFlags): LoadOptions {
  if (flags.chatTemplate === undefined) return {};
  if (flags.chat === undefined) throw new UsageError('--chat-template needs --chat');
  return { chatTemplate: readText('--chat-template', flags.chatTemplate) };
}

function readInput(): Promise<string> {
  if (!process.stdin.isTTY) return readAll(process.stdin);
  throw new UsageError(
    'no prompt: give --prompt "…", --chat "…" or --file, or pipe text in. `lacuna demo` needs none',
  );
}

/** The prompts of a file: one a line, or a JSON list of texts. */
export function readPrompts(path: string): string[] {
  const text = readText('--prompts', path);
  const prompts = text.trimStart().startsWith('[')
    ? fromJson(path, text)
    : text.split(/\r?\n/).filter((line) => line.trim() !== '');
  if (prompts.length > 0) return prompts;
  throw new LacunaError('INVALID_ARGUMENT', `--prompts: ${path} holds no prompt`);
}

function fromJson(path: string, text: string): string[] {
  const value = parseJson('--prompts', path, text);
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  throw new LacunaError('INVALID_ARGUMENT', `--prompts: ${path} is no JSON list of texts`);
}
