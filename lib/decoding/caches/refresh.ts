/** When a cache computes every row anew. */
import { integer } from '../../validate.js';
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

/** Whether a forward is to be a full one. */
export function refreshing(
  name: string,
  { refresh, warmUp = 0 }: RefreshOptions,
): (state: StepState) => boolean {
  if (refresh !== undefined) integer(`${name}: refresh`, refresh, { min: 1 });
  integer(`${name}: warmUp`, warmUp, { min: 0 });
  return ({ blockForwards, forwards }) =>
    forwards < warmUp || blockForwards % (refresh ?? Infinity) === 0;
}

export const refreshKeys = ['refresh', 'warmUp'];
