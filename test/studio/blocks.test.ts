/** The studio knows the blocks of a run from the name and size of its plan: they are those of the plan. */
import { expect, test } from 'vitest';
import { factsOf } from '../../lib/decoding/named.js';
import { absoluteBlocks, blocks, blocksFromEnd, wholeAnswer } from '../../lib/index.js';
import { blockOf, type Timeline } from '../../studio/src/fold.js';

const plans = [blocks, blocksFromEnd, absoluteBlocks].flatMap((plan) => [3, 4, 7].map(plan));

test.each([...plans, wholeAnswer()].map((plan) => ({ plan, facts: factsOf(plan) })))(
  '$facts.name($facts.options)',
  ({ plan, facts }) => {
    const [prompt, length] = [9, 10];
    const { name, options } = facts;
    const timeline = {
      start: { prompt, length, policies: { blocks: { name, options } } },
    } as unknown as Timeline;
    const found = plan(prompt, length).blocks.flatMap(({ start, end }, block) =>
      Array.from({ length: end - Math.max(start, prompt) }, () => block),
    );
    expect(Array.from({ length }, (_, at) => blockOf(timeline, at))).toEqual(
      found.slice(0, length),
    );
  },
);
