import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { convert } from '../../lib/index.js';
import { hfModel, writeFolder, type HfModel } from './folders.js';

export const sound = (): HfModel => hfModel('LLaDAModelLM', 4);

let folders = 0;

/**
 * Writes the folder of a model that `change` spoiled, spoils the folder with `after`, and expects this
 * error of its conversion, and no file.
 * @param place a scratch folder
 */
export async function refused(
  place: { path: (name: string) => string },
  code: string,
  message: RegExp,
  change: (model: HfModel) => void,
  after: (folder: string) => void = () => {},
  options: Parameters<typeof convert>[2] = {},
): Promise<void> {
  const model = sound();
  change(model);
  const folder = writeFolder(place.path(`folder ${folders++}`), model);
  after(folder);
  const out = join(folder, 'out.gguf');
  await expect(convert(folder, out, options)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message) as unknown,
  });
  expect(readdirSync(folder).filter((name) => name.startsWith('out'))).toEqual([]);
}
