/** What a request asks for, in the library's terms. */
import { presetNames, type PresetName } from '../decoding/presets.js';
import type { GenerateOptions } from '../plan.js';
import type { ChatMessage } from '../text/template.js';
import { boolean, integer, invalid, list, number, object, oneOf, string } from '../validate.js';
import { HttpError } from './errors.js';
import type { Limits } from './limits.js';
import { steeringKeys, steeringOf, type Steering } from './steering.js';

export type Body = Record<string, unknown>;

const canvasModes = ['off', 'text', 'delta', 'full'] as const;

/** The namespaced object `lacuna` of a request. */
export interface LacunaFields extends Steering {
  preset?: PresetName;
  canvas: (typeof canvasModes)[number];
  /** A canvas frame every so many steps. */
  every: number;
  /** Most probable tokens reported for every masked position. */
  candidates: number;
  steps?: number;
}

/** What completions and chats have in common. */
export interface Wanted {
  options: GenerateOptions & { maxTokens: number };
  n: number;
  stop: string[];
  stream: boolean;
  includeUsage: boolean;
  /** Most probable tokens reported with each; undefined: no log probabilities. */
  logprobs: number | undefined;
  lacuna: LacunaFields;
  /** Fields that mean nothing here. */
  ignored: string[];
}

const known = [
  ...['model', 'max_tokens', 'max_completion_tokens', 'temperature', 'top_p', 'top_k', 'seed'],
  ...['stop', 'n', 'stream', 'stream_options', 'logprobs', 'top_logprobs', 'user', 'lacuna'],
  ...['reasoning_effort', 'steps', 'metadata', 'store'],
];

// A slider of steps that many clients have; what it costs is ours to say.
const efforts: Record<string, PresetName> = {
  none: 'fast',
  minimal: 'fast',
  instant: 'fast',
  low: 'fast',
  medium: 'fast-dllm',
  high: 'quality',
  xhigh: 'quality',
};

/**
 * Checks a body. Throws `INVALID_ARGUMENT` and `HttpError`s.
 * @param own fields that the endpoint reads itself
 * @param canvas of the header `x-lacuna-canvas`, for clients that cannot add to the body
 */
export function wantedOf(
  body: Body,
  own: readonly string[],
  limits: Limits,
  canvas: string | null,
): Wanted {
  const { strict, ...lacuna } = lacunaOf(body.lacuna, limits, canvas);
  const ignored = Object.keys(body).filter((key) => ![...known, ...own].includes(key));
  if (strict && ignored.length > 0) {
    throw new HttpError(400, `these fields mean nothing here: ${ignored.join(', ')}`, {
      code: 'unsupported_parameter',
      param: ignored[0],
    });
  }
  const n = optional('n', body.n, (name, value) => integer(name, value, { min: 1, max: limits.n }));
  const most = { min: 1, max: limits.canvas };
  const maxTokens =
    optional('max_completion_tokens', body.max_completion_tokens, (name, value) =>
      integer(name, value, most),
    ) ?? optional('max_tokens', body.max_tokens, (name, value) => integer(name, value, most));
  const stream = optional('stream', body.stream, boolean) ?? false;
  const streamOptions = object('stream_options', body.stream_options ?? undefined);
  const effort = optional('reasoning_effort', body.reasoning_effort, (name, value) =>
    oneOf(name, value, Object.keys(efforts)),
  );
  const preset = lacuna.preset ?? (effort === undefined ? undefined : efforts[effort]);
  const { steps } = lacuna;
  const options = {
    maxTokens: maxTokens ?? 256,
    temperature: optional('temperature', body.temperature, (name, value) =>
      number(name, value, { min: 0, max: 2 }),
    ),
    topP: optional('top_p', body.top_p, (name, value) => number(name, value, { min: 0, max: 1 })),
    topK: optional('top_k', body.top_k, (name, value) => integer(name, value, { min: 1 })),
    seed: optional('seed', body.seed, (name, value) => integer(name, value, { min: 0 })),
    ...{ preset, steps, ...lacuna.policies },
  };
  if (steps !== undefined && steps > limits.stepsPerToken * options.maxTokens) {
    const right = `at most ${limits.stepsPerToken} for each of ${options.maxTokens} tokens`;
    invalid('lacuna.steps', steps, right);
  }
  return {
    options: given(options) as Wanted['options'],
    n: n ?? 1,
    stop: stopOf(body.stop, limits),
    stream,
    includeUsage: optional('include_usage', streamOptions.include_usage, boolean) ?? false,
    logprobs: undefined,
    lacuna,
    ignored,
  };
}

