/** Public types of a step: what to compute, what comes back, which commits to make. */

/** Canvas positions `start` (inclusive) to `end` (exclusive). */
export interface Range {
  start: number;
  end: number;
}

/** How the token of a reported position is chosen. */
export interface Sampling {
  /** 0 (default): the most probable token. > 0: an exact sample of softmax(z / T), by Gumbel noise. */
  temperature?: number;
  /** Sample among the k most probable tokens. Default: all. */
  topK?: number;
  /** Nucleus sampling; the token that crosses `topP` is kept. Default 1: all. */
  topP?: number;
  /**
   * What probability, margin, entropy and the top list describe: `'model'` (default) the model's own
   * softmax(z), as LLaDA does; `'sampled'` the tempered and filtered distribution that the token is
   * drawn from, as Dream does.
   */
  statistics?: 'model' | 'sampled';
  /** Noise is a pure function of (seed, step, position, token): Philox4x32-10. Default 0. */
  seed?: number;
  /** Step counter of the noise. Default: the session's own count of steps. */
  step?: number;
}

/** Which score ranks the candidates of a commit; higher is committed first, ties to the lower position. */
export type Score = 'probability' | 'margin' | 'negEntropy' | 'random' | 'position';

/** Which of the ranked candidates are committed. */
export type Select =
  /** The `k` best. */
  | { kind: 'topK'; k: number }
  /** Score ≥ `tau` (`strict`: > `tau`), and the `min` best in any case (default 1). */
  | { kind: 'threshold'; tau: number; strict?: boolean; min?: number }
  /**
   * Fast-dLLM (arXiv 2505.22618): the longest prefix with (n + 1)(1 − score_n) ≤ `factor`; rank 1 always.
   * `literal`: the original code also takes the last rank when only that one fails.
   */
  | { kind: 'factor'; factor: number; literal?: boolean }
  /** EB-Sampler (arXiv 2505.24857): the longest prefix with Σ H − max H ≤ `gamma` nats. */
  | { kind: 'entropyBound'; gamma: number }
  | { kind: 'all' };

/** A commit that native code makes by itself, right after the reduction. */
export interface CommitRule {
  score?: Score;
  select: Select;
  /** Added to the score; one value per canvas position. */
  bias?: Float32Array;
  /** Only these positions may be committed. Default: the whole canvas. */
  within?: Range;
  /** Of the score `random`. Default: the seed and step of `sampling`. */
  seed?: number;
  step?: number;
}

/** A token written by the caller. */
export interface Commit {
  position: number;
  token: number;
}

/**
 * Soft masking (arXiv 2510.17206): the input of a masked position is
 * (1 − alpha)·E[mask] + alpha·Σ_j weight_j·E[token_j]. Positions that are no longer masked are skipped.
 */
export interface SoftMask {
  /** (n) masked canvas positions. */
  position: Int32Array;
  /** (n) 0…1. */
  alpha: Float32Array;
  /** (n × k) row by row. */
  token: Int32Array;
  /** (n × k) weights, usually the renormalised probabilities of the tokens. */
  weight: Float32Array;
}

/** Sparse additions to logits, before suppression, sampling and statistics (CreditDecoding). */
export interface Credit {
  /** (n) reported canvas positions. */
  position: Int32Array;
  /** (n) */
  token: Int32Array;
  /** (n) added to the logit. */
  value: Float32Array;
}

/** Token sets of some positions, on top of the step's: suppressed in either, allowed in both. */
export interface Limit {
  /** (n) canvas positions; a position is in one limit at most. */
  positions: ArrayLike<number>;
  /** If given, every other token is suppressed there. Not empty. */
  allow?: ArrayLike<number>;
  suppress?: ArrayLike<number>;
}

/** Classifier-free guidance: z = u + scale·(c − u); LLaDA's cfg_scale w is scale = w + 1. */
export interface Guidance<Session> {
  /** Same length and model; computed in the same forward with the same rows, visible and query. Commits are written to it too. */
  unconditional: Session;
  scale: number;
}

/** One forward: which rows to compute, what they may see, which positions to report. */
export interface StepRequest<Session = unknown> {
  /** Positions to recompute (their K/V is overwritten). Default: all. */
  rows?: Range | Int32Array;
  /** Keys that may be seen: 0…n, or an explicit list. Default: all. The model's attention still applies. */
  visible?: number | Int32Array;
  /**
   * Positions to report. With a logit shift of 1 the row before each must be computed too. Default: the
   * masked positions inside `rows`. A range: those of its positions that are masked when the step
   * begins and whose row is computed; if that leaves the step nothing to report, it does nothing.
   */
  query?: Range | Int32Array;
  /** Leave-one-out rows: MASK at the position, sees every visible row but the position's own, seen by nobody. Reported after `query`. */
  shadow?: Int32Array;
  sampling?: Sampling;
  guidance?: Guidance<Session>;
  softMask?: SoftMask;
  credit?: Credit;
  /** Tokens with logit −∞: neither in the softmax nor chosen. */
  suppress?: Int32Array;
  /** If given, every other token is suppressed. */
  allow?: Int32Array;
  /**
   * Token sets by position, which the head applies before the softmax like `suppress` and `allow`.
   * Positions that the step does not report are passed over; an explicit `query` must hold them.
   */
  limits?: readonly Limit[];
  /** Tokens outside the softmax that may still be chosen, with probability 0 (LLaDA's confidence_eos_eot_inf). */
  unscored?: Int32Array;
  /** Lets MASK be proposed, as the originals do; such a proposal uses up the quota and stays masked. Default false. */
  allowMask?: boolean;
  /** Tokens whose probability is reported. */
  probe?: Int32Array;
  /** Length of the list of most probable tokens to report. Default 0. */
  topK?: number;
  /** Report KL(now ‖ the position's previous report), nats; +Infinity at its first. Default false. */
  kl?: boolean;
  /** Report whole logit rows (evaluation only). Default false. */
  logits?: boolean;
  commit?: CommitRule;
}

/** Milliseconds per verb of the forward that produced a result. */
export interface StepTiming {
  embed: number;
  norm: number;
  linear: number;
  rope: number;
  attend: number;
  moe: number;
  head: number;
  commit: number;
  /** From the call into native code to its return. */
  total: number;
}

/**
 * Statistics of the n reported positions: those of `query` in ascending order, then those of `shadow`.
 * The arrays of one result may share a buffer, so copy one before transferring it to another thread.
 */
export interface StepResult {
  /** (n) */
  position: Int32Array;
  /** (n) proposed token. */
  token: Int32Array;
  /** (n) probability of the proposed token. */
  probability: Float64Array;
  /** (n) largest minus second largest probability. */
  margin: Float64Array;
  /** (n) nats. */
  entropy: Float64Array;
  /** The k most probable tokens, most probable first, row by row: (n × k). With `topK`. */
  top?: { k: number; token: Int32Array; probability: Float32Array };
  /** (n × probes) probabilities of the probed tokens. With `probe`. */
  probe?: Float32Array;
  /** (n) With `kl`. */
  kl?: Float32Array;
  /** (n × vocabulary) logits after guidance, before everything else. With `logits`. */
  logits?: Float32Array;
  /** Positions that the rule committed, ascending. */
  committed: Int32Array;
  /** Rows computed for this session. */
  rows: number;
  timing: StepTiming;
}
