/** What the head does inside, against the same done outside on whole logit rows. */
import { describe, expect, test } from 'vitest';
import type { Model, StepRequest, StepResult } from '../../lib/index.js';
import {
  devices,
  distance,
  entropy,
  halfMasked,
  mask,
  modelFolder,
  ranking,
  row,
  softmax,
  vocabulary,
} from './models.js';

const { load } = modelFolder();

/** Statistics of every reported row agree with `z`, the logits that the head should have had. */
function expectStatistics(result: StepResult, z: (i: number) => ArrayLike<number>): void {
  for (const [i, token] of [...result.token].entries()) {
    const p = softmax(z(i));
    const order = ranking(p);
    const best = order.find((id) => id !== mask)!;
    // Two tokens that are equal to 1e-6 may change places.
    expect(p[token]).toBeGreaterThan(p[best] - 1e-6);
    expect(token).not.toBe(mask);
    expect(Math.abs(result.probability[i] - p[token])).toBeLessThan(1e-4);
    expect(Math.abs(result.margin[i] - (p[order[0]] - p[order[1]]))).toBeLessThan(1e-4);
    expect(Math.abs(result.entropy[i] - entropy(p))).toBeLessThan(1e-4);
  }
}

describe.each(devices)('on %s', (device) => {
  test.each(['llada', 'dream'] as const)('statistics are those of the logits: %s', async (name) => {
    const model = await load(name, { device });
    const session = halfMasked(model);
    const probe = Int32Array.of(250, 3, 250, mask); // any order, repeats
    const result = await session.step({ logits: true, topK: 5, probe });
    const z = (i: number) => row(result.logits!, vocabulary, i);
    expectStatistics(result, z);
    expect(result.top!.k).toBe(5);
    for (let i = 0; i < result.position.length; i++) {
      const p = softmax(z(i));
      const best = ranking(p).slice(0, 5);
      const tops = row(result.top!.probability, 5, i);
      expect(
        distance(
          tops,
          best.map((id) => p[id]),
        ),
      ).toBeLessThan(1e-4);
      const listed = [...result.top!.token.subarray(5 * i, 5 * i + 5)];
      expect(
        distance(
          tops,
          listed.map((id) => p[id]),
        ),
      ).toBeLessThan(1e-4);
      expect(new Set(listed).size).toBe(5);
      const probed = row(result.probe!, probe.length, i);
      expect(
        distance(
          probed,
          [...probe].map((id) => p[id]),
        ),
      ).toBeLessThan(1e-4);
    }
  });

  test('guidance is u + scale · (c − u) on the logits', async () => {
    const model = await load('llada', { device });
    const conditional = halfMasked(model);
    const unconditional = halfMasked(model);
    unconditional.remask([0, 2, 4]);
    const query = conditional.masked;
    const u = await unconditional.step({ query, logits: true });
    const c = await conditional.step({ query, logits: true });
    for (const scale of [0, 1, 2.5, -0.5]) {
      const guided = await conditional.step({
        query,
        logits: true,
        guidance: { unconditional, scale },
      });
      const mixed = c.logits!.map((z, i) => u.logits![i] + scale * (z - u.logits![i]));
      const size = Math.max(...mixed.map(Math.abs));
      expect(distance(guided.logits!, mixed) / size).toBeLessThan(1e-5);
      expectStatistics(guided, (i) => row(mixed, vocabulary, i));
    }
  });

  test('guidance: commits are written to both canvases', async () => {
    const model = await load('llada', { device });
    const session = halfMasked(model);
    const unconditional = halfMasked(model);
    unconditional.remask([0, 2]);
    const { committed } = await session.step({
      guidance: { unconditional, scale: 2 },
      commit: { select: { kind: 'topK', k: 3 } },
    });
    expect(committed).toHaveLength(3);
    for (const position of committed) {
      expect(session.tokens[position]).not.toBe(mask);
      expect(unconditional.tokens[position]).toBe(session.tokens[position]);
    }
    expect(unconditional.tokens[0]).toBe(mask);
  });

  test('credits are additions to the logits', async () => {
    const model = await load('llada', { device });
    const session = halfMasked(model);
    const plain = await session.step({ logits: true });
    const credit = {
      position: Int32Array.of(7, 3, 3, 1, 4), // 4 is known and not reported: no effect
      token: Int32Array.of(20, 290, 10, 0, 5),
      value: Float32Array.of(3.5, 2, -4, 9, 9),
    };
    const credited = await session.step({ credit, probe: Int32Array.of(0, 10, 20, 290) });
    const z = (i: number) => {
      const logits = row(plain.logits!, vocabulary, i).slice();
      credit.position.forEach((position, k) => {
        if (position === plain.position[i]) logits[credit.token[k]] += credit.value[k];
      });
      return logits;
    };
    expectStatistics(credited, z);
    for (let i = 0; i < credited.position.length; i++) {
      const p = softmax(z(i));
      const probed = row(credited.probe!, 4, i);
      expect(distance(probed, [p[0], p[10], p[20], p[290]])).toBeLessThan(1e-5);
    }
    expect(credited.token[0]).toBe(0);
  });

  test('suppressed tokens leave softmax and choice; allow suppresses the rest', async () => {
    const model = await load('llada', { device });
    const session = halfMasked(model);
    const plain = await session.step({ logits: true });
    const suppress = Int32Array.from(new Set(plain.token));
    const left = await session.step({ suppress, topK: 1 });
    const without = (i: number) => {
      const logits = row(plain.logits!, vocabulary, i).slice();
      for (const token of suppress) logits[token] = -Infinity;
      return logits;
    };
    expectStatistics(left, without);
    expect([...suppress]).not.toContain(left.top!.token[0]);

    const allow = Int32Array.of(17, 5, 5, 101);
    const few = await session.step({ allow, suppress: Int32Array.of(5), probe: allow });
    for (let i = 0; i < few.position.length; i++) {
      const [a, b] = softmax([17, 101].map((id) => plain.logits![i * vocabulary + id]));
      expect(few.token[i]).toBe(a >= b ? 17 : 101);
      expect(distance(row(few.probe!, 4, i), [a, 0, 0, b])).toBeLessThan(1e-4);
    }
  });

  test('unscored tokens are chosen with probability 0; MASK only if allowed', async () => {
    const model = await load('llada', { device });
    const session = halfMasked(model);
    const plain = await session.step({ logits: true });
    const token = plain.token[0];
    const unscored = await session.step({ unscored: Int32Array.of(token) });
    expect(unscored.token[0]).toBe(token);
    expect(unscored.probability[0]).toBe(0);

    const favoured = {
      position: plain.position,
      token: plain.token.map(() => mask),
      value: Float32Array.from(plain.position, () => 50),
    };
    const denied = await session.step({ credit: favoured });
    expect([...denied.token]).not.toContain(mask);
    expect(denied.probability[0]).toBeLessThan(1e-6); // MASK keeps its place in the softmax
    const allowed = await session.step({
      credit: favoured,
      allowMask: true,
      commit: { select: { kind: 'topK', k: 2 } },
    });
    expect(new Set(allowed.token)).toEqual(new Set([mask]));
    expect(allowed.committed).toHaveLength(0);
    expect(session.masked).toEqual(plain.position);
  });

  test('kl is that of now against the previous report', async () => {
    const model = await load('llada', { device });
    const session = halfMasked(model);
    const first = await session.step({ kl: true, logits: true, query: Int32Array.of(3, 5) });
    expect([...first.kl!]).toEqual([Infinity, Infinity]);
    const again = await session.step({ kl: true });
    expect([...again.kl!].map((x) => x < 1e-6)).toEqual([
      false, // 1 is reported for the first time
      true,
      true,
      ...Array<boolean>(5).fill(false),
    ]);
    session.set(4, [77]);
    const changed = await session.step({ kl: true, logits: true, query: Int32Array.of(3, 5) });
    for (let i = 0; i < 2; i++) {
      const now = softmax(row(changed.logits!, vocabulary, i));
      const before = softmax(row(first.logits!, vocabulary, i));
      const kl = now.reduce((sum, p, k) => sum + p * Math.log(p / before[k]), 0);
      expect(Math.abs(changed.kl![i] - kl)).toBeLessThan(1e-4);
    }
  });

  test('sampling follows seed and step counter', async () => {
    const model = await load('llada', { device });
    const draw = async (request: StepRequest['sampling'], before = 0) => {
      const session = halfMasked(model);
      for (let i = 0; i < before; i++) await session.step();
      const { token } = await session.step({ sampling: { temperature: 1, ...request } });
      session.dispose();
      return [...token];
    };
    const base = await draw({ seed: 5 });
    expect(await draw({ seed: 5 })).toEqual(base);
    expect(await draw({ seed: 6 })).not.toEqual(base);
    expect(await draw({ seed: 5, step: 1 })).not.toEqual(base);
    // The default counter is the session's own.
    expect(await draw({ seed: 5 }, 1)).toEqual(await draw({ seed: 5, step: 1 }));
    expect(await draw({ seed: 2 ** 40 + 5 })).not.toEqual(base); // all 53 bits count
  });

  test("statistics: 'sampled' describes the tempered and filtered distribution", async () => {
    const model = await load('llada', { device });
    const session = halfMasked(model);
    const plain = await session.step({ logits: true });
    const sampling = { temperature: 0.5, topK: 3, statistics: 'sampled' } as const;
    const result = await session.step({ sampling });
    for (let i = 0; i < result.position.length; i++) {
      const z = row(plain.logits!, vocabulary, i);
      const kept = ranking(softmax(z)).slice(0, 3);
      const p = softmax(kept.map((id) => z[id] / 0.5));
      expect(kept).toContain(result.token[i]);
      expect(Math.abs(result.probability[i] - p[kept.indexOf(result.token[i])])).toBeLessThan(1e-4);
      expect(Math.abs(result.margin[i] - (p[0] - p[1]))).toBeLessThan(1e-4);
      expect(Math.abs(result.entropy[i] - entropy(p))).toBeLessThan(1e-4);
    }
  });
});

