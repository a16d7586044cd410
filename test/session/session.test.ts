/** Canvas, forks, commits, several sessions in one forward, and requests that are refused. */
import { describe, expect, test } from 'vitest';
import type { DiffusionSession, StepResult } from '../../lib/index.js';
import {
  devices,
  distance,
  failure,
  halfMasked,
  mask,
  modelFolder,
  thrown,
  vocabulary,
} from './models.js';

const { load } = modelFolder();

describe('canvas', () => {
  test('starts as masks; set, commit and remask write it; tokens is a copy', async () => {
    const model = await load('llada', { device: 'ref' });
    const session = model.createSession({ length: 6 });
    expect(session.length).toBe(6);
    expect(session.maskToken).toBe(mask);
    expect([...session.tokens]).toEqual(Array(6).fill(mask));
    session.set(1, [5, mask, 7]);
    session.commit([
      { position: 5, token: 9 },
      { position: 0, token: 4 },
    ]);
    expect([...session.tokens]).toEqual([4, 5, mask, 7, mask, 9]);
    session.remask([1, 0]);
    expect([...session.masked]).toEqual([0, 1, 2, 4]);
    session.tokens.fill(3);
    expect([...session.masked]).toEqual([0, 1, 2, 4]);
  });

  test('its memory is known beforehand', async () => {
    const model = await load('llada', { device: 'ref' });
    const cache = 100 * 2 * 2 * 64 * 4; // positions, layers, keys and values, width, bytes
    expect(model.sessionBytes(100)).toBeGreaterThan(cache);
    expect(model.sessionBytes(100)).toBeLessThan(10 * cache);
    expect(model.sessionBytes(192)).toBe(2 * model.sessionBytes(96));
    // Keys and values come in panels of 32 positions.
    expect(model.sessionBytes(97) - model.sessionBytes(96)).toBeGreaterThan(32 * (cache / 100));
  });

  test('a fork has the same canvas, keys and counter, and goes its own way', async () => {
    for (const device of devices) {
      const model = await load('llada', { device });
      const session = halfMasked(model);
      await session.step({ kl: true, commit: { select: { kind: 'topK', k: 2 } } });
      session.set(0, [123]); // its keys are stale now, in both
      const fork = session.fork();
      expect(fork.tokens).toEqual(session.tokens);
      expect(fork.counters).toEqual(session.counters);
      const request = {
        rows: { start: 8, end: 16 },
        sampling: { temperature: 1, seed: 9 },
        kl: true,
        logits: true,
        commit: { score: 'random', select: { kind: 'topK', k: 1 } },
      } as const;
      const { timing: _, ...mine } = await session.step(request);
      const { timing: __, ...theirs } = await fork.step(request);
      expect(theirs).toEqual(mine);
      expect(fork.tokens).toEqual(session.tokens);
      fork.set(2, [8]);
      expect(session.tokens[2]).not.toBe(8);
      session.dispose();
      expect((await fork.step()).rows).toBe(16);
    }
  });

  test.each(devices)('a step may report nothing: %s', async (device) => {
    for (const name of ['llada', 'dream'] as const) {
      const model = await load(name, { device });
      const session = halfMasked(model);
      const { rows, position } = await session.step({ query: new Int32Array(0) });
      expect([rows, position.length]).toEqual([16, 0]);
      const other = halfMasked(model);
      await other.step();
      const request = { rows: { start: 15, end: 16 }, logits: true };
      expect((await session.step(request)).logits).toEqual((await other.step(request)).logits);
    }
  });

  test('forks of forks keep their keys whoever steps first', async () => {
    const request = { rows: { start: 8, end: 16 }, kl: true, logits: true };
    const values = async (step: Promise<StepResult>) => {
      const { timing: _, ...rest } = await step;
      return rest;
    };
    for (const device of devices) {
      const model = await load('llada', { device });
      const session = halfMasked(model);
      await session.step({ kl: true });
      const [a, b] = [session.fork(), session.fork()];
      const [c, d] = [a.fork(), b.fork()];
      const expected = await values(session.step(request));
      // Another canvas gives other keys and hidden rows, in `session` and `a` alone.
      for (const changed of [session, a]) {
        changed.set(0, new Int32Array(16).fill(77));
        await changed.step({ query: Int32Array.of(9), kl: true });
      }
      expect((await values(a.step(request))).logits).not.toEqual(expected.logits);
      session.dispose();
      const together = await model.step([
        { session: c, ...request },
        { session: d, ...request },
      ]);
      for (const { timing: _, ...rest } of together) expect(rest).toEqual(expected);
      a.dispose();
      c.dispose();
      d.dispose();
      expect(await values(b.step(request))).toEqual(expected);
    }
  });

  test('rules commit natively, inside their range', async () => {
    const model = await load('llada', { device: 'ref' });
    const session = halfMasked(model);
    const result = await session.step({
      commit: { score: 'position', select: { kind: 'topK', k: 2 }, within: { start: 4, end: 12 } },
    });
    expect(result.committed).toEqual(Int32Array.of(5, 7));
    const at = [...result.position].indexOf(5);
    expect(session.tokens[5]).toBe(result.token[at]);
    const bias = new Float32Array(16);
    bias[13] = 10;
    const biased = await session.step({ commit: { select: { kind: 'topK', k: 1 }, bias } });
    expect(biased.committed).toEqual(Int32Array.of(13));
    const strict = await session.step({
      commit: { select: { kind: 'threshold', tau: 2, min: 0 } },
    });
    expect(strict.committed).toHaveLength(0);
    const rest = await session.step({ commit: { select: { kind: 'all' } } });
    expect(rest.committed).toEqual(Int32Array.of(1, 3, 9, 11, 15));
    expect(session.masked).toHaveLength(0);
    expect((await session.step()).position).toHaveLength(0);
  });
});

