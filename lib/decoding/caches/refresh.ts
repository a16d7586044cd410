/** When a cache computes every row anew. */
import type { StepState } from '../policy.js';

export interface RefreshOptions {
  /** Every n-th forward of a block is a full one, counted from its first. Default: only the first. */
  refresh?: number;
  /**
   * The first n forwards of the run are full ones, which keep early predictions, made from almost
   * nothing, out of the cache. Default 0. Source: dInfer's `warmup_steps`.
   */
  warmUp?: number;
}

export const refreshFields = {
  refresh: {
    ...({ type: 'integer', minimum: 1 } as const),
    description: 'every n-th forward of a block is a full one; only the first',
  },
  warmUp: {
    ...({ type: 'integer', default: 0, minimum: 0 } as const),
    description: 'so many first forwards of the run are full ones',
  },
} as const;

/** Whether a forward is to be a full one. */
export function refreshing({
  refresh,
  warmUp,
}: {
  refresh: number | undefined;
  warmUp: number;
}): (state: StepState) => boolean {
  return ({ blockForwards, forwards }) =>
    forwards < warmUp || blockForwards % (refresh ?? Infinity) === 0;
}
