/** What the child processes share. They run the built package, as users do. */
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { loadModel } from '../../../dist/index.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
export const path = join(root, 'models/shakespeare-7m.Q8_0.gguf');

export const prompt = [1021, 10];
export const load = (options, file = path) => loadModel(file, { threads: 2, ...options });

/** On `ref` a step over this canvas takes long enough to be in the middle of it. */
export const longStep = (model) => model.createSession({ length: 256 }).step();

export const turn = () => setImmediate();
