/** What is different between the endpoints: how text, calls and log probabilities are written. */
import type { ToolCall, TokenLogprob } from './answer.js';
import type { Context } from './context.js';

export interface Shape {
  object: string;
  chunk: string;
  idPrefix: string;
  /** The first chunk's choice, which comes before any text; undefined: there is none. */
  first?: object;
  delta(text: string): object;
  /** A call in one piece. */
  call(call: ToolCall, index: number): object;
  /** Of a chunk without text. */
  empty: object;
  whole(text: string, calls: readonly ToolCall[]): object;
  logprobs(tokens: readonly TokenLogprob[], context: Context): object;
}

export const chat: Shape = {
  object: 'chat.completion',
  chunk: 'chat.completion.chunk',
  idPrefix: 'chatcmpl',
  first: { delta: { role: 'assistant', content: '' } },
  delta: (content) => ({ delta: { content } }),
  call: (call, index) => ({ delta: { tool_calls: [{ index, ...callFields(call) }] } }),
  empty: { delta: {} },
  whole: (text, calls) => {
    const content = text === '' && calls.length > 0 ? null : text;
    const tool_calls = calls.length > 0 && { tool_calls: calls.map(callFields) };
    return { message: { role: 'assistant', content, refusal: null, ...tool_calls } };
  },
  logprobs: (tokens, context) => ({
    content: tokens.map(({ token, logprob, top, step, position }) => ({
      ...tokenFields(token, logprob, context),
      top_logprobs: top.map((other) => tokenFields(other.token, other.logprob, context)),
      lacuna: { step, position },
    })),
    refusal: null,
  }),
};

export const completion: Shape = {
  object: 'text_completion',
  chunk: 'text_completion',
  idPrefix: 'cmpl',
  delta: (text) => ({ text }),
  call: () => ({ text: '' }), // completions have no tools
  empty: { text: '' },
  whole: (text) => ({ text }),
  logprobs: (tokens, { engine }) => {
    const { tokenizer } = engine.model;
    return {
      tokens: tokens.map(({ token }) => tokenizer.token(token)),
      token_logprobs: tokens.map(({ logprob }) => logprob),
      top_logprobs: tokens.map(({ top }) =>
        Object.fromEntries(top.map(({ token, logprob }) => [tokenizer.token(token), logprob])),
      ),
    };
  },
};

function callFields({ id, name, arguments: text }: ToolCall): object {
  return { id, type: 'function', function: { name, arguments: text } };
}

function tokenFields(token: number, logprob: number, { engine }: Context): object {
  const { tokenizer } = engine.model;
  return { token: tokenizer.token(token), bytes: [...tokenizer.bytes(token)], logprob };
}
