/** 300 schemas through clients from npm: whatever the weights, every answer parses and fits. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { Random } from '../../lib/gguf/random.js';
import type { Model } from '../../lib/index.js';
import { SchemaSource } from '../schema/random.js';
import { loadRandom, suiteTests } from './clients.js';

const folder = mkdtempSync(join(tmpdir(), 'lacuna-schemas-'));
const [file, schemas] = [join(folder, 'random.gguf'), join(folder, 'schemas.json')];
const count = 300;
let model: Model;

beforeAll(async () => {
  const source = new SchemaSource(new Random(300));
  writeFileSync(schemas, JSON.stringify(Array.from({ length: count }, () => source.root(1))));
  model = await loadRandom(file);
});
afterAll(async () => {
  await model.dispose();
  rmSync(folder, { recursive: true });
});

const shared = () => ({ model, cases: [] });
const told = { schemas, count };
const openai = { client: 'openai7', ...told };
await suiteTests({ name: 'openai', file: 'openai-schemas', newer: true, config: openai }, shared);
const ai = { ai: 'ai7', compatible: 'openai-compatible3', ...told };
await suiteTests({ name: 'AI SDK', file: 'ai-schemas', newer: true, config: ai }, shared);
