/** Models of one file share their weights. */
import { copyFileSync, renameSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { writeSynthetic } from '../../lib/gguf/synthetic.js';
import { loadModel, type LoadOptions, type Model } from '../../lib/index.js';
import { native } from '../../lib/native.js';
import { failure, modelFolder } from './models.js';

const { folder, write } = modelFolder();
const held = () => native().weightsHeld();
const disposeAll = (models: Model[]) => Promise.all(models.map((model) => model.dispose()));

type Progress = { loaded: number; total: number };

/** Loads and returns the progress that was reported, too. */
async function watched(path: string, options: LoadOptions) {
  const progress: Progress[] = [];
  const onProgress = (p: Progress) => progress.push(p);
  return { model: await loadModel(path, { threads: 2, ...options, onProgress }), progress };
}

/** What a step over a canvas of masks reports. */
async function stepped(model: Model) {
  const { token, probability } = await model.createSession({ length: 8 }).step();
  return { token, probability };
}

beforeEach(() => {
  expect(held()).toEqual({ count: 0, bytes: 0 });
});

describe('a file that is loaded twice', () => {
  test.each(['cpu', 'ref'] as const)('has its weights in memory once: %s', async (device) => {
    const path = await write('llada');
    const first = await watched(path, { device });
    const { loaded, total } = first.progress[first.progress.length - 1];
    expect(loaded).toBe(total);
    const second = await watched(path, { device });
    expect(second.progress).toEqual([{ loaded: total, total }]);
    const { weightBytes } = first.model.info;
    expect(second.model.info.weightBytes).toBe(weightBytes);
    expect(held()).toEqual({ count: 1, bytes: weightBytes });

    const before = await stepped(second.model);
    expect(await stepped(first.model)).toEqual(before);
    await first.model.dispose();
    expect(held()).toEqual({ count: 1, bytes: weightBytes });
    expect(await stepped(second.model)).toEqual(before);
    await second.model.dispose();
    expect(held()).toEqual({ count: 0, bytes: 0 });
  });

  test('is shared whatever the load options and the number of threads', async () => {
    const path = await write('llada');
    const models = await Promise.all([
      loadModel(path, { device: 'cpu', threads: 1 }),
      loadModel(path, { device: 'cpu', threads: 3, attention: 'causal' }),
      loadModel(path, { device: 'auto', shift: 1, maskToken: 5 }),
    ]);
    expect(held().count).toBe(1);
    expect(models.map(({ info }) => info.tokens.mask)).toEqual([299, 299, 5]);
    await disposeAll(models);
  });

  test('is not shared between layouts', async () => {
    const path = await write('llada');
    const options: LoadOptions[] = [{ device: 'ref' }];
    for (const isa of native().isas()) options.push({ device: 'cpu', isa });
    const models = await Promise.all(options.map((option) => loadModel(path, option)));
    expect(held().count).toBe(options.length);
    await disposeAll(models);
  });

  test('is shared by all names of the file', async () => {
    const path = await write('llada');
    const models = [await loadModel(path), await loadModel(join(folder, '.', 'llada.gguf'))];
    expect(held().count).toBe(1);
    await disposeAll(models);
  });
});

describe('a file that has changed between two loads', () => {
  test('is another one: put in its place', async () => {
    const path = await write('llada');
    const old = await loadModel(path);
    const other = join(folder, 'other.gguf');
    const shape = { architecture: 'llada', layers: 2, dim: 64, heads: 4, ffn: 96 } as const;
    await writeSynthetic(other, { ...shape, vocabulary: 300, type: 'F32', seed: 8 });
    const { atime, mtime, size } = statSync(path);
    utimesSync(other, atime, mtime);
    expect(statSync(other).size).toBe(size);
    renameSync(other, path);
    const fresh = await loadModel(path);
    expect(held().count).toBe(2);
    expect((await stepped(fresh)).probability).not.toEqual((await stepped(old)).probability);
    await disposeAll([old, fresh]);
  });

  test('is another one: written to, with the time put back', async () => {
    const path = join(folder, 'touched.gguf');
    copyFileSync(await write('llada'), path);
    const { atime, mtime } = statSync(path);
    const old = await loadModel(path);
    utimesSync(path, atime, mtime);
    const fresh = await loadModel(path);
    expect(held().count).toBe(2);
    await disposeAll([old, fresh]);
  });
});

describe('loads at the same time', () => {
  const large = join(folder, 'large.gguf');
  const shape = { architecture: 'llada', layers: 8, dim: 1024, heads: 16, ffn: 2816 } as const;
  beforeAll(() => writeSynthetic(large, { ...shape, vocabulary: 4096 }));
  // The reference takes the longest to load.
  const device = 'ref';

  /** A load in the middle of which `middle` is called, once. */
  function begin(signal: AbortSignal, middle: () => void) {
    const seen: Progress[] = [];
    const onProgress = (progress: Progress) => {
      seen.push(progress);
      if (seen.length === 1) middle();
    };
    const loading = loadModel(large, { device, signal, onProgress });
    loading.catch(() => undefined); // looked at later
    return { seen, loading };
  }

  test('wait for the first', async () => {
    const loads = Array.from({ length: 3 }, () => watched(large, { device }));
    const models = (await Promise.all(loads)).map(({ model }) => model);
    expect(held()).toEqual({ count: 1, bytes: models[0].info.weightBytes });
    await disposeAll(models);
  });

  test('one that waits can be aborted alone', async () => {
    const stop = new AbortController();
    const never = new AbortController().signal;
    let second: ReturnType<typeof begin> | undefined;
    const first = begin(never, () => {
      // The second reports the first one's progress: it waits. Then it ends.
      second = begin(stop.signal, () => stop.abort());
    });
    const model = await first.loading;
    await expect(second!.loading).rejects.toMatchObject(failure('ABORTED'));
    expect(held().count).toBe(1);
    await model.dispose();
  });

  test('one that waits takes over when the first is aborted', async () => {
    const stop = new AbortController();
    const never = new AbortController().signal;
    let second: ReturnType<typeof begin> | undefined;
    const first = begin(stop.signal, () => {
      // The second reports the first one's progress: it waits. Then the first ends.
      second = begin(never, () => stop.abort());
    });
    await expect(first.loading).rejects.toMatchObject(failure('ABORTED'));
    const model = await second!.loading;
    const { seen } = second!;
    expect(seen.every(({ loaded }, i) => i === 0 || loaded > seen[i - 1].loaded)).toBe(true);
    expect(seen[0].loaded).toBeLessThan(seen[0].total);
    expect(seen[seen.length - 1].loaded).toBe(seen[0].total);
    expect(held()).toEqual({ count: 1, bytes: model.info.weightBytes });
    await model.dispose();
  });
});
