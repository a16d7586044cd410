import { availableParallelism } from 'node:os';
import { describe, test } from 'vitest';
import { loadModel, type LoadOptions } from '../../lib/model.js';
import { native } from '../../lib/native.js';
import { referenceFile } from '../golden/reference-set.js';
import { follow, trajectories, type Trajectory } from './trajectories.js';

const isas = native().isas();
const onCpu = (isa: string): LoadOptions => ({ device: 'cpu', isa, threads: 2 });

/** Follows all cases; `ref` computes on one thread, so several models share them out. */
async function followAll(path: string, cases: Trajectory[], options: LoadOptions): Promise<void> {
  const lanes = options.device === 'ref' ? Math.min(4, availableParallelism()) : 1;
  const queue = [...cases];
  const lane = async (): Promise<void> => {
    await using model = await loadModel(path, options);
    for (let next = queue.shift(); next; next = queue.shift()) await follow(model, next);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

describe.each([
  // The larger model only on the best instruction set: scalar code takes minutes.
  ['shakespeare-7m.F32.gguf', 43, referenceFile('models', 'shakespeare-7m.F32.gguf'), [isas[0]]],
  ['dream.F32.gguf', 33, referenceFile('golden', 'dream.F32.gguf'), isas],
] as const)('%s: the originals’ tokens, forward by forward', (name, count, path, cpus) => {
  const cases = trajectories(name);

  test(`${count} cases`, ({ expect }) => {
    expect(cases.length).toBe(count);
  });

  // Without LACUNA_REFERENCE the models are not there.
  test.skipIf(path === undefined)('ref', { timeout: 3_600_000 }, async () => {
    await followAll(path!, cases, { device: 'ref' });
  });

  test.skipIf(path === undefined).each(cpus)('cpu %s', { timeout: 900_000 }, async (isa) => {
    await followAll(path!, cases, onCpu(isa));
  });
});
