/** What `lacuna bench` measures of a loaded model. */
import { blocks, dualCache, lowConfidence } from '../decoding/index.js';
import type { Model, ModelInfo } from '../model.js';
import { native, type NativePeak } from '../native.js';
import type { DiffusionSession } from '../session.js';
import type { StepRequest, StepResult, StepTiming } from '../types.js';
import { median } from './format.js';

const blockRows = 32;
const answer = 64; // tokens of the generation
const fewest = 5; // runs
const enough = 1500; // milliseconds of runs
const tooLong = 20_000; // milliseconds after which fewer runs must do

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
  /** Median milliseconds in each part of the forward. */
  timing: Pick<StepTiming, 'linear' | 'moe' | 'attend' | 'head'>;
}

export interface GenerationMeasurement {
  tokens: number;
  forwards: number;
  milliseconds: number;
  tokensPerSecond: number;
}

export interface Measurements {
  canvas: number;
  /** All rows, as in the first step of a block. */
  forward: StepMeasurement;
  /** Only the rows of one block, as in its other steps with the dual cache. */
  block: StepMeasurement;
  /** From token ids to the answer: blocks of 32, dual cache, two tokens a step. */
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
  const measure = (request: StepRequest<DiffusionSession>): Promise<StepMeasurement> =>
    repeat(() => session.step(request, { signal }), model.info, canvas);
  return {
    canvas,
    forward: await measure({ rows: { start: 0, end: rows } }),
    block: await measure({ rows: block }),
    generation: await generation(model, signal),
  };
}

/** Nothing is committed, so every run does the same work. */
async function repeat(
  step: () => Promise<StepResult>,
  info: ModelInfo,
  keys: number,
): Promise<StepMeasurement> {
  const { rows, position } = await step(); // memory is touched for the first time: not counted
  const times: number[] = [];
  const timings: StepTiming[] = [];
  const start = performance.now();
  for (let spent = 0; (times.length < fewest || spent < enough) && spent < tooLong;) {
    const before = performance.now();
    const { timing } = await step();
    const now = performance.now();
    times.push(now - before);
    timings.push(timing);
    spent = now - start;
  }
  const milliseconds = median(times);
  const part = (name: keyof StepTiming): number => median(timings.map((timing) => timing[name]));
  const done = operations(info, rows, position.length, keys);
  return {
    rows,
    reported: position.length,
    runs: times.length,
    milliseconds,
    rowsPerSecond: (1000 * rows) / milliseconds,
    operations: done,
    gops: done / milliseconds / 1e6,
    timing: {
      linear: part('linear'),
      moe: part('moe'),
      attend: part('attend'),
      head: part('head'),
    },
  };
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
): number {
  const { layers, dim, heads, kvHeads, headDim, vocabulary } = info;
  const attention = 2 * dim * headDim * (heads + kvHeads);
  const feedForward =
    info.experts > 0
      ? dim * info.experts + info.expertsUsed * 3 * dim * info.expertFfn
      : 3 * dim * info.ffn;
  const perRow = 2 * (attention + feedForward) + 4 * keys * heads * headDim;
  return rows * layers * perRow + reported * 2 * dim * vocabulary;
}

async function generation(model: Model, signal: AbortSignal): Promise<GenerationMeasurement> {
  const { context, tokens } = model.info;
  const special = new Set(Object.values(tokens));
  const prompt = Array.from({ length: 32 }, (_, i) => i + 32).filter((id) => !special.has(id));
  const room = context > 0 ? context - prompt.length : answer;
  const { result } = model.generate(prompt, {
    maxTokens: Math.max(1, Math.min(answer, room)),
    decode: lowConfidence({ steps: answer / 2 }),
    blocks: blocks(blockRows),
    cache: dualCache(),
    stopAtEos: false,
    signal,
  });
  const { canvas, forwards, timing } = await result;
  const made = canvas.length - prompt.length;
  return {
    tokens: made,
    forwards,
    milliseconds: timing.total,
    tokensPerSecond: (1000 * made) / timing.total,
  };
}

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
