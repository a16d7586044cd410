/** The answer as it looks after each step, built from the trace. */
import type { Splice } from './decoding/policy.js';
import type { Tokenizer } from './text/tokenizer.js';
import type { TraceStep } from './trace.js';

/** Where the answer lies in the canvas and how it reads. */
export interface AnswerView {
  /** Token ids of the prompt; the answer follows. */
  prompt: Int32Array;
  /** Most positions of the answer. */
  maxTokens: number;
  /** Tokens after the prompt that the canvas has at first: MASK, and what a template knows. */
  initial: readonly number[];
  /** Positions after the prompt that it can have. */
  capacity: number;
  mask: number;
  /** Tokens that end an answer. */
  ends: ReadonlySet<number>;
  blocks: number;
  tokenizer: Tokenizer | undefined;
}

/** The answer after one step. Indices count from the first position of the answer. */
export interface Frame {
  /** The answer as text, `░` for each mask; cut at the end of text once all before it is known. */
  readonly text: string;
  /** (current length of the answer, at most maxTokens) MASK where nothing is known yet. */
  readonly tokens: Int32Array;
  /** (as long) of the token when it was committed; 0 where nothing is known yet. */
  readonly probability: Float32Array;
  /** Indices that are still masked, ascending. */
  readonly masked: Int32Array;
  /** Indices that this step committed or edited, ascending. */
  readonly committed: Int32Array;
  /** Indices whose token this step took back, ascending. */
  readonly remasked: Int32Array;
  /** The first so many tokens of the answer are as no later step will change them. */
  readonly stable: number;
  /** Counts from 0; so does `block`. */
  readonly step: number;
  readonly block: number;
  readonly blocks: number;
  /** Forwards made so far. */
  readonly forwards: number;
  /** Length of `masked`. */
  readonly remaining: number;
  /** What the step did, in positions of the canvas. */
  readonly trace: TraceStep;
}

const maskGlyph = '░';

/**
 * Where the answer ends: at the first end token, else with the canvas, in indices of the answer.
 * @param answer token ids, at most maxTokens
 */
export function answerEnd(answer: Int32Array, ends: ReadonlySet<number>): number {
  const end = answer.findIndex((token) => ends.has(token));
  return end < 0 ? answer.length : end;
}

/** Builds frames from the trace, so that nothing has to be kept for an iteration that may come. */
export class Replay {
  #view: AnswerView;
  // one entry per position after the prompt
  #tokens: number[];
  #probability: number[];
  #forwards = 0;

  constructor(view: AnswerView) {
    this.#view = view;
    this.#tokens = [...view.initial];
    this.#probability = view.initial.map(() => 0);
  }

  /** The answer after the next step of the trace. */
  frame(trace: TraceStep): Frame {
    const { step, block, forwards, committed, edited = [] } = trace;
    const { remasked = [], splices = [], stable } = trace;
    if (trace.longer) this.#view = { ...this.#view, ...trace.longer };
    const view = this.#view;
    const start = view.prompt.length;
    this.#forwards += forwards;
    const written = [...committed, ...edited];
    for (const [position, token, probability] of written) {
      this.#tokens[position - start] = token;
      this.#probability[position - start] = probability;
    }
    for (const position of remasked) {
      this.#tokens[position - start] = view.mask;
      this.#probability[position - start] = 0;
    }
    for (const splice of splices.toReversed()) this.#splice(splice);
    const tokens = Int32Array.from(this.#tokens.slice(0, view.maxTokens));
    const moved = (position: number) => moves(position, splices) - start;
    const masked = Int32Array.from(tokens.keys()).filter((i) => tokens[i] === view.mask);
    // Positions beyond the answer fill up a block; those that a splice removed are gone.
    const indices = (positions: number[]) =>
      Int32Array.from(positions, moved)
        .filter((index) => index >= 0 && index < tokens.length)
        .sort();
    return {
      get text() {
        return frameText(view, tokens);
      },
      tokens,
      probability: Float32Array.from(this.#probability.slice(0, view.maxTokens)),
      masked,
      committed: indices(written.map(([position]) => position)),
      remasked: indices(remasked),
      stable: Math.min(stable, tokens.length),
      step,
      block,
      blocks: Math.max(view.blocks, block + 1),
      forwards: this.#forwards,
      remaining: masked.length,
      trace,
    };
  }

  #splice({ at, remove, tokens }: Splice): void {
    const { prompt, capacity } = this.#view;
    const index = at - prompt.length;
    this.#tokens.splice(index, remove, ...tokens);
    this.#probability.splice(index, remove, ...tokens.map(() => 0));
    this.#tokens = this.#tokens.slice(0, capacity);
    this.#probability = this.#probability.slice(0, capacity);
  }
}

/** How the answer lay in the end. */
export function finalView(view: AnswerView, trace: readonly TraceStep[]): AnswerView {
  return trace.reduce((now, { longer }) => (longer ? { ...now, ...longer } : now), view);
}

/** Where splices move what is at `position`; −1 if one removes it. */
function moves(position: number, splices: readonly Splice[]): number {
  const before = splices.filter(({ at }) => at <= position);
  if (before.some(({ at, remove }) => position < at + remove)) return -1;
  return before.reduce((sum, { tokens, remove }) => sum + tokens.length - remove, position);
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
