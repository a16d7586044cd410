/** What the namespaced object `lacuna` of a request says of the run itself. */
import { policyNamed } from '../decoding/catalogue.js';
import { factsOf, named } from '../decoding/named.js';
import type { Decoder, LengthPlan } from '../decoding/policy.js';
import type { GenerateOptions } from '../plan.js';
import { hole } from '../template/hole.js';
import type { Segment } from '../template/types.js';
import type { Tokenizer } from '../text/tokenizer.js';
import {
  boolean,
  integer,
  invalid,
  knownKeys,
  list,
  object,
  string,
  tokenIds,
} from '../validate.js';
import type { Limits } from './limits.js';

/** Statistics of masked positions that the canvas channel can carry beside the confidence. */
export const measureNames = ['entropy', 'margin'] as const;
export type Measure = (typeof measureNames)[number];

export interface Steering {
  /** Policies that the request names, and where the canvas starts. */
  policies: Pick<GenerateOptions, 'decode' | 'blocks' | 'cache' | 'length'>;
  /** The run ends after so many steps, masks or not. */
  pause?: number;
  measures: Measure[];
  /** Masked positions of later blocks are reported too. */
  ahead: boolean;
  /** The answer, of which parts are known. */
  template?: Segment[];
}

export const steeringKeys = [
  ...['decode', 'blocks', 'cache', 'start', 'fixed', 'pause', 'measures', 'ahead', 'template'],
] as const;

const given = (value: unknown) => value !== undefined && value !== null;

/** Throws `INVALID_ARGUMENT`. */
export function steeringOf(fields: Record<string, unknown>, limits: Limits): Steering {
  const { start, fixed, pause, measures, ahead, template } = fields;
  if (given(fixed) && !given(start)) invalid('lacuna.fixed', fixed, 'left out without start');
  if (given(template) && given(start)) invalid('lacuna.template', template, 'left out with start');
  return {
    policies: {
      ...(given(fields.decode) && { decode: decoderOf(fields.decode, limits) }),
      ...(given(fields.blocks) && {
        blocks: policyNamed('blocks', 'lacuna.blocks', fields.blocks),
      }),
      ...(given(fields.cache) && { cache: policyNamed('cache', 'lacuna.cache', fields.cache) }),
      ...(given(start) && { length: startOf(start, fixed, limits) }),
    },
    ...(given(pause) && { pause: integer('lacuna.pause', pause, { min: 1 }) }),
    measures: given(measures) ? measuresOf(measures) : [],
    ahead: given(ahead) && boolean('lacuna.ahead', ahead),
    ...(given(template) && { template: templateOf(template, limits) }),
  };
}

/** Each canvas that it looks at beside the run's own is a session. */
function decoderOf(value: unknown, { hypotheses }: Limits): Decoder {
  const decode = policyNamed('decode', 'lacuna.decode', value);
  const { width = 0 } = (factsOf(decode).options ?? {}) as { width?: number };
  if (width > hypotheses) invalid('lacuna.decode.options.width', width, `at most ${hypotheses}`);
  return decode;
}

function measuresOf(value: unknown): Measure[] {
  const names = list('lacuna.measures', value, 'an array of names').map((name, i) => {
    const known = measureNames.find((one) => one === name);
    return known ?? invalid(`lacuna.measures[${i}]`, name, `one of ${measureNames.join(', ')}`);
  });
  return [...new Set(names)];
}

/** Tokens by position of the answer, null where it is masked; those that `fixed` lists stay. */
function startOf(start: unknown, fixed: unknown, limits: Limits): LengthPlan {
  const tokens = list('lacuna.start', start, 'an array of token ids and nulls').map((token, i) =>
    token === null ? null : integer(`lacuna.start[${i}]`, token, { min: 0 }),
  );
  if (tokens.length > limits.canvas) {
    invalid('lacuna.start', tokens, `at most ${limits.canvas} tokens`);
  }
  const listed = list('lacuna.fixed', fixed ?? [], 'an array of positions');
  if (listed.length > tokens.length) invalid('lacuna.fixed', listed, 'each position once');
  const pins = new Set(
    listed.map((position, i) => {
      const name = `lacuna.fixed[${i}]`;
      integer(name, position, { min: 0, max: tokens.length - 1 });
      if (tokens[position as number] === null) invalid(name, position, 'of a known token');
      return position as number;
    }),
  );
  const known = tokens.filter((token) => token !== null).length;
  return named('start', { known, fixed: pins.size }, (run) => {
    if (tokens.length > run.maxTokens) {
      invalid('lacuna.start', tokens, `at most max_tokens (${run.maxTokens}) long`);
    }
    const { mask } = run.tokens;
    const initial = Array.from({ length: run.maxTokens }, (_, i) => tokens[i] ?? mask);
    tokenIds('lacuna.start', initial, run.vocabulary);
    return { initial, fixed: (position) => pins.has(position - run.prompt) };
  });
}

/** Of the answer that a template can become. */
export function mostTokens(template: readonly Segment[], tokenizer: Tokenizer): number {
  return template.reduce<number>((sum, part) => {
    if (typeof part === 'string') return sum + tokenizer.encode(part, { bos: false }).length;
    return sum + ('kind' in part ? part.max : part.length);
  }, 0);
}

/** Texts and holes `{ min, max, stop }` or `{ choices }` in order. */
function templateOf(value: unknown, limits: Limits): Segment[] {
  const parts = list('lacuna.template', value, 'an array of texts and holes');
  if (parts.length === 0 || parts.length > limits.segments) {
    invalid('lacuna.template', parts, `from 1 to ${limits.segments} texts and holes`);
  }
  return parts.map((part, i) => {
    const name = `lacuna.template[${i}]`;
    if (typeof part === 'string') return part;
    const fields = object(name, part);
    knownKeys(name, fields, ['min', 'max', 'stop', 'choices']);
    const few = (key: 'stop' | 'choices') => textsOf(`${name}.${key}`, fields[key], limits);
    if (given(fields.choices)) {
      if (given(fields.min) || given(fields.max) || given(fields.stop)) {
        invalid(`${name}.choices`, fields.choices, 'given alone');
      }
      return hole({ choices: few('choices') });
    }
    const max = integer(`${name}.max`, fields.max ?? 32, { min: 1, max: limits.canvas });
    const min = integer(`${name}.min`, fields.min ?? 1, { min: 0, max });
    return hole({ min, max, stop: given(fields.stop) ? few('stop') : [] });
  });
}

function textsOf(name: string, value: unknown, limits: Limits): string[] {
  const texts = list(name, value, 'an array of texts').map((text, i) =>
    string(`${name}[${i}]`, text),
  );
  if (texts.length > limits.stop || texts.some((text) => text.length > limits.stopLength)) {
    invalid(name, texts, `at most ${limits.stop} texts of ${limits.stopLength} characters`);
  }
  return texts;
}
