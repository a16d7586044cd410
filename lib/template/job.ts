/** From what the caller asks for to a plain prompt and the options of a run. */
import { leftToRight, topK } from '../decoding/low-confidence.js';
import type { Decoder } from '../decoding/policy.js';
import { LacunaError } from '../errors.js';
import type { GenerationResult } from '../generation.js';
import type { GenerateOptions, GenerationModel, Prompt } from '../plan.js';
import { isChat, maskOf, refuseMask, usableTokenizer, type PlainPrompt } from '../prompt.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { boolean, integer, invalid, knownKeys, list, tokenIds } from '../validate.js';
import { encodeChoices } from './choices.js';
import { Gaps, type Filling, type Part } from './gaps.js';
import { hole, isHole } from './hole.js';
import { templatePlan } from './plan.js';
import type { Gap, Hole, Segment, Template } from './types.js';

export interface Job {
  prompt: PlainPrompt;
  options: GenerateOptions;
  /** Puts what the holes came to into the result. */
  finish?: (result: GenerationResult) => GenerationResult;
}

/** A template is a length plan; everything else passes through. Throws `INVALID_ARGUMENT`. */
export function jobOf(model: GenerationModel, prompt: Prompt, options: GenerateOptions): Job {
  if (isGap(prompt)) {
    knownKeys('{ prefix, suffix }', prompt, ['prefix', 'suffix']);
    const { maxTokens = 128, ...others } = options;
    const max = integer('maxTokens', maxTokens, { min: 1 });
    const segments = [hole({ max }), prompt.suffix];
    return templateJob(model, { prompt: prompt.prefix, segments }, others);
  }
  return isTemplate(prompt) ? templateJob(model, prompt, options) : { prompt, options };
}

function isGap(prompt: Prompt): prompt is Gap {
  return typeof prompt === 'object' && prompt !== null && 'suffix' in prompt;
}

function isTemplate(prompt: Prompt): prompt is Template {
  return typeof prompt === 'object' && prompt !== null && 'segments' in prompt;
}

function templateJob(model: GenerationModel, template: Template, options: GenerateOptions): Job {
  knownKeys('template', template, ['prompt', 'segments', 'end']);
  for (const key of ['maxTokens', 'length', 'stopAtEos'] as const) {
    if (options[key] !== undefined) invalid(key, options[key], 'left out: the template says it');
  }
  const { tokens } = model.info;
  const { prompt = noPrompt(model), segments, end } = template;
  const texts = list('template: segments', segments).some((part) => typeof part === 'string');
  const tokenizer = usableTokenizer(model, texts ? '' : prompt);
  const mask = maskOf(model);
  const closing = boolean('template: end', end ?? isChat(prompt))
    ? closingToken(model, tokenizer)
    : new Int32Array();
  const eos = [tokens.eos, tokens.eot ?? tokenizer?.eot].filter((token) => token !== undefined);
  const parts = [...partsOf(model, segments, options.special ?? false, tokenizer), closing];
  const gaps = new Gaps(parts, { mask, eos: new Set(eos), tokenizer });
  if (gaps.most === 0) invalid('template: segments', segments, 'a text or a hole at least');
  const decode = options.decode ?? (options.preset === undefined ? usualDecoder(model) : undefined);
  return {
    prompt,
    options: { ...options, decode, maxTokens: gaps.most, length: templatePlan(gaps) },
    finish: (result) => finished(result, gaps, closing.length),
  };
}

/** A model without a tokenizer has no text to begin with. */
function noPrompt(model: GenerationModel): PlainPrompt {
  return usableTokenizer(model, []) === undefined ? [] : '';
}

function partsOf(
  { info }: GenerationModel,
  segments: readonly Segment[],
  special: boolean,
  tokenizer: Tokenizer | undefined,
): Part[] {
  const joined: Segment[] = [];
  for (const segment of segments) {
    const last = joined.at(-1);
    if (typeof segment === 'string' && typeof last === 'string')
      joined.splice(-1, 1, last + segment);
    else joined.push(segment);
  }
  return joined.map((segment, i) => {
    const name = `template: segment ${i}`;
    if (isHole(segment)) {
      for (const [key, ids] of [
        ['allow', segment.allow ?? []],
        ['suppress', segment.suppress],
        ['stop', segment.stop.filter((stop) => typeof stop === 'number')],
      ] as const) {
        tokenIds(`${name}: ${key}`, ids, info.vocabulary);
      }
      const needs = segment.stop.find((stop) => typeof stop === 'string');
      if (needs !== undefined && tokenizer === undefined) {
        invalid(`${name}: stop`, needs, 'a token id: this model has no tokenizer for texts');
      }
      return segment.choices.length === 0 ? segment : chosenOf(name, segment, tokenizer);
    }
    const known =
      typeof segment === 'string'
        ? tokenizer!.encode(segment, { bos: false, special })
        : tokenIds(name, segment, info.vocabulary);
    refuseMask(name, known, info.tokens.mask!);
    return known;
  });
}

/** With its choices as tokens, and the lengths that these have. */
function chosenOf(name: string, gap: Hole, tokenizer: Tokenizer | undefined): Filling {
  const { choices } = gap;
  if (tokenizer === undefined) {
    return invalid(`${name}: choices`, choices, 'left out: this model has no tokenizer for texts');
  }
  const tokens = encodeChoices(`${name}: choices`, choices, tokenizer);
  const lengths = tokens.map((choice) => choice.length);
  const min = Math.min(...lengths);
  return { ...gap, min, max: Math.max(...lengths), initial: min, tokens };
}

function closingToken({ info }: GenerationModel, tokenizer: Tokenizer | undefined): Int32Array {
  const token = info.tokens.eot ?? tokenizer?.eot ?? info.tokens.eos;
  if (token !== undefined) return Int32Array.of(token);
  throw new LacunaError(
    'INVALID_ARGUMENT',
    'template: end must be false: this model names no token that ends a turn or a text',
  );
}

/** One token a forward, without a schedule: holes change how many there are. */
function usualDecoder({ info }: GenerationModel): Decoder | undefined {
  if (info.attention === 'causal') return leftToRight();
  if (info.attention !== 'full') return undefined;
  return topK({ score: info.logitShift === 1 ? 'negEntropy' : 'probability' });
}

function finished(result: GenerationResult, gaps: Gaps, closing: number): GenerationResult {
  const { canvas, prompt, trace, finishReason, forwards, counts } = result;
  const holes = gaps.filled(canvas.subarray(prompt.length), prompt.length);
  const filled = holes.reduce((sum, { tokens }) => sum + tokens.length, 0);
  return {
    ...result,
    tokens: result.tokens.subarray(0, result.tokens.length - closing),
    holes,
    steps: trace.length,
    counts: { ...counts, tokensPerForward: forwards === 0 ? 0 : filled / forwards },
    finishReason: finishReason === 'steps' ? 'steps' : 'filled',
  };
}
