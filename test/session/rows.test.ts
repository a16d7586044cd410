/** Which rows a step computes, what they see, what it reports. */
import { describe, expect, test } from 'vitest';
import {
  all,
  devices,
  distance,
  halfMasked,
  mask,
  modelFolder,
  row,
  vocabulary,
} from './models.js';

const { load } = modelFolder();

describe.each(devices)('on %s', (device) => {
  test('by default all rows are computed and the masked positions reported', async () => {
    const model = await load('llada', { device });
    const session = halfMasked(model);
    expect(session.masked).toEqual(Int32Array.of(1, 3, 5, 7, 9, 11, 13, 15));
    const result = await session.step();
    expect(result.position).toEqual(session.masked);
    expect(result.rows).toBe(16);
    expect(result.committed).toHaveLength(0);
    expect(result).not.toHaveProperty('logits');
    expect(result).not.toHaveProperty('top');
    expect(result.timing.total).toBeGreaterThan(0);
    expect([...result.token]).not.toContain(mask);
    expect(session.counters).toEqual({ steps: 1, rows: 16 });
  });

  test('query reports known positions too, ascending; rows limit the default', async () => {
    const model = await load('llada', { device });
    const session = halfMasked(model);
    const asked = await session.step({ query: Int32Array.of(9, 2) });
    expect(asked.position).toEqual(Int32Array.of(2, 9));
    const block = await session.step({ rows: { start: 4, end: 8 } });
    expect(block.position).toEqual(Int32Array.of(5, 7));
    expect(block.rows).toBe(4);
    const listed = await session.step({ rows: Int32Array.of(7, 1, 2) });
    expect(listed.position).toEqual(Int32Array.of(1, 7));
  });

  test('rows that are not computed keep their keys and values', async () => {
    const model = await load('llada', { device });
    const session = halfMasked(model);
    const query = Int32Array.of(5, 7);
    const full = await session.step({ query, logits: true });
    const block = await session.step({ rows: { start: 4, end: 8 }, logits: true });
    expect(distance(full.logits!, block.logits!)).toBeLessThan(1e-5);
    // A token written elsewhere stays unseen until its row is computed.
    session.set(0, [200]);
    const stale = await session.step({ rows: { start: 4, end: 8 }, logits: true });
    expect(distance(full.logits!, stale.logits!)).toBeLessThan(1e-5);
    const fresh = await session.step({ query, logits: true });
    expect(distance(full.logits!, fresh.logits!)).toBeGreaterThan(1e-3);
  });

  test('rows that nobody asks about change no result, and leave their keys and values', async () => {
    const model = await load('llada', { device });
    const [session, other] = [halfMasked(model), halfMasked(model)];
    const all = await session.step({ logits: true });
    const one = await other.step({ query: Int32Array.of(7), logits: true });
    const own = all.logits!.subarray(3 * vocabulary, 4 * vocabulary); // masks are odd positions
    expect(one.logits).toEqual(own);
    other.set(0, [200]);
    const nothing = await other.step({ query: new Int32Array() });
    expect(nothing.position).toHaveLength(0);
    session.set(0, [200]);
    await session.step();
    const request = { rows: { start: 4, end: 8 }, logits: true };
    expect((await other.step(request)).logits).toEqual((await session.step(request)).logits);
  });

  test('keys that are not visible do not matter', async () => {
    const model = await load('llada', { device });
    const long = halfMasked(model);
    const short = halfMasked(model, 10);
    const query = short.masked;
    const alone = await short.step({ logits: true });
    const seen = await long.step({ visible: 10, query, logits: true });
    expect(distance(alone.logits!, seen.logits!)).toBeLessThan(1e-5);
    const listed = await long.step({ visible: all(10).reverse(), query, logits: true });
    expect(listed.logits).toEqual(seen.logits);
    const more = await long.step({ visible: 11, query, logits: true });
    expect(distance(alone.logits!, more.logits!)).toBeGreaterThan(1e-3);
  });

  test('with a logit shift the row before is the source', async () => {
    const model = await load('dream', { device });
    expect(model.info.logitShift).toBe(1);
    const session = halfMasked(model);
    const full = await session.step({ query: all(16), logits: true });
    // Position 0 has no row before it and is predicted from its own.
    expect(row(full.logits!, vocabulary, 0)).toEqual(row(full.logits!, vocabulary, 1));
    const block = await session.step({ rows: { start: 5, end: 9 }, logits: true });
    expect(block.position).toEqual(Int32Array.of(7)); // 5 is masked, but row 4 is not computed
    const same = row(full.logits!, vocabulary, 7);
    expect(distance(block.logits!, same)).toBeLessThan(1e-5);
    await expect(
      session.step({ rows: { start: 5, end: 9 }, query: Int32Array.of(5) }),
    ).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/position 5.*row 4/) as string,
    });
    const beyond = await session.step({ rows: { start: 4, end: 5 }, query: Int32Array.of(5) });
    expect(beyond.position).toEqual(Int32Array.of(5));
  });

  test('block-causal attention: later blocks do not reach earlier ones', async () => {
    const model = await load('llada', { device, attention: 'block-causal:4' });
    expect(model.info.attention).toEqual({ blockCausal: 4 });
    const session = halfMasked(model);
    const before = await session.step({ query: all(8), logits: true });
    session.set(8, [200]);
    const after = await session.step({ query: all(8), logits: true });
    expect(after.logits).toEqual(before.logits);
    session.set(7, [200]); // the end of the second block
    const changed = await session.step({ query: all(8), logits: true });
    const first = 4 * vocabulary;
    expect(changed.logits!.subarray(0, first)).toEqual(before.logits!.subarray(0, first));
    expect(distance(changed.logits!, before.logits!)).toBeGreaterThan(1e-3);
  });
});

