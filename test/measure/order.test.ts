import { describe, expect, test } from 'vitest';
import { commitSteps, arness, orderMap, type OrderedRun } from '../../lib/measure/order.js';
import type { TraceStep } from '../../lib/trace.js';

const ordered = (order: number[]) => {
  const steps = new Int32Array(order.length);
  order.forEach((position, t) => (steps[position] = t));
  return steps;
};

describe('AR-ness', () => {
  const leftToRight = ordered([0, 1, 2, 3, 4, 5, 6, 7]);

  test('left to right: (T − k)/T by the literal definition, 1 by the others', () => {
    for (const { k, localLiteral, localOrdered, global } of arness(leftToRight, { ks: [1, 3] })) {
      expect(localLiteral).toBe(k === 1 ? 0.875 : 0.625);
      expect([localOrdered, global]).toEqual([1, 1]);
    }
  });

  test('right to left: nothing follows its left neighbour; global@k counts the last k', () => {
    for (const one of arness(ordered([7, 6, 5, 4, 3, 2, 1, 0]))) {
      expect([one.localLiteral, one.localOrdered || 0]).toEqual([0, 0]);
      expect(one.global).toBe(one.k / 8);
    }
  });

  test('sets are looser than sequences', () => {
    // p: 1 0 2 3. At k = 2: {1, 0} = {1, 0} for p_3 = 2, {0, 2} ≠ {2, 1} for p_4 = 3.
    const [k1, k2, k4] = arness(ordered([1, 0, 2, 3]), { ks: [1, 2, 4] });
    expect(k1).toEqual({ k: 1, localLiteral: 0.25, localOrdered: 1 / 3, global: 0.75 });
    expect(k2).toEqual({ k: 2, localLiteral: 0.25, localOrdered: 0, global: 1 });
    expect(k4.localOrdered).toBeNaN();
  });

  test('tokens of one step: from left to right, or not at all', () => {
    const pairs = [0, 0, 1, 1];
    expect(arness(pairs, { ks: [1] })[0]).toMatchObject({ localOrdered: 1, global: 1 });
    expect(arness(pairs, { ks: [1], ties: 'never' })[0]).toMatchObject({
      ...{ localLiteral: 0, localOrdered: 0, global: 0 },
    });
    expect(arness([0, 1, 2, 2], { ks: [1], ties: 'never' })[0].global).toBe(0.5);
  });

  test('positions that are still masked do not count', () => {
    expect(arness([0, -1, 1, 2], { ks: [1] })[0]).toEqual(
      expect.objectContaining({ localLiteral: 1 / 3, localOrdered: 1 / 2, global: 1 }),
    );
  });

  test('bad options', () => {
    expect(() => arness([0], { ks: [0] })).toThrow(/arness\(\): ks\[0\] must be an integer of at/);
    expect(() => arness([0], { ties: 'x' as never })).toThrow(/ties must be one of "leftToRight"/);
  });
});

test('commit steps: taken back, edited and moved positions', () => {
  const step = (number: number, more: Partial<TraceStep>): TraceStep => ({
    ...{
      step: number,
      block: 0,
      forwards: 1,
      canvases: 1,
      rows: 6,
      refresh: true,
      stable: 0,
      committed: [],
    },
    ...more,
  });
  const run: OrderedRun = {
    prompt: Int32Array.of(1, 2),
    shape: { maxTokens: 6, initial: [99, 99, 99, 99], capacity: 8, mask: 99, blocks: 1, ends: [] },
    trace: [
      step(0, { committed: [[2, 7, 1], [3, 7, 1]] }), // prettier-ignore
      step(1, { remasked: [2], edited: [[3, 8, 1]] }),
      step(2, { committed: [[5, 7, 1]], splices: [{ at: 4, remove: 1, tokens: [99, 5, 99] }] }),
      step(3, { committed: [[2, 7, 1]] }),
    ],
  };
  expect([...commitSteps(run)]).toEqual([3, 1, -1, 2, -1, 2]);
});

describe('the map of orders', () => {
  test('left to right is a diagonal, right to left the other one', () => {
    const forth = [...orderMap([[0, 1, 2, 3]], { rows: 4, columns: 4 }).share];
    expect(forth).toEqual([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
    const back = [...orderMap([[3, 2, 1, 0]], { rows: 2, columns: 2 }).share];
    expect(back).toEqual([0, 1, 1, 0]);
  });

  test('columns sum to 1; runs of different lengths share one map', () => {
    const runs = [
      [0, 5, 2, -1],
      [1, 1, 0, 0, 3, 3],
    ];
    const { rows, columns, share } = orderMap(runs, { rows: 3, columns: 2 });
    for (let c = 0; c < columns; c++) {
      const sum = Array.from({ length: rows }, (_, r) => share[r * columns + c]);
      expect(sum.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
    }
    expect(() => orderMap([])).toThrow(/at least one run/);
  });
});
