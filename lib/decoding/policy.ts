/**
 * What decides during a generation. Three roles, each a pure function: a decoder (which positions
 * get their token now), a block plan (in which order parts of the canvas are worked on) and a cache
 * plan (which rows a forward computes). A role is called once with the facts of the run, where it
 * may refuse options that do not fit together, and returns what is asked at every step. State of a run
 * lives in that call, never in the module.
 */
import type { Commit, CommitRule, Range, StepRequest, StepResult } from '../types.js';

/** Facts of a run that do not change. Positions are canvas positions. */
export interface RunFacts {
  /** Positions 0 … prompt − 1 hold the prompt; the answer follows. */
  readonly prompt: number;
  /** Positions of the canvas. */
  readonly length: number;
  /** Blocks in the order of work. Together they cover the answer. */
  readonly blocks: readonly Range[];
  /** Most denoising steps of the run, if the caller set a limit. */
  readonly steps: number | undefined;
  readonly temperature: number;
  readonly seed: number;
  /** Special tokens; undefined where the model has none. */
  readonly tokens: { readonly mask: number; readonly eos?: number; readonly eot?: number };
  /** Rows see keys of their own and earlier attention blocks of this size; 0: everything. */
  readonly attentionBlock: number;
  /** 1: row i − 1 predicts token i. */
  readonly logitShift: number;
}

/** What a policy sees before a step. */
export interface StepState {
  /** Steps made before this one, in the run. */
  readonly step: number;
  /** Index of the active block in `run.blocks`. */
  readonly block: number;
  /** Steps made before this one, in the block. */
  readonly blockStep: number;
  /** Forwards made before this one: in the run, and in the block. */
  readonly forwards: number;
  readonly blockForwards: number;
  /** The active block. */
  readonly range: Range;
  /** Masked positions of the active block, ascending; at least one. */
  readonly masked: Int32Array;
  /** How many positions of the block were masked when it began. */
  readonly blockMasks: number;
  /** (length) The canvas. Not to be written. */
  readonly canvas: Int32Array;
  /** Positions whose token the last forward changed, ascending: their keys are those of the old one. */
  readonly changed: Int32Array;
}

/** What a decoder wants of a step. With neither `commit` nor `choose` the step makes no forward. */
export interface Decision {
  /** Statistics and token sets that the decision rests on. `query` defaults to `state.masked`. */
  request?: Pick<
    StepRequest,
    'query' | 'shadow' | 'suppress' | 'unscored' | 'allowMask' | 'probe' | 'topK' | 'kl'
  > & { statistics?: 'model' | 'sampled' };
  /** Applied natively. `within` is the active block. */
  commit?: Omit<CommitRule, 'within'>;
  /** Anything that a rule cannot say; MASK and known positions are refused. */
  choose?: (result: StepResult) => Commit[];
}

/** Which positions get their token. `undefined`: this block's steps are used up, masks or not. */
export type DecodePolicy = (state: StepState) => Decision | undefined;
export type Decoder = (run: RunFacts) => DecodePolicy;

/** Which rows a forward computes and which keys they see; the defaults are all. */
export interface Rows {
  rows?: Range | Int32Array;
  visible?: number | Int32Array;
}
/** Which rows each forward of a run computes. */
export interface CachePolicy {
  /** For the result of a run: `'dual'`, `'dkv(refresh 8)'`. */
  readonly name: string;
  /** Why this one, where a plan chose among several. */
  readonly reason?: string;
  /** Asked once per forward. With a logit shift, the row before each queried position must be among the rows. */
  rows(state: StepState): Rows;
}
export type CachePlan = (run: RunFacts) => CachePolicy;

/** Canvas length (at least prompt + maxTokens) and the blocks that cover the answer, in order. */
export interface Layout {
  length: number;
  blocks: Range[];
}
export type BlockPlan = (prompt: number, maxTokens: number) => Layout;
