export { absoluteBlocks, blocks, wholeAnswer } from './blocks.js';
export { autoCache } from './caches/auto.js';
export { blockCausalCache, exactCache } from './caches/block-causal.js';
export { dkvCache } from './caches/dkv.js';
export { dllmCache, type DllmCacheOptions } from './caches/dllm.js';
export { dpad, type DpadOptions } from './caches/dpad.js';
export { dualCache, type DualCacheOptions } from './caches/dual.js';
export { noCache } from './caches/none.js';
export { prefixCache } from './caches/prefix.js';
export type { RefreshOptions } from './caches/refresh.js';
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
export type {
  BlockPlan,
  CachePlan,
  CachePolicy,
  Decision,
  DecodePolicy,
  Decoder,
  Layout,
  Rows,
  RunFacts,
  StepState,
} from './policy.js';
export { applyRule, type Statistics } from './rule.js';
