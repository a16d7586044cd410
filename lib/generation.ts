/** A generation while it runs and when it is done: frames, trace, result. */
import { LacunaError } from './errors.js';
import { answerEnd, finalView, Replay, type AnswerView, type Frame } from './frames.js';
import type { RunPolicies } from './decoding/policy.js';
import type { Extension } from './extension.js';
import type { AnswerShape } from './trace-file.js';
import type { FilledHole } from './template/types.js';
import { countsOf, type Counts, type TraceStep } from './trace.js';

export interface GenerationResult {
  /** `tokens` as text; `''` for a model without a usable tokenizer. */
  text: string;
  /** The answer up to the first end of text or turn, without it and without positions left masked. */
  tokens: Int32Array;
  /** The whole canvas as it ended, prompt included. */
  canvas: Int32Array;
  /** Steps of the run, those without a forward included. */
  steps: number;
  /** One after the other: what the run waited for. */
  forwards: number;
  counts: Counts;
  /** What ran in each role. */
  policies: RunPolicies;
  /**
   * `'eos'`: the answer ended by itself; `'length'`: `maxTokens` were filled; `'filled'`: the template
   * has no gap left; `'steps'`: the steps were used up while positions were still masked.
   */
  finishReason: 'eos' | 'length' | 'filled' | 'steps';
  /** What the holes of a template came to, in order. Empty without one. */
  holes: FilledHole[];
  trace: TraceStep[];
  /** Token ids of the prompt. */
  prompt: Int32Array;
  /** Where the answer lies in the canvas, and what ends it. */
  shape: AnswerShape;
  /** Milliseconds: from the call to the result, and of that inside native forwards. */
  timing: { total: number; native: number };
}

interface Ending {
  signal?: AbortSignal;
  extension?: Pick<Extension, 'maxTokens' | 'room' | 'ask'>;
  /** Has the last word on the result. */
  finish?: (result: GenerationResult) => GenerationResult;
}

/** Does the work: reports each step and returns the canvas when no step is left. */
export type Worker = (emit: (step: TraceStep) => void, signal: AbortSignal) => Promise<Int32Array>;

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
  /** What runs in each role. */
  readonly policies: RunPolicies;
  /** Where the answer lies in the canvas, and what ends it. */
  readonly shape: AnswerShape;

  readonly #view: AnswerView;
  readonly #extension: Ending['extension'];
  readonly #finish: (result: GenerationResult) => GenerationResult;
  readonly #trace: TraceStep[] = [];
  readonly #controller = new AbortController();
  #state: 'running' | 'done' | 'failed' = 'running';
  #wake: (() => void)[] = [];

  /** @internal */
  constructor(view: AnswerView, policies: RunPolicies, worker: Worker, options: Ending = {}) {
    this.#view = view;
    this.#extension = options.extension;
    this.#finish = options.finish ?? ((result) => result);
    this.policies = policies;
    this.shape = shapeOf(view);
    this.prompt = view.prompt.slice();
    this.result = this.#run(worker, options.signal);
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

  /** Most tokens of the answer, with those of `extend`. */
  get maxTokens(): number {
    return this.#extension?.maxTokens ?? this.#view.maxTokens;
  }

  /**
   * How many tokens `extend` can add: as the model's context allows. 0 where the answer is complete or
   * cannot become longer: text with gaps, a number of steps that is shared out in advance, a deadline
   * that has passed.
   */
  get room(): number {
    return this.#state === 'running' ? (this.#extension?.room ?? 0) : 0;
  }

  /**
   * Lets the answer have so many tokens more. Between two forwards its canvas grows at the end, in the
   * blocks that a run of that length has. What is final stays; end tokens that are not become masks
   * again, since where the answer ends is open now. Policies begin anew on the canvas as it is, and the
   * next forward computes all of it. An answer that has ended by then stays as it is.
   *
   * Throws `INVALID_ARGUMENT` for more than `room`.
   * @returns most tokens of the answer now
   */
  extend(tokens: number): number {
    if (this.#state === 'running' && this.#extension) return this.#extension.ask(tokens);
    throw new LacunaError('INVALID_ARGUMENT', 'extend: the answer is complete');
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
      const result = this.#finish(this.#resultOf(canvas, performance.now() - start));
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

  #resultOf(canvas: Int32Array, total: number): GenerationResult {
    const trace = this.#trace;
    const view = finalView(this.#view, trace);
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
      forwards: trace.reduce((sum, { forwards }) => sum + forwards, 0),
      counts: countsOf(trace, tokens.length),
      policies: this.policies,
      finishReason: !complete ? 'steps' : end < answer.length ? 'eos' : 'length',
      trace,
      holes: [],
      prompt: view.prompt.slice(),
      shape: this.shape,
      timing: { total, native: trace.reduce((sum, step) => sum + (step.timing?.total ?? 0), 0) },
    };
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

function shapeOf({ maxTokens, initial, capacity, mask, blocks, ends }: AnswerView): AnswerShape {
  return { maxTokens, initial: [...initial], capacity, mask, blocks, ends: [...ends] };
}

/** Throws `ABORTED` with the signal's reason as the cause. */
export function throwIfAborted(signal: AbortSignal): void {
  if (!signal.aborted) return;
  throw new LacunaError('ABORTED', 'the generation was aborted', { cause: signal.reason });
}
