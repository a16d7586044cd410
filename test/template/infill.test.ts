/** `model.infill` on real models: borders of text, exact caches, batches, traces. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { frames as replayed } from '../../lib/cli/replay.js';
import { writeSynthetic } from '../../lib/gguf/synthetic.js';
import {
  absoluteBlocks,
  Batch,
  generate,
  hole,
  leftToRight,
  loadModel,
  noCache,
  parseTrace,
  threshold,
  traceFile,
  type Model,
  type Segment,
} from '../../lib/index.js';

const folder = mkdtempSync(join(tmpdir(), 'lacuna-infill-'));
let shakespeare: Model;
let causal: Model;
let blockCausal: Model;

beforeAll(async () => {
  const embedded = new URL('../../models/shakespeare-7m.Q8_0.gguf', import.meta.url);
  const usual = { device: 'cpu', threads: 1 } as const;
  shakespeare = await loadModel(fileURLToPath(embedded), usual);
  const path = join(folder, 'qwen2.gguf');
  const shape = { layers: 2, dim: 32, heads: 2, ffn: 48, vocabulary: 300 };
  await writeSynthetic(path, { architecture: 'qwen2', ...shape, type: 'F32', tokenizer: true });
  causal = await loadModel(path, usual);
  blockCausal = await loadModel(path, { ...usual, attention: 'block-causal:4', shift: 0 });
});
afterAll(async () => {
  await Promise.all([shakespeare, causal, blockCausal].map((model) => model.dispose()));
  rmSync(folder, { recursive: true });
});

describe('the tag', () => {
  test('values that are no holes are text, encoded with what is around them', async () => {
    const [who, age] = ['Romeo', 7];
    const { text, canvas } = await shakespeare.infill`My name is ${who}, ${age}.`.result;
    expect(text).toBe('My name is Romeo, 7.');
    expect(canvas).toEqual(shakespeare.tokenizer.encode(text));
  });

  test('with options, and what it follows', async () => {
    const tag = shakespeare.infill({ prompt: 'ROMEO:\n', bos: true, temperature: 0.7, seed: 3 });
    const { text, holes, prompt } = await tag`I${hole({ min: 2, max: 5 })}, my lord.`.result;
    expect(prompt).toEqual(shakespeare.tokenizer.encode('ROMEO:\n', { bos: true }));
    expect(text).toBe(`I${holes[0].text}, my lord.`);
  });

  test('wrong use', () => {
    const code = expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error;
    expect(() => shakespeare.infill`a${{} as never}`).toThrow(code);
    expect(() => shakespeare.infill({ maxTokens: 3 } as never)`a${hole()}`).toThrow(code);
    expect(() => shakespeare.infill({ propmt: 'x' } as never)`a${hole()}`).toThrow(code);
  });
});

describe('borders', () => {
  test('spaces stay where they were written; a word brings the one before it', async () => {
    const { tokenizer } = shakespeare;
    const space = Int32Array.from({ length: tokenizer.vocabularySize }, (_, id) => id).filter(
      (id) => id !== tokenizer.mask && /^ [a-z]+$/.test(tokenizer.token(id)),
    );
    expect(space.length).toBeGreaterThan(100);
    const word = hole({ min: 1, max: 1, allow: space });
    const { text, holes, canvas } = await shakespeare.infill`My${word} lord, my ${word} lord`
      .result;
    expect(holes.map(({ text }) => text)).toEqual([
      expect.stringMatching(/^ [a-z]+$/),
      expect.stringMatching(/^ [a-z]+$/),
    ]);
    expect(text).toBe(`My${holes[0].text} lord, my ${holes[1].text} lord`);
    const pieces = ['My', ' lord, my ', ' lord'].map((piece) => [...tokenizer.encode(piece)]);
    const [first, last] = holes.map(({ tokens }) => [...tokens]);
    expect([...canvas]).toEqual([...pieces[0], ...first, ...pieces[1], ...last, ...pieces[2]]);
  });

  test('control tokens in a template are text, unless they are asked for', async () => {
    const { tokenizer } = causal;
    const segments = ['<|eot_id|>', hole({ min: 1, max: 1 })];
    const inert = await causal.generate({ segments }).result;
    expect(inert.text.startsWith('<|eot_id|>')).toBe(true);
    expect(inert.canvas).not.toContain(tokenizer.eot);
    const special = await causal.generate({ segments }, { special: true }).result;
    expect(special.canvas[0]).toBe(tokenizer.eot);
    const masked = () => causal.generate({ segments: ['<|mask|>'] }, { special: true });
    expect(masked).toThrow(/segment 0: token 0 is MASK/);
  });
});

describe('exact', () => {
  const segments: Segment[] = [
    ...['abcdefghijklmnop', hole({ max: 6, stop: ['a', 'e'] }), ' and then a long known text, '],
    ...[hole({ initial: 2, max: 9, low: 1, expand: 3 }), 'x', hole({ min: 3, max: 3 }), 'the end'],
  ];

  test('block-causal rows: what is known gets no forward, and its keys are right', async () => {
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      for (const [model, plan] of [
        [causal, absoluteBlocks(1)],
        [blockCausal, absoluteBlocks(4)],
        [blockCausal, absoluteBlocks(8)],
      ] as const) {
        const decode = model === causal ? leftToRight() : threshold({ tau: 0.02 });
        const options = { decode, blocks: plan, seed, temperature: 1 };
        const exact = await model.generate({ segments, prompt: 'Q' }, options).result;
        const full = await model.generate(
          { segments, prompt: 'Q' },
          { ...options, cache: noCache() },
        ).result;
        expect(exact.canvas).toEqual(full.canvas);
        const rows = ({ trace }: typeof exact) => trace.reduce((sum, step) => sum + step.rows, 0);
        expect(rows(exact)).toBeLessThan(rows(full) / 2);
      }
    }
  });

  test('in a batch with others each is filled as it would be alone', async () => {
    const batch = new Batch(shakespeare);
    const options = { temperature: 1, decode: threshold({ tau: 0.1 }) };
    const runs = [1, 2, 3].map((seed) => generate(batch, { segments }, { ...options, seed }));
    const together = await Promise.all(runs.map(({ result }) => result));
    for (const [i, { text }] of together.entries()) {
      const alone = await shakespeare.generate({ segments }, { ...options, seed: i + 1 }).result;
      expect(text).toBe(alone.text);
    }
  });

  test('a trace draws the run again', async () => {
    const run = blockCausal.generate({ segments, prompt: 'Q' }, { temperature: 1, seed: 2 });
    const seen: number[][] = [];
    for await (const { tokens } of run) seen.push([...tokens]);
    const result = await run.result;
    const file = parseTrace(JSON.stringify(traceFile(blockCausal, result)));
    const again: number[][] = [];
    for await (const { tokens } of replayed(file, 1e9)) again.push([...tokens]);
    expect(again).toEqual(seen);
    expect(seen.at(-1)).toEqual([...result.tokens]);
    expect(seen.some((tokens, i) => i > 0 && tokens.length !== seen[i - 1].length)).toBe(true);
  });
});
