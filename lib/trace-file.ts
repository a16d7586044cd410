/** A generation as JSON: everything that is needed to draw it again, without the model. */
import { LacunaError } from './errors.js';
import type { AnswerView } from './frames.js';
import type { GenerationResult } from './generation.js';
import type { GenerationModel } from './plan.js';
import type { Counts, TraceStep } from './trace.js';
import type { Tokenizer } from './text/tokenizer.js';
import type { Sampling } from './types.js';

/** Where the answer lies in the canvas, and when it ends. */
export interface AnswerShape extends Pick<
  AnswerView,
  'maxTokens' | 'initial' | 'capacity' | 'mask' | 'blocks'
> {
  /** Tokens that end an answer. */
  ends: number[];
}

/** The content of a trace file. */
export interface TraceFile {
  kind: 'trace';
  model: { architecture: string; vocabulary: number; name: string };
  /** What was asked for; the defaults are left out. */
  sampling: Pick<Sampling, 'temperature' | 'topK' | 'topP' | 'seed'>;
  /** What ran in each role, with its options. */
  policies: unknown;
  /** Token ids. */
  prompt: number[];
  shape: AnswerShape;
  steps: TraceStep[];
  counts: Counts;
  forwards: number;
  finishReason: GenerationResult['finishReason'];
  /** Milliseconds. */
  timing: GenerationResult['timing'];
  text: string;
  /** Token ids of the answer. */
  tokens: number[];
  /** UTF-8 bytes, in base64, of every token that the prompt or a step names. Empty: no tokenizer. */
  pieces: Record<string, string>;
  /** Those of them that are control tokens. */
  special: Record<string, string>;
}

/**
 * A result as plain data, for `JSON.stringify`: a probability that a policy's own token has not is
 * null there.
 * @param sampling as the run was asked for it: results do not say
 */
export function traceFile(
  model: { info: GenerationModel['info'] & { name?: string }; tokenizer: Tokenizer },
  result: GenerationResult,
  { temperature, topK, topP, seed }: TraceFile['sampling'] = {},
): TraceFile {
  const { policies, shape, trace, counts, forwards, finishReason, timing, text, tokens } = result;
  const { architecture, vocabulary, name = '' } = model.info;
  const prompt = [...result.prompt];
  const words = wordsOf(model, [...prompt, ...shape.initial, ...trace.flatMap(namedTokens)]);
  return {
    kind: 'trace',
    model: { architecture, vocabulary, name },
    sampling: { temperature, topK, topP, seed },
    policies: plain(policies),
    ...{ prompt, shape, steps: trace, counts, forwards, finishReason, timing, text },
    tokens: [...tokens],
    ...words,
  };
}

/** Reads what `JSON.stringify(traceFile(…))` wrote. Throws `INVALID_ARGUMENT` for anything else. */
export function parseTrace(json: string): TraceFile {
  let value: unknown;
  try {
    value = JSON.parse(json, (key, item: unknown) => (key === 'steps' ? stepsOf(item) : item));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LacunaError('INVALID_ARGUMENT', `trace: not JSON: ${why}`, { cause });
  }
  const file = value as TraceFile | null;
  const lists = [file?.steps, file?.prompt, file?.shape?.ends];
  if (file?.kind === 'trace' && lists.every(Array.isArray)) return file;
  throw new LacunaError(
    'INVALID_ARGUMENT',
    'trace: this JSON is not a trace; `lacuna run --trace FILE` writes one',
  );
}

/** JSON has no NaN. */
function stepsOf(steps: unknown): unknown {
  for (const { committed, edited } of Array.isArray(steps) ? (steps as TraceStep[]) : []) {
    for (const entry of [...(committed ?? []), ...(edited ?? [])]) entry[2] ??= NaN;
  }
  return steps;
}

function namedTokens({ committed, edited = [], splices = [] }: TraceStep): number[] {
  const written = [...committed, ...edited].map(([, token]) => token);
  return [...written, ...splices.flatMap(({ tokens }) => tokens)];
}

function wordsOf(
  model: Pick<GenerationModel, 'tokenizer'>,
  tokens: readonly number[],
): Pick<TraceFile, 'pieces' | 'special'> {
  let tokenizer: Tokenizer;
  try {
    tokenizer = model.tokenizer;
  } catch (error) {
    if (LacunaError.isInstance(error) && error.code === 'UNSUPPORTED_TOKENIZER') {
      return { pieces: {}, special: {} };
    }
    throw error;
  }
  const ids = [...new Set(tokens)].sort((a, b) => a - b);
  const names = new Map(Array.from(tokenizer.controlTokens, ([name, id]) => [id, name]));
  const control = ids.filter((id) => names.has(id));
  const encode = (id: number) => Buffer.from(tokenizer.bytes(id)).toString('base64');
  return {
    pieces: Object.fromEntries(ids.map((id) => [id, encode(id)])),
    special: Object.fromEntries(control.map((id) => [id, names.get(id)!])),
  };
}

/** Options may hold functions and typed arrays: their names, their numbers. */
function plain(policies: unknown): unknown {
  return JSON.parse(
    JSON.stringify(policies, (_, value: unknown) => {
      if (typeof value === 'function') return `${value.name || 'anonymous'}()`;
      if (ArrayBuffer.isView(value)) return Array.from(value as Float64Array);
      return value;
    }),
  );
}
