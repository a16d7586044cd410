/** BUSY, ABORTED, DISPOSED, and native objects in wrong hands. */
import { describe, expect, test } from 'vitest';
import { LacunaError, type StepResult } from '../../lib/index.js';
import { call, native } from '../../lib/native.js';
import { devices, failure, halfMasked, modelFolder, thrown } from './models.js';

const { load, write } = modelFolder();

describe.each(devices)('states on %s', (device) => {
  const large = 768; // positions: a step takes far longer than it takes to ask for some

  test('BUSY while a step runs; tokens shows the canvas before it', async () => {
    const model = await load('llada', { device });
    const session = halfMasked(model, 64);
    const before = session.tokens;
    const running = session.step({ commit: { select: { kind: 'all' } } });
    for (const body of [
      () => session.set(0, [1]),
      () => session.commit([{ position: 1, token: 1 }]),
      () => session.remask([0]),
      () => session.fork(),
    ]) {
      expect(thrown(body)).toMatchObject(failure('BUSY'));
    }
    await expect(session.step()).rejects.toMatchObject(failure('BUSY'));
    const unconditional = session;
    await expect(
      halfMasked(model, 64).step({ guidance: { unconditional, scale: 1 } }),
    ).rejects.toMatchObject(failure('BUSY'));
    expect(session.tokens).toEqual(before);
    await running;
    expect(session.masked).toHaveLength(0);
    session.set(0, [1]);
  });

  test('steps of several sessions queue up', async () => {
    const model = await load('llada', { device });
    const sessions = Array.from({ length: 5 }, () => halfMasked(model));
    const results = await Promise.all(sessions.map((session) => session.step()));
    for (const { probability } of results) expect(probability).toEqual(results[0].probability);
  });

  test('queue: steps of one session wait for each other; a range asks for what is masked then', async () => {
    const model = await load('llada', { device });
    const commit = { select: { kind: 'topK', k: 20 } } as const;
    const query = { start: 0, end: 48 };
    const waiting = halfMasked(model, 64);
    const expected: StepResult[] = [];
    for (let i = 0; i < 3; i++) expected.push(await waiting.step({ query, commit }));

    const session = halfMasked(model, 64);
    const before = session.tokens;
    const steps = expected.map(() => session.step({ query, commit }, { queue: true }));
    expect(session.tokens).toEqual(before);
    const results = await Promise.all(steps);
    results.forEach((result, i) => {
      expect({ ...result, timing: 0 }).toEqual({ ...expected[i], timing: 0 });
    });
    expect(session.tokens).toEqual(waiting.tokens);
    const masks = results.map(({ position }) => position.length);
    expect(masks[0]).toBeGreaterThan(20);
    expect(masks.slice(1)).toEqual([masks[0] - 20, Math.max(0, masks[0] - 40)]);
    const idle = await session.step({ query, commit, rows: { start: 0, end: 64 } });
    expect([idle.rows, ...idle.position, ...idle.committed]).toEqual([0]);

    const blocker = halfMasked(model, large).step();
    const lost = [1, 2].map(() => session.step({}, { queue: true }));
    session.dispose();
    await Promise.all(lost.map((step) => expect(step).rejects.toMatchObject(failure('DISPOSED'))));
    await blocker;
  });

  test('ABORTED: before, while queued, while running; the session works on', async () => {
    const model = await load('llada', { device });
    const session = halfMasked(model, 64);
    const before = session.tokens;
    const reason = new Error('enough');
    const request = { commit: { select: { kind: 'all' } } } as const;
    const early = session.step(request, { signal: AbortSignal.abort(reason) });
    await expect(early).rejects.toMatchObject({ ...failure('ABORTED'), cause: reason });

    const blocker = halfMasked(model, large).step();
    const controller = new AbortController();
    const queued = session.step(request, { signal: controller.signal });
    controller.abort(reason);
    await expect(queued).rejects.toMatchObject({ ...failure('ABORTED'), cause: reason });
    await blocker;
    expect(session.tokens).toEqual(before);
    const bad = session.step({}, { signal: 1 as never });
    await expect(bad).rejects.toMatchObject(failure('INVALID_ARGUMENT', /signal/));
    expect((await session.step(request)).committed).toHaveLength(32);
  });

  test('listeners leave the signal when the step is done', async () => {
    const model = await load('llada', { device });
    const controller = new AbortController();
    let listeners = 0;
    const { signal } = controller;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => (listeners++, add(...args));
    signal.removeEventListener = (...args: Parameters<typeof remove>) => (
      listeners--,
      remove(...args)
    );
    await halfMasked(model).step({}, { signal });
    expect(listeners).toBe(0);
  });

  test('DISPOSED: sessions', async () => {
    const model = await load('llada', { device });
    const session = halfMasked(model);
    session.dispose();
    session.dispose();
    expect(session.length).toBe(16);
    for (const body of [() => session.tokens, () => session.set(0, [1]), () => session.fork()]) {
      expect(thrown(body)).toMatchObject(failure('DISPOSED'));
    }
    await expect(session.step()).rejects.toMatchObject(failure('DISPOSED'));

    const running = halfMasked(model, large);
    const queued = halfMasked(model, large);
    const both = [running.step(), queued.step()];
    queued.dispose();
    await expect(both[1]).rejects.toMatchObject(failure('DISPOSED'));
    expect((await both[0]).rows).toBe(large);
    {
      using scoped = halfMasked(model);
      await scoped.step();
    }
  });

  test('DISPOSED: models, in the middle of their work', async () => {
    const model = await load('llada', { device });
    const sessions = Array.from({ length: 6 }, () => halfMasked(model, large));
    const steps = sessions.map((session) => session.step());
    const done = model.dispose();
    expect(model.dispose()).toBe(done);
    expect(model.disposed).toBe(true);
    const results = await Promise.allSettled(steps);
    expect(results[5]).toMatchObject({ status: 'rejected', reason: failure('DISPOSED') });
    const others = results.flatMap((r) => (r.status === 'rejected' ? [r.reason as unknown] : []));
    for (const reason of others) expect(reason).toMatchObject(failure('DISPOSED'));
    await done;
    expect(thrown(() => sessions[0].tokens)).toMatchObject(failure('DISPOSED'));
    expect(thrown(() => model.createSession({ length: 4 }))).toMatchObject(failure('DISPOSED'));
    expect(thrown(() => model.generate([1]))).toMatchObject(failure('DISPOSED'));
    await expect(model.step([])).rejects.toMatchObject(failure('DISPOSED'));
    expect(model.info.layers).toBe(2); // facts stay
  });
});

