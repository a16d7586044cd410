/** What an answer follows: text, chat messages or token ids, and the token ids they become. */
import { LacunaError } from './errors.js';
import type { GenerationModel } from './plan.js';
import { chatTokens, type ChatMessage, type ChatOptions } from './text/template.js';
import type { Tokenizer } from './text/tokenizer.js';
import { invalid, tokenIds } from './validate.js';

/** Text, chat messages, or token ids. */
export type PlainPrompt = string | readonly ChatMessage[] | ArrayLike<number>;

export interface PromptOptions {
  bos?: boolean;
  special?: boolean;
  chat?: Omit<ChatOptions, 'architecture'>;
}

/** Token ids need none: a model without a tokenizer generates too, only without text. */
export function usableTokenizer(
  model: GenerationModel,
  prompt: PlainPrompt,
): Tokenizer | undefined {
  try {
    return model.tokenizer;
  } catch (error) {
    const optional = typeof prompt !== 'string' && !isChat(prompt);
    if (optional && LacunaError.isInstance(error) && error.code === 'UNSUPPORTED_TOKENIZER') {
      return undefined;
    }
    throw error;
  }
}

export function isChat(prompt: unknown): prompt is readonly ChatMessage[] {
  return Array.isArray(prompt) && prompt.length > 0 && typeof prompt[0] === 'object';
}

export function promptIds(
  model: GenerationModel,
  prompt: PlainPrompt,
  { bos, special, chat }: PromptOptions,
): Int32Array {
  if (typeof prompt !== 'string') {
    if (bos !== undefined) invalid('bos', bos, 'left out: the prompt is not a text');
    if (special !== undefined) invalid('special', special, 'left out: the prompt is not a text');
  }
  if (isChat(prompt)) {
    const { architecture } = model.info;
    return chatTokens(model.tokenizer, prompt, { ...chat, architecture });
  }
  if (chat !== undefined) invalid('chat', chat, 'left out: the prompt is not a list of messages');
  if (typeof prompt !== 'string') return tokenIds('prompt', prompt, model.info.vocabulary);
  return model.tokenizer.encode(prompt, { bos, special });
}

/** Throws `INVALID_ARGUMENT` for a model that names none. */
export function maskOf({ info }: GenerationModel): number {
  if (info.tokens.mask !== undefined) return info.tokens.mask;
  throw new LacunaError(
    'INVALID_ARGUMENT',
    'this model names no mask token; set the load option maskToken',
  );
}

/** @param name of the text, for the message */
export function refuseMask(name: string, known: Int32Array, mask: number): void {
  const index = known.indexOf(mask);
  if (index < 0) return;
  throw new LacunaError(
    'INVALID_ARGUMENT',
    `${name}: token ${index} is MASK (${mask}), but this is known text; what is to be written ` +
      'follows it, or is a hole',
  );
}
