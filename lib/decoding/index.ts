export { absoluteBlocks, blocks, wholeAnswer } from './blocks.js';
export { blockCausalCache, exactCache } from './caches/block-causal.js';
export { dkvCache } from './caches/dkv.js';
export { dllmCache, type DllmCacheOptions } from './caches/dllm.js';
export { dpad, type DpadOptions } from './caches/dpad.js';
export { dualCache, type DualCacheOptions } from './caches/dual.js';
export { noCache } from './caches/none.js';
export { prefixCache } from './caches/prefix.js';
export type { RefreshOptions } from './caches/refresh.js';
export { fixedLength, growUntilEos } from './length.js';
export { dream, type DreamOptions } from './dream.js';
export {
  leftToRight,
  lowConfidence,
  randomOrder,
  topK,
  type LladaOptions,
  type LowConfidenceOptions,
} from './low-confidence.js';
export { entropyBound, factor, threshold, type ThresholdOptions } from './threshold.js';
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
  Layout,
  LengthPlan,
  LengthPolicy,
  Look,
  RefinePolicy,
  Refinement,
  Rows,
  RunFacts,
  RunPolicies,
  Splice,
  StepState,
} from './policy.js';
export { applyRule, type Statistics } from './rule.js';
