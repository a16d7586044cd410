/** Every class: what the folder becomes loads in llama.cpp, too, and means the same there. */
import { expect, test } from 'vitest';
import { convert, loadModel } from '../../lib/index.js';
import { scratchFolder } from '../gguf/scratch.js';
import { cases, tokens } from './cases.js';
import { hfModel, writeFolder } from './folders.js';

interface Engine {
  ask(message: { tokens: number[]; choose: true }): Promise<{ chosen: number[] }>;
  stop(): void;
}

const { Peer } = (await import(new URL('../../bench/peer/peer.mjs', import.meta.url).href)) as {
  Peer: { start(file: string, length: number, threads: number): Promise<Engine> };
};

const scratch = scratchFolder();
/** It knows of no attention within blocks, and takes such files for what they were made from. */
const denoised = ['llada', 'dream', 'llada-moe', 'rnd1'];

test.each(cases)('$hfClass', async ({ hfClass, choices, architecture }) => {
  const folder = writeFolder(scratch.path(hfClass), hfModel(hfClass, 5, choices));
  const path = scratch.path(`${hfClass}.gguf`);
  await convert(folder, path);
  const attention = denoised.includes(architecture) ? 'full' : 'causal';
  await using model = await loadModel(path, { device: 'ref', shift: 0, attention });
  using session = model.createSession({ length: tokens.length });
  session.set(0, tokens);
  const query = Int32Array.from(tokens.keys());
  const { token } = await session.step({ query, allowMask: true });
  const engine = await Peer.start(path, tokens.length, 1);
  const { chosen } = await engine.ask({ tokens, choose: true });
  engine.stop();
  expect(chosen).toEqual([...token]);
});
