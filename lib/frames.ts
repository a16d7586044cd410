/** The answer as it looks after each step, built from the trace. */
import type { Tokenizer } from './text/tokenizer.js';
import type { TraceStep } from './trace.js';

/** Where the answer lies in the canvas and how it reads. */
export interface AnswerView {
  /** Token ids of the prompt; the answer follows. */
  prompt: Int32Array;
  /** Most positions of the answer. */
  maxTokens: number;
  /** Positions after the prompt that the canvas has at first, and at most. */
  initial: number;
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
  readonly #view: AnswerView;
  // one entry per position after the prompt
  #tokens: number[];
  #probability: number[];
  #forwards = 0;

  constructor(view: AnswerView) {
    this.#view = view;
    this.#tokens = new Array<number>(view.initial).fill(view.mask);
    this.#probability = new Array<number>(view.initial).fill(0);
  }

  /** The answer after the next step of the trace. */
  frame({
    step,
    block,
    forwards,
    committed,
    edited = [],
    remasked = [],
    splice,
    stable,
  }: TraceStep): Frame {
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
    if (splice !== undefined) this.#splice(splice);
    const tokens = Int32Array.from(this.#tokens.slice(0, view.maxTokens));
    const moved = (position: number) => position - start + shift(position, splice);
    const masked = Int32Array.from(tokens.keys()).filter((i) => tokens[i] === view.mask);
    // Positions beyond the answer fill up a block.
    const indices = (positions: number[]) =>
      Int32Array.from(positions, moved)
        .filter((index) => index < tokens.length)
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
    };
  }

  #splice({ at, remove, tokens }: NonNullable<TraceStep['splice']>): void {
    const { prompt, capacity } = this.#view;
    const index = at - prompt.length;
    this.#tokens.splice(index, remove, ...tokens);
    this.#probability.splice(index, remove, ...tokens.map(() => 0));
    this.#tokens = this.#tokens.slice(0, capacity);
    this.#probability = this.#probability.slice(0, capacity);
  }
}

/** How far a splice moves what is at `position`. */
function shift(position: number, splice: TraceStep['splice']): number {
  if (splice === undefined || position < splice.at) return 0;
  return splice.tokens.length - splice.remove;
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