describe('native objects in wrong hands', () => {
  test('are refused with an error', async () => {
    const path = await write('llada');
    const options = {
      device: 'ref',
      card: 0,
      threads: 0,
      isa: '',
      attentionBlock: -1,
      logitShift: -1,
      mask: -1,
    } as const;
    const model = await native().load(path, options).promise;
    const session = model.createSession(8);
    type Class = new (...args: unknown[]) => unknown;
    const bad: (() => unknown)[] = [
      () => new (model.constructor as Class)(),
      () => new (session.constructor as Class)({}),
      () => model.step([{ session: model } as never], false),
      () => model.step([{ session: Object.create(session) as never } as never], false),
      () => model.step([{ session: new Proxy(session, {}) } as never], false),
      () => model.step({} as never, false),
      () => model.step([{ session, rows: Int32Array.of(8) } as never], false),
      () => model.step([{ session, rows: Int32Array.of(2, 1) } as never], false),
      () => model.step([{ session, rows: new Float32Array(2) } as never], false),
      () => session.set(-1, Int32Array.of(1)),
      () => session.set(0, Int32Array.of(-1)),
      () => session.set(0, new Int32Array(9)),
      () => model.createSession(NaN),
      () => model.createSession(2 ** 40),
      () => native().load(5 as never, options),
      () => native().load(path, { ...options, device: 'tpu' as never }),
      () => native().applyRule({} as never, new Int32Array(1), 0, {} as never),
    ];
    for (const body of bad) {
      const error = thrown(() => call(body));
      expect(LacunaError.isInstance(error), String(error)).toBe(true);
      expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    for (const receiver of [{}, session, undefined]) {
      const borrowed = { step: Reflect.get(model, 'step') as (...given: unknown[]) => void };
      expect(() => Reflect.apply(borrowed.step, receiver, [[], false])).toThrow(TypeError);
    }
    await model.dispose();
    await model.dispose();
  });
});