describe.each(devices)('several sessions in one forward on %s', (device) => {
  test('give what separate forwards give', async () => {
    const model = await load('llada', { device });
    const make = () => [halfMasked(model, 16), halfMasked(model, 9), halfMasked(model, 16)];
    const requests = [
      { topK: 2, logits: true, commit: { select: { kind: 'topK', k: 2 } } },
      { shadow: Int32Array.of(4), logits: true },
      { rows: { start: 0, end: 8 }, visible: 8, kl: true, probe: [7, 3] },
    ] as const;
    const apart = make();
    const together = make();
    const items = together.map((session, i) => ({ session, ...requests[i] }));
    const joint = await model.step(items as Parameters<typeof model.step>[0]);
    for (const [i, session] of apart.entries()) {
      const alone = await session.step(requests[i] as Parameters<typeof session.step>[0]);
      expect(joint[i].position).toEqual(alone.position);
      expect(joint[i].committed).toEqual(alone.committed);
      expect(distance(joint[i].probability, alone.probability)).toBeLessThan(1e-5);
      if (alone.logits) expect(distance(joint[i].logits!, alone.logits)).toBeLessThan(1e-5);
      if (alone.probe) expect(distance(joint[i].probe!, alone.probe)).toBeLessThan(1e-5);
      expect(joint[i].rows).toBe(alone.rows);
      expect(together[i].tokens).toEqual(session.tokens);
    }
    const [plain] = await model.step([halfMasked(model)]); // a session alone: the default request
    expect(plain.position).toHaveLength(8);
    expect(await model.step([])).toEqual([]);
  });
});

