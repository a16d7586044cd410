/** What a request asks for, in the library's terms. */
import { presetNames, type PresetName } from '../decoding/presets.js';
import type { GenerateOptions } from '../plan.js';
import type { Node } from '../schema/types.js';
import { boolean, integer, invalid, list, number, object, oneOf, string } from '../validate.js';
import { HttpError } from './errors.js';
import { schemaDefaults } from './format.js';
import type { Engine } from './engine.js';
import type { Limits } from './limits.js';
import { steeringKeys, steeringOf, type Steering } from './steering.js';
import { masksBehind } from '../schema/desk.js';
import type { Tools } from './tools.js';

export type Body = Record<string, unknown>;

export const canvasModes = ['off', 'text', 'delta', 'full'] as const;

/** The namespaced object `lacuna` of a request. */
export interface LacunaFields extends Steering {
  preset?: PresetName;
  canvas: (typeof canvasModes)[number];
  /** A canvas frame every so many steps. */
  every: number;
  /** Most probable tokens reported for every masked position. */
  candidates: number;
  steps?: number;
  /** Fields that mean nothing here are errors. */
  strict: boolean;
}

/** What completions and chats have in common. */
export interface Wanted {
  options: GenerateOptions;
  /** Most tokens of an answer; undefined: as is usual, see `lengthsOf`. */
  maxTokens: number | undefined;
  n: number;
  stop: string[];
  stream: boolean;
  includeUsage: boolean;
  /** Most probable tokens reported with each; undefined: no log probabilities. */
  logprobs: number | undefined;
  lacuna: LacunaFields;
  /** What comes behind the answer. */
  suffix?: Int32Array;
  /** What the answer probably is. */
  prediction?: string;
  /** The answer is JSON by this plan. */
  json?: Node;
  /** Functions that the answer may call. */
  tools?: Tools;
  /** Most tokens of a string of JSON whose schema does not say more. */
  maxStringTokens: number;
  /** Fields that mean nothing here. */
  ignored: string[];
}

const known = [
  ...['model', 'max_tokens', 'max_completion_tokens', 'temperature', 'top_p', 'top_k', 'seed'],
  ...['stop', 'n', 'stream', 'stream_options', 'logprobs', 'top_logprobs', 'user', 'lacuna'],
  ...['reasoning_effort', 'metadata', 'store'],
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
export const effortNames = Object.keys(efforts);

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
  const lacuna = lacunaOf(body.lacuna, limits, canvas);
  const ignored = Object.keys(body).filter((key) => ![...known, ...own].includes(key));
  const n = optional('n', body.n, (name, value) => integer(name, value, { min: 1, max: limits.n }));
  const most = { min: 1, max: limits.canvas };
  const maxTokens =
    optional('max_completion_tokens', body.max_completion_tokens, (name, value) =>
      integer(name, value, most),
    ) ?? optional('max_tokens', body.max_tokens, (name, value) => integer(name, value, most));
  const stream = optional('stream', body.stream, boolean) ?? false;
  const streamOptions = object('stream_options', body.stream_options ?? undefined);
  const effort = optional('reasoning_effort', body.reasoning_effort, (name, value) =>
    oneOf(name, value, effortNames),
  );
  const preset = lacuna.preset ?? (effort === undefined ? undefined : efforts[effort]);
  const { steps } = lacuna;
  const options = {
    temperature: optional('temperature', body.temperature, (name, value) =>
      number(name, value, { min: 0, max: 2 }),
    ),
    // Zero, which the library refuses, is how clients ask for the most probable token.
    topP: optional('top_p', body.top_p, (name, value) =>
      Math.max(Number.EPSILON, number(name, value, { min: 0, max: 1 })),
    ),
    topK: optional('top_k', body.top_k, (name, value) => integer(name, value, { min: 1 })),
    seed: optional('seed', body.seed, (name, value) => integer(name, value, { min: 0 })),
    ...{ preset, steps, ...lacuna.policies },
  };
  const length = maxTokens ?? usualTokens;
  if (steps !== undefined && steps > limits.stepsPerToken * length) {
    const right = `at most ${limits.stepsPerToken} for each of ${length} tokens`;
    invalid('lacuna.steps', steps, right);
  }
  return {
    options: given(options),
    maxTokens,
    n: n ?? 1,
    stop: stopOf(body.stop, limits),
    stream,
    includeUsage: optional('include_usage', streamOptions.include_usage, boolean) ?? false,
    logprobs: undefined,
    lacuna,
    maxStringTokens: schemaDefaults.maxStringTokens,
    ignored,
  };
}

function lacunaOf(value: unknown, limits: Limits, header: string | null): LacunaFields {
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

/** Tokens of an answer, where neither the request nor the defaults say. */
export const usualTokens = 256;

/** How long answers may be. */
export interface Lengths {
  /** Positions of the canvas after the prompt. */
  maxTokens: number;
  /** Tokens of JSON and calls, which need no canvas of their own. */
  room: number;
}

/**
 * Who does not say how long the answer may be gets the usual length, or what the context has left.
 * Throws `context_length_exceeded`.
 */
export function lengthsOf(
  prompt: number,
  { maxTokens, suffix, json, tools }: Wanted,
  { most: context, defaults }: Engine,
): Lengths {
  const behind = suffix?.length ?? 0;
  const left = context - prompt - behind;
  const written = json !== undefined || tools !== undefined;
  const room = Math.min(maxTokens ?? Infinity, left - 1 - masksBehind);
  const usual = defaults.maxTokens ?? usualTokens;
  const wanted = maxTokens ?? Math.min(usual, Math.max(1, left));
  if (wanted <= left && (!written || room > 0)) return { maxTokens: wanted, room };
  throw new HttpError(
    400,
    `the prompt of ${prompt} tokens${behind > 0 ? `, a suffix of ${behind}` : ''} and an answer of ` +
      `up to ${wanted} make ${prompt + behind + wanted}, but the context has ${context}`,
    { code: 'context_length_exceeded', param: 'messages' },
  );
}

/** Refuses, for those who want that, fields that mean nothing here. */
export function refuseIgnored({ ignored, lacuna }: Wanted): void {
  if (!lacuna.strict || ignored.length === 0) return;
  throw new HttpError(400, `these fields mean nothing here: ${headerList(ignored)}`, {
    code: 'unsupported_parameter',
    param: ignored[0].slice(0, 64),
  });
}

/** Names that a client chose, as far as a header takes them. */
export function headerList(names: readonly string[]): string {
  return names
    .filter((name) => /^[\w.-]{1,64}$/.test(name))
    .slice(0, 32)
    .join(', ');
}

/** Wishes that do not go with what else is asked for are passed over like unknown fields. */
export function ignore(wanted: Wanted, body: Body, keys: readonly string[]): void {
  const given = keys.filter((key) => body[key] !== undefined && body[key] !== null);
  wanted.ignored.push(...given);
}
