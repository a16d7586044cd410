/** A generation while it runs and when it is done: frames, trace, result. */
import { LacunaError } from './errors.js';
import type { Tokenizer } from './text/tokenizer.js';
import type { StepTiming } from './types.js';

/** What one step did. */
export interface TraceStep {
  step: number;
  /** Index of the active block. */
  block: number;
  /** Rows computed; 0 for a step of the schedule that commits nothing and makes no forward. */
  rows: number;
  /**
   * [canvas position, token, probability] in ascending order of position. The probability is that of
   * the step's statistics; NaN if a policy wrote a token that was not proposed.
   */
  committed: [position: number, token: number, probability: number][];
  /** Of the forward, if there was one. */
  timing?: StepTiming;
}

/** The answer after one step. Indices count from the first position of the answer. */
export interface Frame {
  /** The answer as text, `░` for each mask; cut at the end of text once all before it is known. */
  readonly text: string;
  /** (maxTokens) MASK where nothing is known yet. */
  readonly tokens: Int32Array;
  /** (maxTokens) of the token when it was committed; 0 where nothing is known yet. */
  readonly probability: Float32Array;
  /** Indices that are still masked, ascending. */
  readonly masked: Int32Array;
  /** Indices that this step committed, ascending. */
  readonly committed: Int32Array;
  /** Counts from 0; so does `block`. */
  readonly step: number;
  readonly block: number;
  readonly blocks: number;
  /** Forwards made so far. */
  readonly forwards: number;
  /** Length of `masked`. */
  readonly remaining: number;
}

export interface GenerationResult {
  /** `tokens` as text; `''` for a model without a usable tokenizer. */
  text: string;
  /** The answer up to the first end of text or turn, without it and without positions left masked. */
  tokens: Int32Array;
  /** The whole canvas, prompt included. */
  canvas: Int32Array;
  /** Steps of the decoder, those without a forward included. */
  steps: number;
  forwards: number;
  /**
   * `'eos'`: the answer ended by itself; `'length'`: `maxTokens` were filled; `'steps'`: the steps
   * were used up while positions were still masked.
   */
  finishReason: 'eos' | 'length' | 'steps';
  /** Which rows the forwards computed, and why where `cache: 'auto'` or a plan chose. */
  cache: { name: string; reason?: string };
  trace: TraceStep[];
  /** Milliseconds: from the call to the result, and of that inside native forwards. */
  timing: { total: number; native: number };
}

/** Where the answer lies in the canvas, how it reads, and what else the result tells of the run. */
export interface AnswerView {
  /** Token ids of the prompt; the answer follows. */
  prompt: Int32Array;
  maxTokens: number;
  mask: number;
  /** Tokens that end an answer. */
  ends: ReadonlySet<number>;
  blocks: number;
  tokenizer: Tokenizer | undefined;
  cache: { name: string; reason?: string };
}

/** Does the work: reports each step and returns the canvas when no step is left. */
export type Worker = (emit: (step: TraceStep) => void, signal: AbortSignal) => Promise<Int32Array>;

const maskGlyph = '░';

/**
 * A running generation. It starts at once and runs to its end whether or not anybody looks: iterate
 * over the frames, await `result`, or both, in any order. Every iteration yields every step from the
 * first on. Leaving an iteration early, disposing, or the caller's signal end the run; `result`
 * then rejects with `ABORTED`, and its session is freed.
 */
export class Generation implements AsyncIterable<Frame> {
  /** Rejects with the `LacunaError` that ended the run. */
  readonly result: Promise<GenerationResult>;
  /** Token ids of the prompt as the model sees them. */
  readonly prompt: Int32Array;

  readonly #view: AnswerView;
  readonly #trace: TraceStep[] = [];
  readonly #controller = new AbortController();
  #state: 'running' | 'done' | 'failed' = 'running';
  #wake: (() => void)[] = [];

