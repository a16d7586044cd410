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

/** @returns whether a forward is to be a full one; and the options as they belong into a name */
export function refreshing(
  name: string,
  { refresh, warmUp = 0 }: RefreshOptions,
): { due: (state: StepState) => boolean; told: Record<string, number | undefined> } {
  if (refresh !== undefined) integer(`${name}: refresh`, refresh, { min: 1 });
  integer(`${name}: warmUp`, warmUp, { min: 0 });
  const due = ({ blockForwards, forwards }: StepState): boolean =>
    forwards < warmUp || blockForwards % (refresh ?? Infinity) === 0;
  return { due, told: { refresh, warmUp: warmUp || undefined } };
}

/** `dual`, `dual(refresh 8, around 16)`: a cache and its options that are not left out. */
export function called(name: string, options: Record<string, number | undefined>): string {
  const told = Object.entries(options).filter(([, value]) => value !== undefined);
  if (told.length === 0) return name;
  return `${name}(${told.map(([key, value]) => `${key} ${value}`).join(', ')})`;
}

export const refreshKeys = ['refresh', 'warmUp'];