describe('across devices', () => {
  test('ref and cpu agree on everything a step reports', async () => {
    const results: StepResult[] = [];
    for (const device of devices) {
      const model: Model = await load('dream', { device });
      results.push(
        await halfMasked(model).step({
          topK: 4,
          probe: Int32Array.of(1, 2),
          sampling: { temperature: 0.7, seed: 3 },
          commit: { select: { kind: 'topK', k: 2 } },
        }),
      );
    }
    const [ref, cpu] = results;
    expect(cpu.token).toEqual(ref.token);
    expect(cpu.committed).toEqual(ref.committed);
    expect(distance(cpu.probability, ref.probability)).toBeLessThan(1e-5);
    expect(distance(cpu.entropy, ref.entropy)).toBeLessThan(1e-4);
    expect(cpu.top!.token).toEqual(ref.top!.token);
    expect(distance(cpu.probe!, ref.probe!)).toBeLessThan(1e-5);
  });

  test('the number of threads does not change a bit', async () => {
    const reports: StepResult[] = [];
    for (const threads of [1, 2, 4]) {
      const model = await load('llada', { device: 'cpu', threads });
      reports.push(await halfMasked(model, 64).step({ logits: true, topK: 3 }));
    }
    for (const { timing: _, ...report } of reports.slice(1)) {
      const { timing: __, ...first } = reports[0];
      expect(report).toEqual(first);
    }
  });
});