  /** @internal */
  constructor(view: AnswerView, worker: Worker, signal?: AbortSignal) {
    this.#view = view;
    this.prompt = view.prompt.slice();
    this.result = this.#run(worker, signal);
    // Whoever only iterates gets the error there; it must not end the process here.
    this.result.catch(() => {});
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Frame, void, undefined> {
    const replay = new Replay(this.#view);
    try {
      for (let i = 0; this.#state !== 'failed';) {
        if (i < this.#trace.length) yield replay.frame(this.#trace[i++]);
        else if (this.#state === 'running')
          await new Promise<void>((wake) => this.#wake.push(wake));
        else break;
      }
      await this.result;
    } finally {
      await this[Symbol.asyncDispose]();
    }
  }

  /** Ends the run if it is not done, and waits until its session is freed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort(new Error('the generation was closed by its caller'));
    await this.result.catch(() => {});
  }

  async #run(worker: Worker, signal: AbortSignal | undefined): Promise<GenerationResult> {
    const abort = () => this.#controller.abort(signal?.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort);
    const start = performance.now();
    try {
      const canvas = await worker((step) => this.#emit(step), this.#controller.signal);
      const result = resultOf(this.#view, canvas, this.#trace, performance.now() - start);
      this.#state = 'done';
      return result;
    } catch (error) {
      this.#state = 'failed';
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
      this.#notify();
    }
  }

  #emit(step: TraceStep): void {
    this.#trace.push(step);
    this.#notify();
  }

  #notify(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }
}

/** Throws `ABORTED` with the signal's reason as the cause. */
export function throwIfAborted(signal: AbortSignal): void {
  if (!signal.aborted) return;
  throw new LacunaError('ABORTED', 'the generation was aborted', { cause: signal.reason });
}

/**
 * Where the answer ends: at the first end token, else after `maxTokens`, in indices of the answer.
 * @param answer (maxTokens) token ids
 */
export function answerEnd(answer: Int32Array, ends: ReadonlySet<number>): number {
  const end = answer.findIndex((token) => ends.has(token));
  return end < 0 ? answer.length : end;
}

/** Builds frames from the trace, so that nothing has to be kept for an iteration that may come. */
class Replay {
  readonly #view: AnswerView;
  readonly #tokens: Int32Array; // (maxTokens)
  readonly #probability: Float32Array; // (maxTokens)
  #forwards = 0;

  constructor(view: AnswerView) {
    this.#view = view;
    this.#tokens = new Int32Array(view.maxTokens).fill(view.mask);
    this.#probability = new Float32Array(view.maxTokens);
  }

  frame({ step, block, rows, committed }: TraceStep): Frame {
    const { prompt, maxTokens, mask, blocks } = this.#view;
    if (rows > 0) this.#forwards++;
    const indices: number[] = [];
    for (const [position, token, probability] of committed) {
      const index = position - prompt.length;
      if (index >= maxTokens) continue; // beyond the answer: fills up a block
      this.#tokens[index] = token;
      this.#probability[index] = probability;
      indices.push(index);
    }
    const tokens = this.#tokens.slice();
    const masked = Int32Array.from(tokens.keys()).filter((i) => tokens[i] === mask);
    const view = this.#view;
    return {
      get text() {
        return frameText(view, tokens);
      },
      tokens,
      probability: this.#probability.slice(),
      masked,
      committed: Int32Array.from(indices),
      step,
      block,
      blocks,
      forwards: this.#forwards,
      remaining: masked.length,
    };
  }
}

function frameText({ tokenizer, mask, ends }: AnswerView, tokens: Int32Array): string {
  if (tokenizer === undefined) return '';
  const end = answerEnd(tokens, ends);
  const complete = !tokens.subarray(0, end).includes(mask);
  let text = '';
  let known: number[] = [];
  for (const token of complete ? tokens.subarray(0, end) : tokens) {
    if (token !== mask) {
      known.push(token);
      continue;
    }
    text += tokenizer.decode(known) + maskGlyph;
    known = [];
  }
  return text + tokenizer.decode(known);
}

function resultOf(
  view: AnswerView,
  canvas: Int32Array,
  trace: TraceStep[],
  total: number,
): GenerationResult {
  const start = view.prompt.length;
  const answer = canvas.subarray(start, start + view.maxTokens);
  const end = answerEnd(answer, view.ends);
  const before = answer.subarray(0, end);
  const tokens = before.filter((token) => token !== view.mask);
  const complete = tokens.length === before.length;
  return {
    text: view.tokenizer?.decode(tokens) ?? '',
    tokens,
    canvas,
    steps: trace.length,
    forwards: trace.filter(({ rows }) => rows > 0).length,
    finishReason: !complete ? 'steps' : end < answer.length ? 'eos' : 'length',
    cache: view.cache,
    trace,
    timing: { total, native: trace.reduce((sum, step) => sum + (step.timing?.total ?? 0), 0) },
  };
}
