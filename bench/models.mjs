// The models that are measured: random weights in the shape of the reference numbers, written once.
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { syntheticShapes, writeSynthetic } from '../dist/gguf/synthetic.js';
import { loadModel } from '../dist/index.js';
import { root } from '../scripts/native-build.mjs';

const shape = 'bench-16x1024';

/** The file, with a tokenizer, since the peer will not load a model without one. */
export async function modelFile(type) {
  const folder = join(root, 'build', 'bench');
  const path = join(folder, `${shape}.${type}.gguf`);
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  console.error(`writing ${path} …`);
  const options = { ...syntheticShapes[shape], type, context: 8192, tokenizer: true };
  await writeSynthetic(`${path}.part`, options);
  renameSync(`${path}.part`, path);
  return path;
}

export async function openModel(type, { threads }) {
  return loadModel(await modelFile(type), { device: 'cpu', threads });
}
