/** Token sets by position, against the same sets applied to whole logit rows. */
import { describe, expect, test } from 'vitest';
import { Random } from '../../lib/gguf/random.js';
import type { DiffusionSession, Limit, StepRequest } from '../../lib/index.js';
import {
  devices,
  distance,
  failure,
  halfMasked,
  mask,
  modelFolder,
  ranking,
  row,
  softmax,
  vocabulary,
} from './models.js';

const { load } = modelFolder();

/** Up to `max` tokens; never 7, so that a suppressed set leaves something. */
function tokens(random: Random, max: number): Int32Array {
  const list = Array.from({ length: random.bits() % (max + 1) }, () => random.bits() % vocabulary);
  return Int32Array.from(list.filter((token) => token !== 7));
}

/** What a position may choose from, by the words of `Limit`. */
function openTokens(
  request: Pick<StepRequest, 'limits' | 'allow' | 'suppress'>,
  position: number,
): number[] {
  const own = request.limits?.find((limit) => Array.from(limit.positions).includes(position));
  const all = Array.from({ length: vocabulary }, (_, token) => token);
  const held = (list: ArrayLike<number> | undefined) => new Set(Array.from(list ?? []));
  const inAll = (list: ArrayLike<number> | undefined, token: number) =>
    list === undefined || held(list).has(token);
  return all.filter(
    (token) =>
      inAll(request.allow, token) &&
      inAll(own?.allow, token) &&
      !held(request.suppress).has(token) &&
      !held(own?.suppress).has(token),
  );
}

/** Up to three limits over the positions 0…15, of which `halfMasked` has masked the odd ones. */
function randomLimits(random: Random): Limit[] {
  const count = random.bits() % 4;
  return Array.from({ length: count }, (_, i): Limit => {
    const positions = Array.from({ length: 16 }, (_, p) => p).filter((p) => p % 4 === i);
    const allow = random.bits() % 2 === 0 ? [...tokens(random, 40), 7, 8] : undefined;
    return { positions, ...(allow && { allow }), suppress: tokens(random, 200) };
  });
}

describe.each(devices)('limits on %s', (device) => {
  test('softmax and choice are those of the tokens left: random limits', async () => {
    const model = await load('llada', { device });
    const session = halfMasked(model);
    const plain = await session.step({ logits: true });
    const random = new Random(11);
    for (let run = 0; run < 30; run++) {
      const request: StepRequest<DiffusionSession> = {
        limits: randomLimits(random),
        suppress: tokens(random, 30),
        ...(run % 2 === 0 && { allow: Int32Array.from({ length: 150 }, (_, i) => i) }),
      };
      const result = await session.step({ ...request, topK: 3, logits: true });
      expect(distance(result.logits!, plain.logits!)).toBeLessThan(1e-6); // before everything else
      for (const [i, position] of result.position.entries()) {
        const open = openTokens(request, position);
        const z = row(plain.logits!, vocabulary, i);
        const p = softmax(open.map((token) => z[token]));
        const best = ranking(p).find((at) => open[at] !== mask)!;
        expect(open).toContain(result.token[i]);
        expect(Math.abs(result.probability[i] - p[best])).toBeLessThan(1e-5);
        const top = ranking(p).slice(0, 3);
        const tops = row(result.top!.probability, 3, i).subarray(0, top.length);
        expect(
          distance(
            tops,
            top.map((at) => p[at]),
          ),
        ).toBeLessThan(1e-5);
      }
    }
  });

  test('samples stay within the limits, and a rule commits only what they allow', async () => {
    const model = await load('dream', { device });
    const session = halfMasked(model);
    const digits = Int32Array.from({ length: 10 }, (_, i) => 40 + i);
    const limits: Limit[] = [
      { positions: [1, 3, 5], allow: digits },
      { positions: [7], allow: [3] },
      { positions: [9, 11], suppress: Int32Array.from({ length: 290 }, (_, i) => i) },
    ];
    await session.step({
      limits,
      sampling: { temperature: 5, seed: 3, topP: 0.9 },
      commit: { select: { kind: 'all' } },
    });
    const { tokens } = session;
    for (const position of [1, 3, 5]) expect([...digits]).toContain(tokens[position]);
    expect(tokens[7]).toBe(3);
    for (const position of [9, 11]) expect(tokens[position]).toBeGreaterThanOrEqual(290);
    expect(session.masked).toHaveLength(0);
  });

  test('shadow rows have the limits of their position; known positions need none', async () => {
    const model = await load('llada', { device });
    const session = halfMasked(model);
    const limits: Limit[] = [{ positions: [0, 1, 2], allow: [5, 6] }];
    const { position, token } = await session.step({ limits, shadow: Int32Array.of(2, 4) });
    position.forEach((p, i) => {
      if (p <= 2) expect([5, 6]).toContain(token[i]);
    });
    expect([...position.subarray(-2)]).toEqual([2, 4]);
  });
});

test('limits that are refused', async () => {
  const model = await load('llada', { device: 'ref' });
  const session = halfMasked(model);
  const cases: [object, RegExp][] = [
    [{ limits: { positions: [1] } }, /limits must be an array/],
    [{ limits: [{ position: [1] }] }, /limits\[0\].*"position".*positions, allow, suppress/],
    [{ limits: [{ positions: [16] }] }, /limits\[0\]\.positions\[0\].*0 to 15.*16/],
    [{ limits: [{ positions: [3, 3] }] }, /limits\[0\]\.positions.*once; 3/],
    [{ limits: [{ positions: [1] }, { positions: [1] }] }, /limits\[1\].*: 1 is in an earlier/],
    [{ limits: [{ positions: [3] }], query: [1] }, /limits\[0\].*: 3 is neither in query/],
    [{ limits: [{ positions: [1], allow: [] }] }, /limits\[0\]\.allow.*hold a token/],
    [{ limits: [{ positions: [1], allow: [300] }] }, /limits\[0\]\.allow\[0\].*0 to 299.*300/],
    [{ limits: [{ positions: [1], suppress: [-1] }] }, /limits\[0\]\.suppress\[0\].*-1/],
    [{ limits: [{ positions: [1], allow: [5] }], allow: [6] }, /no token in common/],
    [
      { limits: [{ positions: [1], allow: [5] }], suppress: [5] },
      /limits\[0\].*no token to choose/,
    ],
    [{ limits: [{ positions: [1], allow: [mask] }] }, /limits\[0\].*no token to choose/],
    [{ limits: [{ positions: [1], allow: [5] }], unscored: [5] }, /no token in the softmax/],
  ];
  for (const [request, message] of cases) {
    await expect(session.step(request)).rejects.toMatchObject(failure('INVALID_ARGUMENT', message));
  }
  expect(session.counters.steps).toBe(0);
});
