/** One answer: from a request's prompt to text that only appends, and what there is to tell of it. */
import { answerEnd, type Frame } from '../frames.js';
import type { Generation, GenerationResult } from '../generation.js';
import type { Engine } from './engine.js';
import { observer, type Seen } from './observe.js';
import type { Wanted } from './request.js';
import { AnswerText } from './text.js';

/** A token of the answer, and how sure the model was when it committed it. */
export interface TokenLogprob {
  token: number;
  logprob: number;
  top: { token: number; logprob: number }[];
}

export interface AnswerStats {
  forwards: number;
  /** Tokens that the client received. */
  tokens: number;
  tokensPerForward: number;
  /** Positions of the canvas after the prompt. */
  slots: number;
  /** Milliseconds from the request on; absent without text. */
  firstTextMs?: number;
  wallMs: number;
}

export interface Answered {
  finish: 'stop' | 'length';
  /** Undefined if a stop string or the request's `pause` ended the run early. */
  result: GenerationResult | undefined;
  stats: AnswerStats;
}

export interface AnswerListener {
  started?(run: Generation, seen: ReadonlyMap<number, Seen>): void;
  frame?(frame: Frame): void;
  text(text: string, logprobs: TokenLogprob[]): void;
}

/** An answer that has its slot. `finish` must be called. */
export interface Answer {
  run: Generation;
  finish: (listener: AnswerListener) => Promise<Answered>;
}

/**
 * Waits for a slot and starts. Rejects with whatever keeps the answer from starting.
 * @param watch keep what the model thinks of masked positions, with so many candidates each
 */
export async function begin(
  engine: Engine,
  prompt: Int32Array,
  wanted: Wanted,
  {
    signal,
    start,
    index,
    watch,
  }: {
    signal: AbortSignal;
    /** `performance.now()` of the request. */
    start: number;
    /** Of the choice; each has a seed of its own. */
    index: number;
    watch: number | undefined;
  },
): Promise<Answer> {
  const { options, stop, lacuna } = wanted;
  const seed = (options.seed ?? engine.defaults.seed ?? 0) + index;
  const looks = watch !== undefined || (wanted.logprobs ?? 0) > 0;
  const { refinement, seen } = observer(Math.max(watch ?? 0, wanted.logprobs ?? 0), lacuna.ahead);
  const { template, pause = Infinity } = lacuna;
  const run = await engine.run(template ? { prompt, segments: template } : prompt, {
    ...options,
    ...(template && { maxTokens: undefined }), // it has its own
    ...{ seed, signal },
    ...(looks && { refine: refinement }),
  });
  const finish = async (listener: AnswerListener): Promise<Answered> => {
    const text = new AnswerText(engine.model.tokenizer, stop);
    const first = run.prompt.length;
    const ends = new Set(run.shape.ends);
    let firstTextMs: number | undefined;
    let [forwards, slots] = [0, options.maxTokens];
    let probability: Float32Array = new Float32Array();
    listener.started?.(run, seen);

    const push = (tokens: Int32Array, end: boolean): boolean => {
      const from = text.tokens;
      const piece = text.push(tokens, end);
      const logprobs =
        wanted.logprobs === undefined
          ? []
          : Array.from(tokens.subarray(from, text.tokens), (token, i) => ({
              token,
              logprob: logOf(probability[from + i]),
              top: (seen.get(first + from + i)?.top ?? []).map((entry) => ({
                token: entry.token,
                logprob: logOf(entry.probability),
              })),
            }));
      if (piece.text !== '' || logprobs.length > 0) {
        if (piece.text !== '') firstTextMs ??= performance.now() - start;
        listener.text(piece.text, logprobs);
      }
      return piece.stopped;
    };

    let [stopped, paused] = [false, false];
    for await (const frame of run) {
      ({ forwards, probability } = frame);
      slots = Math.max(slots, frame.tokens.length);
      listener.frame?.(frame);
      const end = Math.min(frame.stable, answerEnd(frame.tokens, ends));
      stopped = push(frame.tokens.subarray(0, end), false);
      paused = frame.step + 1 >= pause && frame.remaining > 0;
      if (stopped || paused) break;
    }
    const result = stopped || paused ? undefined : await run.result;
    if (result !== undefined) stopped = push(result.tokens, true);
    const wallMs = performance.now() - start;
    const tokens = text.tokens;
    const tokensPerForward = forwards === 0 ? 0 : tokens / forwards;
    return {
      finish: stopped || result?.finishReason === 'eos' ? 'stop' : 'length',
      result,
      stats: { forwards, tokens, tokensPerForward, slots, firstTextMs, wallMs },
    };
  };
  return { run, finish };
}

/** JSON has no infinities; OpenAI's own least value is −9999. */
function logOf(probability: number): number {
  return probability > 0 ? Math.max(-9999, Math.log(probability)) : -9999;
}
