/**
 * What decides during a generation. Each role is a function that is called once with the facts of the
 * run, where it may refuse what does not fit together, and returns the functions that are asked at
 * every step. What a policy remembers between steps lives in that closure, and is noted only when it
 * is shown statistics: being asked twice for the same state must change nothing.
 */
import type { Tokenizer } from '../text/tokenizer.js';
import type { CommitRule, Range, StepRequest, StepResult } from '../types.js';
import type { PolicyFacts } from './named.js';
import type { SoftMaskParameters } from './soft-masking.js';

/** Facts of a run that do not change. Positions are canvas positions. */
export interface RunFacts {
  /** Positions 0 … prompt − 1 hold the prompt; the answer follows. */
  readonly prompt: number;
  /** Most positions that the canvas can have; it has all of them unless a length plan says otherwise. */
  readonly length: number;
  /** Most tokens of the answer; what the canvas has beyond them fills up a block. */
  readonly maxTokens: number;
  /** Blocks in the order of work, of a canvas of `length`. Together they cover the answer. */
  readonly blocks: readonly Range[];
  /** Most denoising steps of the run, if the caller set a limit. */
  readonly steps: number | undefined;
  readonly temperature: number;
  readonly seed: number;
  /** Special tokens; undefined where the model has none. */
  readonly tokens: { readonly mask: number; readonly eos?: number; readonly eot?: number };
  /** Tokens that end an answer: those of `eos` and `eot` that there are. */
  readonly ends: ReadonlySet<number>;
  readonly architecture: string;
  readonly vocabulary: number;
  /** Undefined where there is none: then the prompt was given as token ids. */
  readonly tokenizer: Tokenizer | undefined;
  /** Rows see keys of their own and earlier attention blocks of this size; 0: everything. */
  readonly attentionBlock: number;
  /** 1: row i − 1 predicts token i. */
  readonly logitShift: number;
  /** What the file says of soft masks; absent for a model that was not trained with them. */
  readonly softMask?: SoftMaskParameters;
  /** What was chosen for each role, so that one may refuse another. */
  readonly policies: RunPolicies;
}

export interface RunPolicies {
  readonly decode: PolicyFacts;
  readonly blocks: PolicyFacts;
  readonly length: PolicyFacts;
  readonly cache: PolicyFacts;
  readonly refine: readonly PolicyFacts[];
  readonly speculate?: PolicyFacts;
}

/** What a policy sees before a step. */
export interface StepState {
  /** Steps made before this one, in the run. */
  readonly step: number;
  /** Index of the active block. */
  readonly block: number;
  /** Steps made before this one, in the block. */
  readonly blockStep: number;
  /** Forwards of the canvas made before this one, in the run. */
  readonly forwards: number;
  /** The same since the block began or the canvas last changed its length. */
  readonly blockForwards: number;
  /** The active block. */
  readonly range: Range;
  /** Masked positions of the active block, ascending; a decoder is asked only if there is one. */
  readonly masked: Int32Array;
  /** How many positions of the block were masked when it began. */
  readonly blockMasks: number;
  /** (current length) The canvas. Not to be written. */
  readonly canvas: Int32Array;
  /** Positions written since the last forward, ascending: their keys are those of the old token. */
  readonly changed: Int32Array;
  /** Before it, every row was computed since it or one before it was written last. */
  readonly stale: number;
}

/**
 * Statistics and token sets that a policy wants of a forward. What several ask for is made in one
 * forward, and each is shown a report of what it asked for itself: its `query` as far as those rows
 * were computed, ascending, then its `shadow`.
 */
export type Ask = { query?: Int32Array } & Pick<
  StepRequest,
  | 'shadow'
  | 'suppress'
  | 'limits'
  | 'unscored'
  | 'allowMask'
  | 'probe'
  | 'topK'
  | 'kl'
  | 'softMask'
  | 'credit'
>;

/**
 * One token written. Over MASK: a commit. MASK over a token takes it back (remasking), a token over
 * another edits; both only by policies with the trait `revises`, and by refinements.
 */
export interface Change {
  position: number;
  token: number;
}

/** A canvas that might be: this one with `changes` made. Known tokens may be changed too. */
export interface Branch {
  changes: readonly Change[];
  /** `query` defaults to the masks left in the active block. */
  ask?: Ask;
}

/**
 * One more forward, over all branches at once, with the soft masks and credits of the step. The canvas
 * itself stays as it is.
 */
export type Look = (branches: readonly Branch[]) => Promise<StepResult[]>;