describe.each(devices)('shadow rows on %s', (device) => {
  test('leave one position out, and nobody sees them', async () => {
    const model = await load('shallow', { device });
    const session = halfMasked(model);
    const plain = await session.step({ logits: true });
    const shadow = Int32Array.of(4, 10);
    const both = await session.step({ shadow, logits: true });
    expect([...both.position]).toEqual([...plain.position, 4, 10]);
    expect(both.rows).toBe(18);
    const n = plain.position.length * vocabulary;
    expect(distance(both.logits!.subarray(0, n), plain.logits!)).toBeLessThan(1e-5);
    // With one layer the other rows' keys do not depend on the position: the shadow row is the
    // row of a canvas that is masked there.
    for (const [i, position] of [...shadow].entries()) {
      const masked = session.fork();
      masked.remask([position]);
      const alone = await masked.step({ query: Int32Array.of(position), logits: true });
      const left = row(both.logits!, vocabulary, plain.position.length + i);
      expect(distance(left, alone.logits!)).toBeLessThan(1e-5);
      masked.dispose();
    }
    const again = await session.step({ rows: Int32Array.of(1), logits: true });
    expect(distance(again.logits!, row(plain.logits!, vocabulary, 0))).toBeLessThan(1e-5);
  });

  test('with a logit shift the source row does not see the position', async () => {
    const model = await load('shallowShifted', { device });
    const session = halfMasked(model);
    const { logits } = await session.step({
      query: Int32Array.of(),
      shadow: Int32Array.of(6),
      logits: true,
    });
    const others = all(16).filter((position) => position !== 6);
    const alone = await session.step({ visible: others, query: Int32Array.of(6), logits: true });
    expect(distance(logits!, alone.logits!)).toBeLessThan(1e-5);
  });

  test('are never committed', async () => {
    const model = await load('llada', { device });
    const session = halfMasked(model);
    const { committed } = await session.step({
      query: Int32Array.of(1),
      shadow: Int32Array.of(3),
      commit: { select: { kind: 'all' } },
    });
    expect(committed).toEqual(Int32Array.of(1));
    expect(session.tokens[3]).toBe(mask);
  });
});
