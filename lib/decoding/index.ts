export { adaBlocks, type AdaBlockOptions } from './adablock.js';
export { alphaOf, revealRate, type Alpha } from './alpha.js';
export { countTokens, type Background } from './background.js';
export { absoluteBlocks, blocks, blocksFromEnd, wholeAnswer } from './blocks.js';
export { blockCausalCache, exactCache } from './caches/block-causal.js';
export { dkvCache } from './caches/dkv.js';
export { dllmCache, type DllmCacheOptions } from './caches/dllm.js';
export { dpad, type DpadOptions } from './caches/dpad.js';
export { dualCache, type DualCacheOptions } from './caches/dual.js';
export { noCache } from './caches/none.js';
export { prefixCache } from './caches/prefix.js';
export type { RefreshOptions } from './caches/refresh.js';
export { ancestral, type AncestralOptions } from './ancestral.js';
export { beam, type BeamOptions } from './beam.js';
export { cap, spaced, type CapOptions } from './cap.js';
export { credit, type CreditOptions } from './credit.js';
export { dilated, type DilatedOptions } from './dilated.js';
export { klass, type KlassOptions } from './klass.js';
export { localLeap, type LocalLeapOptions } from './local-leap.js';
export { sdar, type SdarOptions } from './sdar.js';
export { daedal, type DaedalOptions } from './daedal.js';
export { fillAfterEos } from './eos.js';
export { draftAndEdit, editTokens, type EditTokensOptions } from './edit-tokens.js';
export { fixedLength, growUntilEos } from './length.js';
export { dream, type DreamOptions } from './dream.js';
export {
  leftToRight,
  lowConfidence,
  randomOrder,
  rightToLeft,
  topK,
  type LladaOptions,
  type LowConfidenceOptions,
} from './low-confidence.js';
export { calibrate, osdt, type CalibrateOptions, type ThresholdProfile } from './osdt.js';
export { pcSampler, pcScore, type PcScoreOptions } from './pc-sampler.js';
export type { CommitSchedule } from './schedule.js';
export type { AnyScore, ScorePlan, ScorePolicy } from './scores.js';
export {
  entropyBound,
  factor,
  threshold,
  type EntropyBoundOptions,
  type ThresholdOptions,
} from './threshold.js';
export { prophet, type ProphetOptions } from './prophet.js';
export { randomStart } from './random-start.js';
export { softMask, type SoftMaskOptions, type SoftMaskParameters } from './soft-masking.js';
export { remdm, type RemdmOptions } from './remdm.js';
export { remask, type RemaskOptions } from './remask.js';
export {
  voteOverBlocks,
  voteOverTime,
  type BlockVoteOptions,
  type Normalise,
  type Standing,
  type TimeVoteOptions,
  type Vote,
} from './vote.js';
export { wino, type WinoOptions } from './wino.js';
export { presets, type Preset, type PresetName } from './presets.js';
export { freeDave, selfDraft, type SelfDraftOptions } from './speculate.js';
export type { PolicyFacts, Trait } from './named.js';
export type {
  AdaptPolicy,
  Ask,
  BlockPlan,
  Branch,
  CachePlan,
  CachePolicy,
  Change,
  Decision,
  DecodePolicy,
  Decoder,
  DraftPolicy,
  DraftStep,
  Layout,
  LengthPlan,
  LengthPolicy,
  Look,
  RefinePolicy,
  Refinement,
  Rows,
  RunFacts,
  RunPolicies,
  Speculation,
  Splice,
  StepState,
} from './policy.js';
export { applyRule, type Statistics } from './rule.js';
