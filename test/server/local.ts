/** Calls of a handler without a network, and models whose answers a test writes down. */
import { expect } from 'vitest';
import { byteTokens } from '../../lib/gguf/byte-tokens.js';
import type { Model } from '../../lib/index.js';
import type { Handler } from '../../lib/server/index.js';
import { ScriptedModel, ScriptedSession, type Predict } from '../../lib/tasks/scripted.js';
import { createTokenizer, type Tokenizer } from '../../lib/text/tokenizer.js';

export interface Call {
  index?: number;
  id: string;
  type: string;
  function: { name: string; arguments: string };
}
export interface Choice {
  index: number;
  text?: string;
  message?: { content: string | null; tool_calls?: Call[] };
  delta?: { content?: string; role?: string; tool_calls?: Call[] };
  finish_reason: string | null;
  logprobs?: { content: Logprob[] };
}
export interface Logprob {
  token: string;
  bytes: number[];
  logprob: number;
  top_logprobs: { token: string; logprob: number }[];
  lacuna: { step: number; position: number };
}
export interface Reply {
  error?: { message: string; type: string; code: string | null; param: string | null };
  choices: Choice[];
  usage?: {
    prompt_tokens: number;
    completion_tokens: number;
    total_tokens: number;
    completion_tokens_details?: Record<string, number>;
  };
  timings?: Record<string, number>;
  lacuna?: { kind?: string; stats?: { forwards: number; tokens: number } };
}

export function request(path: string, body: unknown, more: RequestInit = {}): Request {
  const headers = {
    ...{ host: 'localhost:1', 'content-type': 'application/json' },
    ...(more.headers as Record<string, string>),
  };
  const json = { method: 'POST', body: JSON.stringify(body), ...more };
  return new Request(`http://localhost:1${path}`, { ...json, headers });
}

/** An answer in one piece; its status must be 200. */
export async function whole(handler: Handler, path: string, body: object): Promise<Reply> {
  const response = await handler(request(path, body));
  const reply = (await response.json()) as Reply;
  expect(reply.error).toBeUndefined();
  return reply;
}

/** The chunks of a stream, which must end well. */
export async function chunks(handler: Handler, path: string, body: object): Promise<Reply[]> {
  const response = await handler(request(path, { ...body, stream: true }));
  const lines = (await response.text()).split('\n\n').filter((line) => line.startsWith('data: '));
  expect(lines.pop()).toBe('data: [DONE]');
  return lines.map((line) => JSON.parse(line.slice(6)) as Reply);
}

/** Puts a choice of a stream together, as clients do. */
export function folded(stream: readonly Reply[], index = 0) {
  const parts = stream.flatMap(({ choices }) => choices).filter((part) => part.index === index);
  const reasons = parts.map((part) => part.finish_reason).filter((reason) => reason !== null);
  expect(reasons).toHaveLength(1);
  return {
    text: parts.map((part) => part.delta?.content ?? part.text ?? '').join(''),
    calls: parts.flatMap((part) => part.delta?.tool_calls ?? []),
    logprobs: parts.flatMap((part) => part.logprobs?.content ?? []),
    finish: reasons[0],
  };
}

const vocabulary = 264;
const tokens = { bos: 260, eos: 261, eot: 262, mask: 263 };

/** The 256 bytes, four unused, start and end of text, end of turn, mask. */
export function byteTokenizer(chatTemplate?: string): Tokenizer {
  const metadata = byteTokens(vocabulary);
  const types = metadata['tokenizer.ggml.token_type'] as { value: number[] };
  return createTokenizer({
    ...{ model: 'gpt2', pre: 'gpt-2', merges: [], addBos: false, chatTemplate, ...tokens },
    tokens: metadata['tokenizer.ggml.tokens'] as string[],
    tokenTypes: types.value,
  });
}

/** Where a prompt ends: its template writes this last. */
const answerStart = '<|startoftext|>';
export const plainTemplate = `{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}${answerStart}`;

class Session extends ScriptedSession {
  get length(): number {
    return this.canvas.length;
  }
}

/**
 * A model that wants to write one text, a byte a token, and then ends its turn.
 * @param text may depend on the prompt
 */
export function writingModel(text: (prompt: string) => string, template = plainTemplate): Model {
  const tokenizer = byteTokenizer(template);
  const predict: Predict = (position, canvas) => {
    const start = canvas.lastIndexOf(tokens.bos) + 1;
    const wanted = tokenizer.encode(text(tokenizer.decode(canvas.subarray(0, start))));
    const token = wanted.at(position - start) ?? tokens.eot;
    return Float64Array.from({ length: vocabulary }, (_, id) => (id === token ? 12 : 0));
  };
  class Writing extends ScriptedModel {
    override get tokenizer(): never {
      return tokenizer as never;
    }
    override createSession({ length }: { length: number }): Session {
      return new Session(this, length);
    }
    readonly disposed = false;
    sessionBytes(): number {
      return 0;
    }
  }
  const file = { path: 'writing.gguf', bytes: 1 };
  const info = { vocabulary, tokens, file, name: 'writing', parameters: 1, weightBytes: 1 };
  return new Writing(predict, info as never) as unknown as Model;
}
