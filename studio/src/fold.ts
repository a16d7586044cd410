/** From the frames of a run to its canvas after every step. Pure: the page and the tests share it. */
import { bytesOf } from './base64.js';
import type {
  CanvasFrame,
  EndFrame,
  Entry,
  Keyframe,
  StartFrame,
  StepFrame,
  Candidates,
} from './frames.js';

export type Mark = 'commit' | 'edit' | 'remask';

/** The canvas after a step. Arrays have one entry per position of the answer. */
export interface Moment {
  /** −1: before the first. */
  step: number;
  block: number;
  remaining: number;
  stable: number;
  ms: number;
  /** Milliseconds of it and of all before. */
  elapsed: number;
  /** Whether a cache was computed anew. */
  refresh: boolean;
  tokens: Int32Array;
  /** 0 … 255; of known tokens that of their commit. */
  confidence: Uint8Array;
  /** There is no confidence of masks: the file has none. */
  blind: boolean;
  entropy: Uint8Array | undefined;
  margin: Uint8Array | undefined;
  /** Index of the moment in which the token came, −1 where there is none. */
  born: Int32Array;
  /** Probability of the token when it was committed; 0 where there is none. */
  sure: Float32Array;
  /** How often the token was taken back or replaced. */
  flips: Uint8Array;
  marks: ReadonlyMap<number, Mark>;
  /** Tokens that this step took back or replaced. */
  before: ReadonlyMap<number, number>;
  commits: Entry[];
  candidates: ReadonlyMap<number, Candidates[1]>;
}

interface State {
  tokens: number[];
  born: number[];
  sure: number[];
  flips: number[];
}

export class Timeline {
  /** Text of every token that was named. */
  readonly texts = new Map<number, string>();
  /** What those of them add to the answer that are not text by themselves. */
  readonly parts = new Map<number, Uint8Array>();
  /** The first is the canvas before any step. */
  readonly moments: Moment[] = [];
  start: StartFrame | undefined;
  end: EndFrame | undefined;
  readonly #state: State = { tokens: [], born: [], sure: [], flips: [] };

  static of(frames: readonly CanvasFrame[]): Timeline {
    const timeline = new Timeline();
    for (const frame of frames) timeline.push(frame);
    return timeline;
  }

  push(frame: CanvasFrame): void {
    if (frame.kind !== 'end') this.name(frame);
    if (frame.kind === 'start') this.#begin(frame);
    else if (frame.kind === 'step') this.#step(frame);
    else if (frame.kind === 'keyframe') this.#picture(frame);
    else this.end = frame;
  }

  get mask(): number {
    return this.start?.mask ?? -1;
  }

  get last(): Moment | undefined {
    return this.moments.at(-1);
  }

  /** Learns what the tokens of a frame are called, without the step. */
  name(frame: StartFrame | StepFrame | Keyframe): void {
    for (const [token, base64] of Object.entries(frame.bytes ?? {})) {
      this.parts.set(Number(token), bytesOf(base64));
    }
    if (frame.kind !== 'step') return;
    for (const [, top] of frame.candidates ?? []) {
      for (const [token, text] of top) this.texts.set(token, text);
    }
  }

