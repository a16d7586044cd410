/** What `lacuna bench`, and the larger bench of the repository, measure of a loaded model. */
import { blocks, dualCache, lowConfidence } from '../decoding/index.js';
import type { TraceStep } from '../trace.js';
import type { Model, ModelInfo } from '../model.js';
import { native, type NativePeak } from '../native.js';
import type { DiffusionSession } from '../session.js';
import type { StepRequest, StepTiming } from '../types.js';
import { median } from './format.js';

const blockRows = 32;

export const verbs = [
  'embed',
  'norm',
  'linear',
  'rope',
  'attend',
  'moe',
  'head',
  'commit',
] as const;

/** Milliseconds in each verb of a step, and in none of them. */
export type Parts = Record<(typeof verbs)[number] | 'rest', number>;

export interface StepMeasurement {
  rows: number;
  /** Positions whose statistics the head reduced. */
  reported: number;
  runs: number;
  /** Median from the call to the result. */
  milliseconds: number;
  rowsPerSecond: number;
  /** Additions and multiplications of the matrix products and the attention. */
  operations: number;
  /** 10⁹ operations a second. */
  gops: number;
  /** Medians; `rest` is what the call took beyond its verbs. */
  timing: Parts;
}

export interface GenerationMeasurement {
  prompt: number;
  tokens: number;
  forwards: number;
  /** From the call to the result. */
  milliseconds: number;
  tokensPerSecond: number;
  /** Means over the steps that computed so many rows; `rest` is what native code did beyond verbs. */
  steps: { rows: number; count: number; milliseconds: number; timing: Parts }[];
  accounting: Accounting;
}

/** Where the time of a generation went, as parts of 1. */
export interface Accounting {
  /** Of the native time of all steps, what the verbs add up to. */
  verbs: number;
  /** The same of the step that accounts for least. */
  leastOfAStep: number;
  /** Of the whole time, what was spent outside native steps: JavaScript and crossing the boundary. */
  outside: number;
}

export interface Measurements {
  canvas: number;
  /** All rows, as in the first step of a block. */
  forward: StepMeasurement;
  /** Only the rows of one block, as in its other steps with the dual cache. */
  block: StepMeasurement;
  /** From token ids to the answer: blocks of 32, dual cache. */
  generation: GenerationMeasurement;
}

export async function measureModel(
  model: Model,
  { rows, canvas }: { rows: number; canvas: number },
  signal: AbortSignal,
): Promise<Measurements> {
  using session = model.createSession({ length: canvas });
  const start = Math.max(0, Math.min(canvas - blockRows, Math.floor(rows / 2)));
  const block = { start, end: Math.min(canvas, start + blockRows) };
  return {
    canvas,
    forward: await measureStep(session, { rows: { start: 0, end: rows } }, { signal }),
    block: await measureStep(session, { rows: block }, { signal }),
    generation: await measureGeneration(model, { prompt: 32, tokens: 64, perStep: 2 }, signal),
  };
}

export interface Repeats {
  signal?: AbortSignal;
  /** Runs at least; default 5. */
  fewest?: number;
  /** Milliseconds of runs at least; default 1500. */
  enough?: number;
}

const tooLong = 20_000; // milliseconds after which fewer runs must do

/** Repeats a step that commits nothing, so that every run does the same work. */
export async function measureStep(
  session: DiffusionSession,
  request: StepRequest<DiffusionSession>,
  { signal, fewest = 5, enough = 1500 }: Repeats = {},
): Promise<StepMeasurement> {
  const options = signal ? { signal } : {};
  // Memory is touched for the first time: not counted.
  const { rows, position } = await session.step(request, options);
  const times: number[] = [];
  const timings: Parts[] = [];
  const start = performance.now();
  for (let spent = 0; (times.length < fewest || spent < enough) && spent < tooLong;) {
    const before = performance.now();
    const { timing } = await session.step(request, options);
    const now = performance.now();
    times.push(now - before);
    timings.push(partsOf(timing, now - before));
    spent = now - start;
  }
  const milliseconds = median(times);
  const { matrix, attention } = operations(
    session.model.info,
    rows,
    position.length,
    visibleKeys(request, session.length),
  );
  return {
    rows,
    reported: position.length,
    runs: times.length,
    milliseconds,
    rowsPerSecond: (1000 * rows) / milliseconds,
    operations: matrix + attention,
    gops: (matrix + attention) / milliseconds / 1e6,
    timing: combine(timings, median),
  };
}

function visibleKeys({ visible }: StepRequest, length: number): number {
  return typeof visible === 'object' ? visible.length : (visible ?? length);
}

