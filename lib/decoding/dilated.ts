import { readFields, share } from './fields.js';
import { named } from './named.js';
import type { Decoder } from './policy.js';
import type { Range, Select } from '../types.js';

export interface DilatedOptions {
  /** What the stride is divided by from level to level. Default 2. */
  base?: number;
  /** The first stride is block / base^skip. Default 1. */
  skip?: number;
  /** Proposals less probable than this wait for the next level. Default 0.3; 0: none waits. */
  floor?: number;
  /** Join a last level that is smaller than the one before it with that. Default false. */
  merge?: boolean;
}

export const dilatedFields = {
  base: {
    ...({ type: 'integer', default: 2, minimum: 2 } as const),
    description: 'what the stride is divided by from level to level',
  },
  skip: {
    ...({ type: 'integer', default: 1, minimum: 0 } as const),
    description: 'the first stride is block / base^skip',
  },
  floor: share(0.3, 'less probable proposals wait for the next level'),
  merge: {
    ...({ type: 'boolean', default: false } as const),
    description: 'joins a last level that is smaller than the one before it with that',
  },
} as const;

/**
 * Dilated unmasking: the positions of a block are committed in levels of ever smaller stride, so that
 * tokens committed together stand far apart. The first level has every position at a multiple of
 * ⌊block / base^skip⌋ from the start of the block, the next those of ⌊stride / base⌋, and so on; what
 * is left is one last level. A block of 32 takes 5 forwards: {0, 16}, {8, 24}, {4, 12, 20, 28},
 * {2, 6, …, 30}, the odd ones.
 *
 * The original takes tokens below `floor` back and never schedules them again, which leaves masks in
 * the answer; here they take part in the next level, and the last level commits everything.
 * Source: DUS (arXiv 2506.19037), `generate.py`.
 */
export function dilated(options: DilatedOptions = {}): Decoder {
  const { base, skip, floor, merge } = readFields('dilated()', dilatedFields, options);
  const decoder: Decoder =
    ({ prompt }) =>
    (state) => {
      const levels = levelsOf(state.range, prompt, { base, skip, merge });
      const due = new Set(levels.slice(0, state.blockStep + 1).flat());
      const last = state.blockStep >= levels.length - 1;
      const query = last ? state.masked : state.masked.filter((position) => due.has(position));
      if (query.length === 0) return {};
      const select: Select =
        last || floor === 0 ? { kind: 'all' } : { kind: 'threshold', tau: floor, min: 0 };
      return { request: { query }, commit: { select } };
    };
  return named('dilated', options, decoder);
}

/** Positions of each level, those of the prompt left out; no level is empty. */
function levelsOf(
  { start, end }: Range,
  prompt: number,
  { base, skip, merge }: { base: number; skip: number; merge: boolean },
): number[][] {
  const size = end - start;
  const open = new Set(Array.from({ length: size }, (_, i) => start + i));
  const levels: number[][] = [];
  for (
    let stride = Math.floor(size / base ** skip);
    stride >= 1;
    stride = Math.floor(stride / base)
  ) {
    const level = [...open].filter((position) => (position - start) % stride === 0);
    for (const position of level) open.delete(position);
    levels.push(level);
  }
  if (open.size > 0) levels.push([...open]);
  const last = levels.at(-1)!;
  if (merge && levels.length > 1 && last.length < levels.at(-2)!.length) {
    levels.splice(-2, 2, [...levels.at(-2)!, ...last]);
  }
  const answer = levels.map((level) => level.filter((position) => position >= prompt));
  return answer.filter((level) => level.length > 0);
}
