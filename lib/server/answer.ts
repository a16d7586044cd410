/** One answer: from a request's prompt to what a client is told, as it becomes final. */
import type { Frame } from '../frames.js';
import type { Generation, GenerationResult } from '../generation.js';
import type { Batch } from '../batch.js';
import type { Engine } from './engine.js';
import type { Seen } from './observe.js';
import type { Wanted } from './request.js';

/** A token of the answer, and how sure the model was when it committed it. */
export interface TokenLogprob {
  token: number;
  logprob: number;
  top: { token: number; logprob: number }[];
  /** The step that committed it; −1: it was there before the first. */
  step: number;
  /** From the first of the answer on. */
  position: number;
}

export interface ToolCall {
  id: string;
  name: string;
  /** JSON. */
  arguments: string;
}

export interface AnswerStats {
  forwards: number;
  /** Tokens that the client received. */
  tokens: number;
  tokensPerForward: number;
  /** Positions of the canvas after the prompt. */
  slots: number;
  /** Milliseconds in its slot until the first forward was done, and in all. */
  firstForwardMs: number;
  runMs: number;
  /** Milliseconds from the request on; absent without text. */
  firstTextMs?: number;
  wallMs: number;
}

export interface Answered {
  prompt: Int32Array;
  finish: 'stop' | 'length' | 'tool_calls';
  /** Undefined if a stop string or a `pause` ended the run early, and of what a schema wrote. */
  result?: GenerationResult;
  /** Tokens of a prediction that were kept, and that were not. */
  draft?: { accepted: number; rejected: number };
  stats: AnswerStats;
}

/** What the work of an answer comes to, before it is timed. */
export type Outcome = Pick<Answered, 'finish' | 'result' | 'draft'> &
  Pick<AnswerStats, 'forwards' | 'tokens' | 'slots'> & { firstForward: number | undefined };

/** Called while the answer is made. What was told never changes. */
export interface AnswerListener {
  started?(run: Generation, seen: ReadonlyMap<number, Seen>): void;
  frame?(frame: Frame): void;
  text(text: string, logprobs: TokenLogprob[]): void;
  call?(call: ToolCall): void;
}

/** What the work of an answer is done with. */
export interface Job {
  engine: Engine;
  /** Shares forwards with the other answers. */
  model: Batch;
  prompt: Int32Array;
  /** Positions of its canvas, and the tokens that JSON and calls may have. */
  maxTokens: number;
  room: number;
  /** Of this answer alone. */
  seed: number;
  wanted: Wanted;
  signal: AbortSignal;
  /** Keep what the model thinks of masked positions, with so many candidates each. */
  watch: number | undefined;
  listener: AnswerListener;
}

/**
 * Starts at once: what it throws then keeps the answer from starting. Ends when the slot is free.
 */
export type Work = (job: Job) => Promise<Outcome>;

/**
 * Waits for a slot and starts there. Rejects with whatever keeps the answer from starting.
 * @param start `performance.now()` of the request
 * @returns when it has started: its end
 */
export async function begin(
  work: Work,
  job: Omit<Job, 'model' | 'listener'>,
  listener: AnswerListener,
  start: number,
): Promise<{ done: Promise<Answered> }> {
  const { engine, prompt, signal } = job;
  let firstText: number | undefined;
  const slot = { positions: prompt.length + job.maxTokens };
  const timed: AnswerListener = {
    ...listener,
    frame: (frame) => {
      const { longer } = frame.trace;
      if (longer) slot.positions = prompt.length + longer.maxTokens;
      listener.frame?.(frame);
    },
    text: (text, logprobs) => {
      if (text !== '') firstText ??= performance.now();
      listener.text(text, logprobs);
    },
  };
  return engine.use(signal, slot, (model) => {
    const from = performance.now();
    const outcome = work({ ...job, model, listener: timed });
    const done = outcome.then((ended): Answered => {
      const { finish, result, draft, forwards, tokens, slots, firstForward } = ended;
      const now = performance.now();
      const stats = {
        ...{ forwards, tokens, slots, tokensPerForward: forwards === 0 ? 0 : tokens / forwards },
        ...{ firstForwardMs: (firstForward ?? now) - from, runMs: now - from },
        ...(firstText !== undefined && { firstTextMs: firstText - start }),
        wallMs: now - start,
      };
      return { prompt, finish, result, draft, stats };
    });
    return { done };
  });
}
