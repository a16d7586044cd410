/** A template: an answer of which parts are known, and what becomes of it. */
import type { PlainPrompt } from '../prompt.js';

/**
 * Says from a hole's tokens where it ends. Pure; asked after every step.
 * @param content the tokens of the hole so far, `mask` where nothing is known yet. Not to be written.
 * @returns how many of them stay; `undefined`: it goes on
 */
export type StopRule = (content: Int32Array, mask: number) => number | undefined;

/** A text, a token id, or a rule. */
export type Stop = string | number | StopRule;

export interface HoleOptions {
  /** Fewest tokens; before that nothing ends the hole. Default 1; 0: it may stay empty. */
  min?: number;
  /** Most tokens. Default 32. */
  max?: number;
  /** Masks at first, at least 1 and `min`. Default `max`: then it can only become shorter. */
  initial?: number;
  /** Masks put in the place of one that the model is not sure of, or behind the last. Default 8. */
  expand?: number;
  /** Confidence below which a mask makes room for more, 0 … 1. Default 0.1. */
  low?: number;
  /**
   * What ends the hole and does not belong to it, beside end of text and of turn. A text counts only
   * from the `min`-th token on.
   */
  stop?: Stop | readonly Stop[];
  /** The only tokens it may hold; those that end it come on top. Default: all. */
  allow?: ArrayLike<number>;
  /** Tokens it may not hold. */
  suppress?: ArrayLike<number>;
  /**
   * It becomes one of these texts, as long as that is; nothing else is given then. None may begin with
   * all tokens of another. Default: any text.
   */
  choices?: readonly string[];
}

/** A gap in a template, made by `hole`. */
export interface Hole {
  readonly kind: 'hole';
  readonly min: number;
  readonly max: number;
  readonly initial: number;
  readonly expand: number;
  readonly low: number;
  readonly stop: readonly Stop[];
  readonly allow: Int32Array | undefined;
  readonly suppress: Int32Array;
  /** Empty: any text. */
  readonly choices: readonly string[];
}

/** Known text, known token ids, or a hole. */
export type Segment = string | ArrayLike<number> | Hole;

/** An answer of which parts are known. */
export interface Template {
  /** What the answer follows. Default: nothing, or the begin-of-text token as the file says. */
  prompt?: PlainPrompt;
  /** The answer in order. Strings that follow each other are encoded as one text. */
  segments: readonly Segment[];
  /**
   * Whether the end-of-turn token (end of text for models without one) follows the last segment, so
   * that the model sees that nothing else comes. Default: for chat messages.
   */
  end?: boolean;
}

/** One hole between two texts: the answer is the hole, of at most `maxTokens`, and the suffix. */
export interface Gap {
  prefix: PlainPrompt;
  suffix: string | ArrayLike<number>;
}

/** What a hole came to. */
export interface FilledHole {
  /** `tokens` as text; `''` for a model without a usable tokenizer. */
  text: string;
  tokens: Int32Array;
  /** Position of its first token in the canvas. */
  start: number;
  /**
   * `'eos'`: by an end of text or turn; `'stop'`: by one of its `stop`; `'full'`: by its last mask;
   * `'steps'`: not at all, the run's steps were used up.
   */
  ended: 'eos' | 'stop' | 'full' | 'steps';
}