/** What a decoder wants of a step. With neither `commit` nor `choose` the step makes no forward. */
export interface Decision {
  /** `query` defaults to `state.masked`. */
  request?: Ask & { statistics?: 'model' | 'sampled' };
  /** A rule: applied natively where nothing else has a say. `within` is the active block. */
  commit?: Omit<CommitRule, 'within'>;
  /** Anything that a rule cannot say, inside the active block. */
  choose?: (report: StepResult, look: Look) => Change[] | Promise<Change[]>;
}

/** Which positions get their token. `undefined`: this block's steps are used up, masks or not. */
export type DecodePolicy = (state: StepState) => Decision | undefined;
export type Decoder = (run: RunFacts) => DecodePolicy;

/**
 * What goes along with a decoder: remembers over steps, takes tokens back, edits, ends early. All
 * members are optional.
 */
export interface RefinePolicy {
  /** Written over the masks before the first step. */
  begin?(canvas: Int32Array): Change[];
  /** Added to what the decoder asks for. Nothing is reported that is not asked for here. */
  ask?(state: StepState): Ask | undefined;
  /**
   * The changes to make, given those decided so far; may write anywhere in the answer.
   * `undefined`: those.
   */
  revise?(state: StepState, report: StepResult, decided: readonly Change[]): Change[] | undefined;
  /** Whether a block that is done gets another forward; then the decoder is asked only for masks. */
  again?(state: StepState): boolean;
}
export type Refinement = (run: RunFacts) => RefinePolicy;

/** What a later step would write if the model still said what it said in the last forward. */
export type DraftStep = (path: readonly (readonly Change[])[]) => Promise<Change[]>;

/**
 * Guesses what this step and the next ones write. Each path leads from the canvas of `state`, one list
 * of changes a step; the canvases along it are computed together with that of `state`.
 * @param report the decoder's, of the forward before this step
 * @param draft what the decoder would write after a path; nothing if it cannot be told
 */
export type DraftPolicy = (
  state: StepState,
  report: StepResult,
  draft: DraftStep,
) => Change[][][] | Promise<Change[][][]>;
export type Speculation = (run: RunFacts) => DraftPolicy;

/** Which rows a forward computes and which keys they see; the defaults are all. */
export interface Rows {
  rows?: Range | Int32Array;
  visible?: number | Int32Array;
}
/** With a logit shift, the row before each masked position of the block must be among the rows. */
export type CachePolicy = (state: StepState) => Rows;
export type CachePlan = (run: RunFacts) => CachePolicy;

/**
 * Canvas length (at least prompt + maxTokens) and the blocks that cover the answer, in order.
 * `adapt` moves their ends as the model speaks.
 */
export interface Layout {
  length: number;
  blocks: Range[];
  adapt?: (run: RunFacts) => AdaptPolicy;
}
export type BlockPlan = (prompt: number, maxTokens: number) => Layout;

/** Blocks whose ends the first forward of each decides. That forward also commits. */
export interface AdaptPolicy {
  /** The farthest that the block beginning at `start` may reach. */
  range(start: number, length: number): Range;
  ask(range: Range): Ask;
  /** Where the block ends: in (range.start, range.end]. */
  end(range: Range, report: StepResult): number;
}

/** `remove` positions from `at` on make room for `tokens`; what follows moves along. */
export interface Splice {
  at: number;
  remove: number;
  /** MASK or known tokens. What no longer fits the canvas is cut off at its end. */
  tokens: readonly number[];
}

/** How long the answer is. */
export interface LengthPolicy {
  /**
   * The answer at first, at most `maxTokens` long: so many masks, or these tokens, MASK among them.
   * Default: `maxTokens` masks.
   */
  initial?: number | readonly number[];
  /** Whether the token at a position is given: nobody changes it, whatever they decide. */
  fixed?(position: number): boolean;
  /** How many tokens of the answer it will not take away any more. Default: all that are known. */
  stable?(canvas: Int32Array): number;
  /** Forwards before the first block that commit nothing; `done` ends them. */
  prepare?: {
    ask(state: StepState): Ask;
    decide(state: StepState, report: StepResult): { splice?: Splice; done: boolean };
  };
  /** Together with each step of the decoder: */
  ask?(state: StepState): Ask | undefined;
  /**
   * Applied after the `changes` of the step: ascending, apart from each other, all positions those
   * before the first of them.
   */
  resize?(
    state: StepState,
    report: StepResult,
    changes: readonly Change[],
  ): readonly Splice[] | undefined;
  /** When all positions are known and none ends the answer: what to append. */
  extend?(canvas: Int32Array): Splice | undefined;
}
export type LengthPlan = (run: RunFacts) => LengthPolicy;
