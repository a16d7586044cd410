export { absoluteBlocks, blocks, wholeAnswer } from './blocks.js';
export { blockCausalCache, dualCache, exactCache, noCache, prefixCache } from './cache.js';
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