function partsOf(timing: StepTiming, whole: number): Parts {
  const rest = verbs.reduce((left, verb) => left - timing[verb], whole);
  const { embed, norm, linear, rope, attend, moe, head, commit } = timing;
  return { embed, norm, linear, rope, attend, moe, head, commit, rest };
}

function combine(all: readonly Parts[], by: (values: number[]) => number): Parts {
  const part = (name: keyof Parts): [string, number] => [name, by(all.map((one) => one[name]))];
  return Object.fromEntries([...verbs, 'rest' as const].map(part)) as Parts;
}

/**
 * Multiplications and additions of a forward: 2 for each weight of a matrix and row, 4 for each
 * key, row and head dimension. Only reported rows reach the head.
 */
export function operations(
  info: Pick<
    ModelInfo,
    | 'layers'
    | 'dim'
    | 'heads'
    | 'kvHeads'
    | 'headDim'
    | 'ffn'
    | 'experts'
    | 'expertsUsed'
    | 'expertFfn'
    | 'vocabulary'
  >,
  rows: number,
  reported: number,
  keys: number,
): { matrix: number; attention: number } {
  const { layers, dim, heads, kvHeads, headDim, vocabulary } = info;
  const keyValue = 2 * dim * headDim * kvHeads;
  const queryOutput = 2 * dim * headDim * heads;
  const feedForward =
    info.experts > 0
      ? dim * info.experts + info.expertsUsed * 3 * dim * info.expertFfn
      : 3 * dim * info.ffn;
  // The last layer makes keys and values of every row, and the rest for those that are reported.
  const whole = rows * (layers - 1) + reported;
  const products = rows * layers * keyValue + whole * (queryOutput + feedForward);
  return {
    matrix: 2 * (products + reported * dim * vocabulary),
    attention: whole * 4 * keys * heads * headDim,
  };
}

export interface GenerationShape {
  /** Tokens of the prompt. */
  prompt: number;
  /** Tokens to make. */
  tokens: number;
  /** Tokens that a step commits. */
  perStep: number;
}

/** One generation with blocks of 32 and the dual cache. Shorter if the model's context is. */
export async function measureGeneration(
  model: Model,
  shape: GenerationShape,
  signal?: AbortSignal,
): Promise<GenerationMeasurement> {
  const { context, tokens: special } = model.info;
  const taken = new Set(Object.values(special));
  const prompt = Array.from({ length: shape.prompt + taken.size }, (_, i) => i + 32)
    .filter((id) => !taken.has(id))
    .slice(0, shape.prompt);
  const room = context > 0 ? context - prompt.length : shape.tokens;
  const before = performance.now();
  const { result } = model.generate(prompt, {
    maxTokens: Math.max(1, Math.min(shape.tokens, room)),
    decode: lowConfidence({ steps: shape.tokens / shape.perStep }),
    blocks: blocks(blockRows),
    cache: dualCache(),
    stopAtEos: false,
    ...(signal && { signal }),
  });
  const { canvas, forwards, trace } = await result;
  const milliseconds = performance.now() - before;
  const tokens = canvas.length - prompt.length;
  return {
    prompt: prompt.length,
    tokens,
    forwards,
    milliseconds,
    tokensPerSecond: (1000 * tokens) / milliseconds,
    ...account(trace, milliseconds),
  };
}

function account(
  trace: readonly TraceStep[],
  milliseconds: number,
): Pick<GenerationMeasurement, 'steps' | 'accounting'> {
  const done = trace.flatMap(({ rows, timing }) =>
    timing ? [{ rows, total: timing.total, parts: partsOf(timing, timing.total) }] : [],
  );
  const kinds = [...new Set(done.map(({ rows }) => rows))].sort((a, b) => b - a);
  const steps = kinds.map((rows) => {
    const same = done.filter((step) => step.rows === rows);
    return {
      rows,
      count: same.length,
      milliseconds: mean(same.map(({ total }) => total)),
      timing: combine(
        same.map(({ parts }) => parts),
        mean,
      ),
    };
  });
  const total = sum(done.map((step) => step.total));
  const rest = sum(done.map(({ parts }) => parts.rest));
  const accounting = {
    verbs: 1 - rest / total,
    leastOfAStep: Math.min(...done.map(({ total, parts }) => 1 - parts.rest / total)),
    outside: 1 - total / milliseconds,
  };
  return { steps, accounting };
}

const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);
const mean = (values: number[]): number => sum(values) / values.length;

/** 10⁹ operations a second. */
export type Peak = NativePeak;

/** What the arithmetic units do at most with the instructions of the ISA in use. */
export async function measurePeak({
  threads = 0,
  isa,
}: {
  threads?: number;
  isa?: string;
}): Promise<Peak | undefined> {
  const peaks = await native().peaks(threads).promise;
  return isa === undefined ? peaks[0] : peaks.find((peak) => peak.isa === isa);
}
