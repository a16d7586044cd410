import { integer } from '../validate.js';
import { named } from './named.js';
import type { Range } from '../types.js';
import type { BlockPlan } from './policy.js';

export const blocksFields = {
  size: {
    ...({ type: 'integer', default: 32, minimum: 1 } as const),
    description: 'positions of a block',
  },
} as const;

/**
 * Semi-autoregressive blocks of `size` positions counted from the end of the prompt; the last one is
 * shorter if `maxTokens` is no multiple of `size`.
 * Source: LLaDA, `generate.py` (`block_length`); the original requires a multiple.
 * @param size positions, at least 1; default 32, as in LLaDA's README
 */
export function blocks(size: number = blocksFields.size.default): BlockPlan {
  integer('blocks(size)', size, { min: 1 });
  return named('blocks', size, (prompt, maxTokens) => {
    const length = prompt + maxTokens;
    return { length, blocks: ranges(prompt, length, size) };
  });
}

/**
 * Blocks of `size` positions counted from the end of the answer, so that the first one is shorter if
 * `maxTokens` is no multiple of `size`: as models trained blockwise in reverse order have met them.
 * Source: "Why mask diffusion does not work" (arXiv 2510.03289), section 3.4.2.
 * @param size positions, at least 1
 */
export function blocksFromEnd(size: number): BlockPlan {
  integer('blocksFromEnd(size)', size, { min: 1 });
  return named('blocksFromEnd', size, (prompt, maxTokens) => {
    const length = prompt + maxTokens;
    const rest = maxTokens % size;
    const first = rest > 0 ? [{ start: prompt, end: prompt + rest }] : [];
    return { length, blocks: [...first, ...ranges(prompt + rest, length, size)] };
  });
}

/**
 * Blocks on absolute multiples of `size`, as block-causal models are trained. The first one takes in
 * the end of the prompt; the canvas is filled up to a whole block, and the answer is cut to
 * `maxTokens`.
 * Source: LLaDA2.0, `modeling_llada2_moe.py::generate`; SDAR, `generate.py`.
 * @param size positions, at least 1; a multiple of the model's attention block for exact caching
 */
export function absoluteBlocks(size: number): BlockPlan {
  integer('absoluteBlocks(size)', size, { min: 1 });
  return named('absoluteBlocks', size, (prompt, maxTokens) => {
    const length = Math.ceil((prompt + maxTokens) / size) * size;
    return { length, blocks: ranges(Math.floor(prompt / size) * size, length, size) };
  });
}

/** One block: the whole answer at once. Source: Dream; LLaDA with `block_length = gen_length`. */
export function wholeAnswer(): BlockPlan {
  return named('wholeAnswer', {}, (prompt, maxTokens) => ({
    length: prompt + maxTokens,
    blocks: [{ start: prompt, end: prompt + maxTokens }],
  }));
}

function ranges(start: number, end: number, size: number): Range[] {
  const count = Math.ceil((end - start) / size);
  return Array.from({ length: count }, (_, i) => ({
    start: start + i * size,
    end: Math.min(start + (i + 1) * size, end),
  }));
}