  #begin(frame: StartFrame): void {
    this.start = frame;
    const { length, mask, fixed } = frame;
    const fill = (value: number) => new Array<number>(length).fill(value);
    Object.assign(this.#state, {
      ...{ tokens: fill(mask), born: fill(-1), sure: fill(0), flips: fill(0) },
    });
    for (const [at, token, text] of fixed) {
      this.texts.set(token, text);
      this.#write(at, token, 1, 0);
    }
    const remaining = this.#state.tokens.filter((token) => token === mask).length;
    const confidence = Uint8Array.from(this.#state.sure, (p) => 255 * p);
    const blind = frame.blind ?? false;
    const nothing = {
      blind,
      marks: new Map(),
      before: new Map(),
      commits: [],
      candidates: new Map(),
    };
    this.moments.push({
      ...{ step: -1, block: 0, remaining, stable: 0, ms: 0, elapsed: 0, refresh: false },
      ...{ confidence, entropy: undefined, margin: undefined },
      ...nothing,
      ...this.#copy(),
    });
  }

  #step(frame: StepFrame): void {
    const { commits, edits = [], remasks = [], splices = [], candidates = [] } = frame;
    this.#lengthen(frame);
    const state = this.#state;
    const marks = new Map<number, Mark>();
    const before = new Map<number, number>();
    const now = this.moments.length;
    for (const [at, token, text, p] of [...commits, ...edits]) {
      this.texts.set(token, text);
      const known = state.tokens[at] !== this.mask;
      if (known) before.set(at, state.tokens[at]);
      marks.set(at, known ? 'edit' : 'commit');
      this.#write(at, token, p ?? 0, now);
    }
    for (const at of remasks) {
      before.set(at, state.tokens[at]);
      marks.set(at, 'remask');
      this.#write(at, this.mask, 0, -1);
    }
    for (const at of before.keys()) state.flips[at]++;
    for (const splice of splices.toReversed()) this.#splice(splice);
    const ms = frame.ms ?? 0;
    const elapsed = ms + (this.last?.elapsed ?? 0);
    this.moments.push({
      ...measured(frame),
      ...{ ms, elapsed, refresh: frame.refresh ?? false, marks, before, commits },
      blind: this.start?.blind ?? false,
      candidates: new Map(candidates),
      ...this.#copy(),
    });
  }

  /** A whole canvas: what was left out before it comes in at once. */
  #picture(frame: Keyframe): void {
    this.#lengthen(frame);
    const state = this.#state;
    const last = this.last;
    const missed = last === undefined || last.step < frame.step;
    const marks = new Map<number, Mark>();
    const now = missed ? this.moments.length : this.moments.length - 1;
    state.tokens.length = Math.min(state.tokens.length, frame.tokens.length);
    frame.tokens.forEach((token, at) => {
      const text = frame.text[at];
      if (text !== null) this.texts.set(token, text);
      if (state.tokens[at] === token) return;
      marks.set(at, token === this.mask ? 'remask' : 'commit');
      this.#write(at, token, 0, token === this.mask ? -1 : now);
      state.flips[at] ??= 0;
    });
    if (missed) {
      this.moments.push({
        ...measured(frame),
        ...{
          ms: 0,
          elapsed: last?.elapsed ?? 0,
          refresh: false,
          blind: this.start?.blind ?? false,
          marks,
          before: new Map(),
          commits: [],
          candidates: new Map(),
        },
        ...this.#copy(),
      });
    } else Object.assign(last, measured(frame), this.#copy());
  }

  #lengthen({ length }: StepFrame | Keyframe): void {
    if (length !== undefined && this.start) this.start = { ...this.start, length };
  }

  #write(at: number, token: number, p: number, born: number): void {
    const { tokens, sure } = this.#state;
    [tokens[at], sure[at], this.#state.born[at]] = [token, p, born];
  }

  #splice({ at, remove, tokens }: { at: number; remove: number; tokens: number[] }): void {
    const { born, sure, flips } = this.#state;
    this.#state.tokens.splice(at, remove, ...tokens);
    born.splice(at, remove, ...tokens.map((token) => (token === this.mask ? -1 : 0)));
    sure.splice(at, remove, ...tokens.map(() => 0));
    flips.splice(at, remove, ...tokens.map(() => 0));
  }

  #copy(): Pick<Moment, 'tokens' | 'born' | 'sure' | 'flips'> {
    const { tokens, born, sure, flips } = this.#state;
    return {
      tokens: Int32Array.from(tokens),
      born: Int32Array.from(born),
      sure: Float32Array.from(sure),
      flips: Uint8Array.from(flips),
    };
  }
}

function measured(frame: StepFrame | Keyframe) {
  const { step, block, remaining, stable, confidence, entropy, margin } = frame;
  return {
    ...{ step, block, remaining, stable },
    confidence: bytesOf(confidence),
    entropy: entropy === undefined ? undefined : bytesOf(entropy),
    margin: margin === undefined ? undefined : bytesOf(margin),
  };
}

/** Where the answer ends: at its first end token once all before it is known, else with the canvas. */
export function answerEnd({ start, mask }: Timeline, { tokens }: Moment): number {
  const ends = start?.ends ?? [];
  const end = tokens.findIndex((token) => ends.includes(token));
  return end < 0 || tokens.subarray(0, end).includes(mask) ? tokens.length : end;
}

/** Index of the block that a position of the answer lies in; 0 where blocks are not regular. */
export function blockOf({ start }: Timeline, at: number): number {
  const plan = start?.policies.blocks;
  if (start === undefined || plan === undefined || Array.isArray(plan)) return 0;
  const size = Number(plan.options);
  // What the first block lacks of `size` positions.
  const lack = {
    blocks: 0,
    blocksFromEnd: (size - (start.length % size)) % size,
    absoluteBlocks: start.prompt % size,
  }[plan.name];
  return lack === undefined ? 0 : Math.floor((at + lack) / size);
}
