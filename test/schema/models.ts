/** Tiny models with random weights and a byte tokenizer. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { writeSynthetic } from '../../lib/gguf/synthetic.js';
import { loadModel, type Model } from '../../lib/index.js';

/** One without and one with a logit shift; there when the tests run. */
export function tinyModels(): Model[] {
  const folder = mkdtempSync(join(tmpdir(), 'lacuna-schema-'));
  const models: Model[] = [];
  beforeAll(async () => {
    for (const architecture of ['llada', 'dream'] as const) {
      const path = join(folder, `${architecture}.gguf`);
      const shape = { layers: 1, dim: 32, heads: 1, ffn: 32, vocabulary: 300, context: 16384 };
      const options = { type: 'F32', tokenizer: true, seed: 5 } as const;
      await writeSynthetic(path, { architecture, ...shape, ...options });
      models.push(await loadModel(path, { device: 'cpu', threads: 1 }));
    }
  });
  afterAll(async () => {
    await Promise.all(models.map((model) => model.dispose()));
    rmSync(folder, { recursive: true });
  });
  return models;
}