describe('requests that are refused', () => {
  const cases: [string, object, RegExp][] = [
    ['unknown option', { row: 1 }, /"row".*options are rows, visible/],
    ['rows repeat', { rows: [3, 1, 3] }, /rows.*3/],
    ['rows outside', { rows: [16] }, /rows\[0\].*0 to 15.*16/],
    ['rows of floats', { rows: [0.5] }, /rows\[0\].*integer.*0\.5/],
    ['rows backwards', { rows: { start: 5, end: 4 } }, /rows\.end.*5 to 16.*4/],
    ['rows misspelt', { rows: { start: 5, stop: 6 } }, /"stop".*start, end/],
    ['rows a string', { rows: 'all' }, /rows must be/],
    ['visible too long', { visible: 17 }, /visible.*0 to 16.*17/],
    ['visible leaves a row without keys', { visible: 0 }, /row 0/],
    ['query outside rows', { rows: { start: 0, end: 4 }, query: [9] }, /position 9.*row 9/],
    ['shadow outside', { shadow: [-1] }, /shadow\[0\].*-1/],
    ['temperature', { sampling: { temperature: NaN } }, /sampling\.temperature.*NaN/],
    ['topP', { sampling: { topP: 1.5 } }, /sampling\.topP.*1\.5/],
    ['topK', { sampling: { topK: 0 } }, /sampling\.topK.*0/],
    ['seed', { sampling: { seed: 2 ** 53 } }, /sampling\.seed/],
    ['statistics', { sampling: { statistics: 'both' } }, /sampling\.statistics.*"both"/],
    ['suppress', { suppress: [vocabulary] }, /suppress\[0\].*0 to 299.*300/],
    ['allow empty', { allow: [] }, /allow/],
    ['nothing to choose', { allow: [3, mask], suppress: [3] }, /no token to choose/],
    ['nothing to score', { allow: [3], unscored: [3] }, /no token in the softmax/],
    ['kl', { kl: 1 }, /kl.*true or false.*1/],
    ['list', { topK: 301 }, /topK.*0 to 300/],
    [
      'soft alpha',
      { softMask: { position: [1], alpha: [2], token: [], weight: [] } },
      /alpha\[0\].*2/,
    ],
    [
      'soft shape',
      { softMask: { position: [1], alpha: [1], token: [1, 2], weight: [1] } },
      /weight.*length 2/,
    ],
    [
      'credit length',
      { credit: { position: [1], token: [1], value: [] } },
      /credit\.value.*length 1/,
    ],
    [
      'credit repeats',
      { credit: { position: [1, 1], token: [2, 2], value: [1, 1] } },
      /credit.*repeats/,
    ],
    [
      'credit NaN',
      { credit: { position: [1], token: [1], value: [NaN] } },
      /credit\.value\[0\].*NaN/,
    ],
    ['rule without select', { commit: {} }, /commit\.select\.kind/],
    [
      'rule option',
      { commit: { select: { kind: 'topK', k: 1, tau: 1 } } },
      /commit\.select.*"tau".*kind, k/,
    ],
    ['rule score', { commit: { score: 'best', select: { kind: 'all' } } }, /commit\.score.*"best"/],
    ['rule k', { commit: { select: { kind: 'topK', k: -1 } } }, /commit\.select\.k.*-1/],
    ['rule bias', { commit: { select: { kind: 'all' }, bias: [1] } }, /commit\.bias.*length 16/],
    ['guidance', { guidance: { unconditional: {}, scale: 1 } }, /guidance\.unconditional.*session/],
  ];

  test.each(cases)('%s', async (_, request, message) => {
    const model = await load('llada', { device: 'ref' });
    const session = halfMasked(model);
    const before = session.tokens;
    await expect(session.step(request)).rejects.toMatchObject(failure('INVALID_ARGUMENT', message));
    expect(session.tokens).toEqual(before);
    expect(session.counters.steps).toBe(0);
  });

  test('sessions that do not fit together', async () => {
    const model = await load('llada', { device: 'ref' });
    const other = await load('llada', { device: 'ref' });
    const session = halfMasked(model);
    const refusals: [unknown, RegExp][] = [
      [[session, session], /twice/],
      [[halfMasked(other)], /another model/],
      [[{ rows: [1] }], /items\[0\]\.session/],
      [[null], /items\[0\]/],
      ['all', /items/],
    ];
    for (const [items, message] of refusals) {
      await expect(model.step(items as DiffusionSession[])).rejects.toMatchObject(
        failure('INVALID_ARGUMENT', message),
      );
    }
    for (const [unconditional, message] of [
      [session, /twice/],
      [halfMasked(model, 8), /8 positions/],
      [halfMasked(other), /another model/],
    ] as const) {
      await expect(session.step({ guidance: { unconditional, scale: 1 } })).rejects.toMatchObject(
        failure('INVALID_ARGUMENT', message),
      );
    }
    expect((await session.step()).position).toHaveLength(8);
  });

  test('writes', async () => {
    const model = await load('llada', { device: 'ref' });
    const session = model.createSession({ length: 4 });
    const refusals: [() => unknown, RegExp][] = [
      [() => session.set(3, [1, 2]), /position.*0 to 2.*3/],
      [() => session.set(0, [300]), /tokens\[0\].*300/],
      [() => session.set(0, [1, 2, 3, 4, 5]), /tokens.*4/],
      [() => session.set(0, 7 as never), /tokens/],
      [() => session.commit([{ position: 4, token: 1 }]), /position.*4/],
      [() => session.commit([{ position: 0, token: mask }]), /MASK/],
      [
        () =>
          session.commit([
            { position: 0, token: 1 },
            { position: 0, token: 2 },
          ]),
        /commits\[1\]\.position/,
      ],
      [() => session.commit([{ position: 0, tokens: 1 } as never]), /"tokens"/],
      [() => session.remask([9]), /positions\[0\].*9/],
      [() => model.createSession({ length: 0 }), /length.*0/],
      [() => model.createSession({ size: 3 } as never), /"size"/],
    ];
    for (const [body, message] of refusals) {
      expect(thrown(body)).toMatchObject(failure('INVALID_ARGUMENT', message));
    }
    expect([...session.tokens]).toEqual(Array(4).fill(mask));
  });
});
