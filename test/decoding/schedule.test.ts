import { describe, expect, test } from 'vitest';
import { absoluteBlocks, blocks, blocksFromEnd, wholeAnswer } from '../../lib/decoding/blocks.js';
import { evenShare, stepsPerBlock, timesteps, transferRate } from '../../lib/decoding/schedule.js';
import type { RunFacts } from '../../lib/decoding/policy.js';
import type { PolicyFacts } from '../../lib/decoding/named.js';
import type { BlockPlan } from '../../lib/decoding/policy.js';

function shares(total: number, steps: number): number[] {
  return Array.from({ length: steps }, (_, i) => evenShare(total, steps, i));
}

const plain: PolicyFacts = { name: 'plain', options: {}, traits: [] };
const policies = { decode: plain, blocks: plain, length: plain, cache: plain, refine: [] };

function run(plan: BlockPlan, prompt: number, maxTokens: number, steps?: number): RunFacts {
  return {
    ...plan(prompt, maxTokens),
    prompt,
    steps,
    temperature: 0,
    seed: 0,
    maxTokens,
    tokens: { mask: 0 },
    ends: new Set(),
    architecture: 'llada',
    vocabulary: 16,
    tokenizer: undefined,
    attentionBlock: 0,
    logitShift: 0,
    policies,
  };
}

describe('LLaDA: remainder first', () => {
  test.each([
    [10, 4, [3, 3, 2, 2]],
    [32, 8, [4, 4, 4, 4, 4, 4, 4, 4]],
    [3, 5, [1, 1, 1, 0, 0]],
    [7, 3, [3, 2, 2]],
  ])('%i masks in %i steps', (total, steps, expected) => {
    expect(shares(total, steps)).toEqual(expected);
  });
});

/** [count, repeated] of the tokens per step when every step commits what the schedule says. */
function dreamCounts(masks: number, steps: number): [number, number][] {
  const times = timesteps(steps, 1e-3);
  const counts: [number, number][] = [];
  for (let i = 0; i < steps; i++) {
    const k = Math.trunc(Math.fround(masks * transferRate(times, i)));
    masks -= k;
    if (counts.at(-1)?.[0] === k) counts.at(-1)![1]++;
    else counts.push([k, 1]);
  }
  expect(masks).toBe(0);
  return counts;
}

describe('Dream: counts of the original in float32', () => {
  test.each<[number, number, [number, number][]]>([
    [
      128,
      128,
      [
        [0, 1],
        [1, 126],
        [2, 1],
      ],
    ],
    [
      256,
      256,
      [
        [0, 1],
        [1, 254],
        [2, 1],
      ],
    ],
    [
      512,
      512,
      [
        [0, 1],
        [1, 510],
        [2, 1],
      ],
    ],
    [
      256,
      128,
      [
        [1, 1],
        [2, 126],
        [3, 1],
      ],
    ],
    [
      256,
      64,
      [
        [3, 1],
        [4, 62],
        [5, 1],
      ],
    ],
    [
      256,
      512,
      [
        [0, 257],
        [1, 254],
        [2, 1],
      ],
    ],
    [
      1024,
      256,
      [
        [3, 2],
        [4, 253],
        [6, 1],
      ],
    ],
  ])('%i tokens in %i steps', (tokens, steps, expected) => {
    expect(dreamCounts(tokens, steps)).toEqual(expected);
  });

  test('20 tokens in 512 steps: 493 of them empty', () => {
    const empty = dreamCounts(20, 512).filter(([k]) => k === 0);
    expect(empty.reduce((sum, [, repeated]) => sum + repeated, 0)).toBe(493);
  });

  test('times go from 1 to eps', () => {
    const times = timesteps(10, 1e-3);
    expect(times.length).toBe(11);
    expect(times[0]).toBe(1);
    expect(times[10]).toBe(Math.fround(1e-3));
  });
});

describe('blocks', () => {
  test('from the end of the prompt, the last one shorter', () => {
    expect(blocks(8)(5, 20)).toEqual({
      length: 25,
      blocks: [
        { start: 5, end: 13 },
        { start: 13, end: 21 },
        { start: 21, end: 25 },
      ],
    });
  });

  test('LLaDA2.0: P = 40, G = 50, B = 32 gives 96 positions from block 32…63 on', () => {
    expect(absoluteBlocks(32)(40, 50)).toEqual({
      length: 96,
      blocks: [
        { start: 32, end: 64 },
        { start: 64, end: 96 },
      ],
    });
  });

  test('absolute blocks after a prompt of whole blocks begin at its end', () => {
    expect(absoluteBlocks(4)(8, 4)).toEqual({ length: 12, blocks: [{ start: 8, end: 12 }] });
  });

  test('from the end: what is left over comes first', () => {
    expect(blocksFromEnd(4)(3, 10)).toEqual({
      length: 13,
      blocks: [
        { start: 3, end: 5 },
        { start: 5, end: 9 },
        { start: 9, end: 13 },
      ],
    });
    expect(blocksFromEnd(4)(3, 8)).toEqual(blocks(4)(3, 8));
  });

  test('whole answer', () => {
    expect(wholeAnswer()(3, 7)).toEqual({ length: 10, blocks: [{ start: 3, end: 10 }] });
  });

  test.each([0, -1, 1.5, NaN, '8'])('size %s is refused', (size) => {
    expect(() => blocks(size as number)).toThrow(/blocks\(size\) must be an integer/);
    expect(() => absoluteBlocks(size as number)).toThrow(/absoluteBlocks\(size\)/);
    expect(() => blocksFromEnd(size as number)).toThrow(/blocksFromEnd\(size\)/);
  });
});

describe('steps per block', () => {
  test('equal blocks get equal shares', () => {
    expect(stepsPerBlock(run(blocks(32), 4, 64), 'd', 24)).toEqual([12, 12]);
  });

  test('remainder first', () => {
    expect(stepsPerBlock(run(blocks(8), 0, 32), 'd', 10)).toEqual([3, 3, 2, 2]);
  });

  test('in proportion to the masks', () => {
    expect(stepsPerBlock(run(blocks(32), 0, 40), 'd', 40)).toEqual([32, 8]);
    expect(stepsPerBlock(run(absoluteBlocks(8), 6, 18), 'd', 9)).toEqual([1, 4, 4]);
  });

  test('one at least', () => {
    expect(stepsPerBlock(run(blocks(31), 0, 32), 'd', 2)).toEqual([1, 1]);
    expect(() => stepsPerBlock(run(blocks(8), 0, 32), 'd()', 3)).toThrow(
      /d\(\): 3 steps cannot fill 4 blocks/,
    );
  });

  test('default: the limit of the run, else one per mask of each block', () => {
    expect(stepsPerBlock(run(blocks(8), 5, 16, 4), 'd')).toEqual([2, 2]);
    expect(stepsPerBlock(run(blocks(8), 5, 16), 'd')).toBeUndefined();
    expect(() => stepsPerBlock(run(blocks(8), 5, 16, 4), 'd()', 5)).toThrow(/5 steps .* the 4/);
  });
});
