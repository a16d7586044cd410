/** The caches that the command line knows by name. */
import {
  blockCausalCache,
  dkvCache,
  dllmCache,
  dpad,
  dualCache,
  noCache,
  prefixCache,
  type CachePlan,
} from '../decoding/index.js';
import { UsageError } from './options.js';

interface CacheEntry {
  about: string;
  make(options: { refresh?: number }): CachePlan | 'auto';
  /** Takes --refresh. */
  refreshes?: true;
}

export const caches = {
  auto: { about: 'picked by the model, the canvas and the blocks', make: () => 'auto' },
  none: { about: 'compute every token in every forward: exact', make: noCache },
  prefix: {
    about: 'keep what lies before the block; renewed once a block (Fast-dLLM)',
    make: prefixCache,
    refreshes: true,
  },
  dual: {
    about: 'keep what lies before and after the block (Fast-dLLM)',
    make: dualCache,
    refreshes: true,
  },
  vicinity: {
    about: 'the same, but 16 tokens on either side of the block are computed too (dInfer)',
    make: ({ refresh }) => dualCache({ around: 16, warmUp: 4, refresh }),
    refreshes: true,
  },
  dkv: {
    about: 'keep tokens from the second forward after their commit on (dKV-Cache)',
    make: dkvCache,
    refreshes: true,
  },
  dllm: {
    about: 'renew the prompt rarely, the answer in part (dLLM-Cache)',
    make: () => dllmCache(),
  },
  dpad: {
    about: 'dual, and leave out most masks far behind the block (DPad)',
    make: ({ refresh }) => dpad({ cache: dualCache({ refresh }) }),
    refreshes: true,
  },
  'block-causal': {
    about: 'keep what lies before the block; exact for block-causal models',
    make: blockCausalCache,
  },
} satisfies Record<string, CacheEntry>;

export type CacheName = keyof typeof caches;

/** The plan for --cache and --refresh; `undefined` without --cache. */
export function cachePlan(
  name: CacheName | undefined,
  refresh?: number,
): CachePlan | 'auto' | undefined {
  const entry: CacheEntry | undefined = name && caches[name];
  if (refresh !== undefined && !entry?.refreshes) {
    const users = Object.entries<CacheEntry>(caches).filter(([, { refreshes }]) => refreshes);
    throw new UsageError(`--refresh needs --cache ${users.map(([user]) => user).join(' or ')}`);
  }
  return entry?.make(refresh === undefined ? {} : { refresh });
}
