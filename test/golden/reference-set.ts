/**
 * Reference data made by an independent float64 implementation: golden logits, and the trajectories of
 * the original decoders. A small part is committed in test/fixtures; set LACUNA_REFERENCE to the folder
 * of the full set (golden/, models/) to check every model, type and case.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LoadOptions } from '../../lib/index.js';

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));

/** The folder of the full set, or undefined. */
export const fullSet = process.env.LACUNA_REFERENCE;
const goldenFolder = fullSet ? join(fullSet, 'golden') : join(fixtures, 'golden');

export interface GoldenCase {
  tokens: number[];
  /** What an engine with 8-bit activations loses on this case: ‖its logits − golden‖ / ‖golden‖. */
  peer_rel_error?: number;
  logits: string;
}

export interface GoldenModel {
  model: string;
  types: string[];
  attention?: string;
  shift?: 0 | 1;
  maskToken?: number;
  cases: GoldenCase[];
}

/** Files without a list of tensor types carry their type in the name. */
export const goldens = (
  JSON.parse(readFileSync(join(goldenFolder, 'index.json'), 'utf8')) as GoldenModel[]
).map((model) => ({ ...model, types: model.types ?? [model.model.split('.')[1]] }));

export const goldenPath = (model: GoldenModel): string => join(goldenFolder, model.model);

/** Load options under which hidden row i gives logits i, as the goldens were taken. */
export function goldenOptions(model: GoldenModel): LoadOptions {
  return {
    shift: 0,
    ...(model.attention ? { attention: model.attention as LoadOptions['attention'] } : {}),
    ...(model.maskToken === undefined ? {} : { maskToken: model.maskToken }),
  };
}

/** Golden logits, (positions × vocabulary). */
export function goldenLogits(golden: GoldenCase): Float32Array {
  const bytes = readFileSync(join(goldenFolder, golden.logits));
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** A file of the full set, or undefined when it is not there. */
export function referenceFile(...path: string[]): string | undefined {
  const file = fullSet && join(fullSet, ...path);
  return file && existsSync(file) ? file : undefined;
}