function lacunaOf(
  value: unknown,
  limits: Limits,
  header: string | null,
): LacunaFields & { strict: boolean } {
  const fields = object('lacuna', value ?? undefined);
  const names = ['preset', 'canvas', 'every', 'candidates', 'steps', 'strict', ...steeringKeys];
  for (const key of Object.keys(fields)) {
    if (!names.includes(key)) invalid('lacuna', value, `an object of ${names.join(', ')}`);
  }
  return {
    ...steeringOf(fields, limits),
    ...given({
      preset: optional('lacuna.preset', fields.preset, (name, preset) =>
        oneOf(name, preset, presetNames),
      ),
      steps: optional('lacuna.steps', fields.steps, (name, steps) =>
        integer(name, steps, { min: 1 }),
      ),
    }),
    canvas:
      optional('lacuna.canvas', fields.canvas ?? header, (name, mode) =>
        oneOf(name, mode, canvasModes),
      ) ?? 'off',
    every:
      optional('lacuna.every', fields.every, (name, every) => integer(name, every, { min: 1 })) ??
      1,
    candidates:
      optional('lacuna.candidates', fields.candidates, (name, k) =>
        integer(name, k, { min: 0, max: limits.topLogprobs }),
      ) ?? 0,
    strict: optional('lacuna.strict', fields.strict, boolean) ?? false,
  };
}

/** OpenAI's clients send null for what is not set. */
export function optional<T>(
  name: string,
  value: unknown,
  check: (name: string, value: unknown) => T,
): T | undefined {
  return value === undefined || value === null ? undefined : check(name, value);
}

function given<T extends object>(options: T): Partial<T> {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Partial<T>;
}

function stopOf(value: unknown, limits: Limits): string[] {
  if (value === undefined || value === null) return [];
  const texts = typeof value === 'string' ? [value] : list('stop', value, 'a string or strings');
  if (texts.length > limits.stop) invalid('stop', texts, `at most ${limits.stop} strings`);
  return texts
    .map((text, i) => {
      const stop = string(`stop[${i}]`, text);
      if (stop.length > limits.stopLength) {
        invalid(`stop[${i}]`, stop, `at most ${limits.stopLength} characters`);
      }
      return stop;
    })
    .filter((stop) => stop !== '');
}

/** `logprobs: true, top_logprobs: k` of a chat. */
export function chatLogprobs(body: Body, limits: Limits): number | undefined {
  const bounds = { min: 0, max: limits.topLogprobs };
  const top = optional('top_logprobs', body.top_logprobs, (name, k) => integer(name, k, bounds));
  const wanted = optional('logprobs', body.logprobs, boolean) ?? false;
  if (top !== undefined && !wanted) invalid('top_logprobs', top, 'left out without logprobs: true');
  return wanted ? (top ?? 0) : undefined;
}

/** `logprobs: k` of a completion. */
export function completionLogprobs(body: Body, limits: Limits): number | undefined {
  const bounds = { min: 0, max: limits.topLogprobs };
  return optional('logprobs', body.logprobs, (name, k) => integer(name, k, bounds));
}

const roleOf: Record<string, ChatMessage['role']> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  assistant: 'assistant',
  tool: 'tool',
};

/** OpenAI's messages: strings, or lists of text parts. */
export function messagesOf(value: unknown, limits: Limits): ChatMessage[] {
  const messages = list('messages', value, 'an array of messages');
  if (messages.length === 0 || messages.length > limits.messages) {
    invalid('messages', messages, `from 1 to ${limits.messages} messages`);
  }
  return messages.map((message, i) => {
    const { role, content } = object(`messages[${i}]`, message);
    const name = oneOf(`messages[${i}].role`, role, Object.keys(roleOf));
    return { role: roleOf[name], content: contentOf(`messages[${i}].content`, content) };
  });
}

function contentOf(name: string, content: unknown): string {
  if (typeof content === 'string') return content;
  if (content === null || content === undefined) return '';
  const parts = list(name, content, 'a string or an array of text parts');
  return parts
    .map((part, i) => {
      const { type, text } = object(`${name}[${i}]`, part);
      oneOf(`${name}[${i}].type`, type, ['text', 'input_text', 'output_text']);
      return string(`${name}[${i}].text`, text);
    })
    .join('');
}

/** Says in OpenAI's words that the answer does not fit. */
export function refuseTooLong(prompt: number, maxTokens: number, context: number): void {
  if (prompt + maxTokens <= context) return;
  throw new HttpError(
    400,
    `the prompt of ${prompt} tokens and an answer of up to ${maxTokens} make ` +
      `${prompt + maxTokens}, but the context has ${context}`,
    { code: 'context_length_exceeded', param: 'messages' },
  );
}
