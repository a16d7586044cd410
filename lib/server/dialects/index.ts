/** Paths of other formats than OpenAI's. */
import { chatCompletions, completions } from '../completions.js';
import type { Engine } from '../engine.js';
import type { ErrorBody } from '../errors.js';
import { control } from './control.js';
import * as llama from './llama.js';
import * as mercury from './mercury.js';
import * as ollama from './ollama.js';
import { responses } from './responses.js';
import type { Endpoint } from './through.js';

export const dialectPosts: Record<string, Endpoint> = {
  '/v1/responses': responses,
  '/v1/chat/completions': mercury.chat,
  '/v1/chat/completions/control': control,
  '/v1/fim/completions': mercury.fim,
  // Chats whose one message has the code in marks that their models know.
  '/v1/edit/completions': chatCompletions,
  '/v1/apply/completions': chatCompletions,
  '/completions': completions,
  '/chat/completions': mercury.chat,
  '/infill': llama.infill,
  '/tokenize': llama.tokenize,
  '/detokenize': llama.detokenize,
  '/apply-template': llama.applyTemplate,
  '/api/generate': ollama.generate,
  '/api/chat': ollama.chat,
  '/api/show': ollama.show,
};

export const dialectGets: Record<string, (engine: Engine) => object> = {
  ...llama.gets,
  ...ollama.gets,
};

/** An error as the clients of a path read it. */
export function errorBodyOf(path: string, body: ErrorBody): object {
  return path.startsWith('/api/') ? ollama.errorOf(body.error) : body;
}
