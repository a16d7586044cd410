/** 1,000 random templates on models with random weights: what holds whatever the model says. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Random } from '../../lib/gguf/random.js';
import { writeSynthetic, type SyntheticArchitecture } from '../../lib/gguf/synthetic.js';
import {
  absoluteBlocks,
  blocks,
  dkvCache,
  dualCache,
  entropyBound,
  factor,
  hole,
  leftToRight,
  loadModel,
  prefixCache,
  remask,
  threshold,
  topK,
  wholeAnswer,
  wino,
  type GenerateOptions,
  type GenerationResult,
  type Hole,
  type LoadOptions,
  type Model,
  type Segment,
} from '../../lib/index.js';

const vocabulary = 300;
const mask = vocabulary - 1;
const ends = [vocabulary - 3, vocabulary - 2];

/** Full attention with and without a logit shift, block-causal and causal. */
const kinds: [SyntheticArchitecture, LoadOptions][] = [
  ['llada', {}],
  ['dream', {}],
  ['qwen3', { attention: 'block-causal:4', shift: 0 }],
  ['llama', {}],
];

const folder = mkdtempSync(join(tmpdir(), 'lacuna-templates-'));
const models: Model[] = [];

beforeAll(async () => {
  for (const [architecture, options] of kinds) {
    const path = join(folder, `${architecture}.gguf`);
    const shape = { layers: 1, dim: 32, heads: 2, ffn: 32, vocabulary };
    await writeSynthetic(path, { architecture, ...shape, type: 'F32', tokenizer: true, seed: 3 });
    models.push(await loadModel(path, { device: 'cpu', threads: 1, ...options }));
  }
});
afterAll(async () => {
  await Promise.all(models.map((model) => model.dispose()));
  rmSync(folder, { recursive: true });
});

const pieces = [
  'a',
  ' b',
  'xyz',
  '\n',
  ' ',
  'é',
  '漢',
  '😀',
  '<|eot_id|>',
  '<|mask|>',
  '{"k": ',
  '0',
];

class Draw {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  below(n: number): number {
    return Math.floor(this.#random.uniform() * n);
  }

  one<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  hole(): Hole {
    const min = this.below(4);
    const max = Math.max(1, min + this.below(7));
    const least = Math.max(1, min);
    const initial = least + this.below(max - least + 1);
    // Bytes are tokens: with so few, any of these texts and tokens comes now and then.
    const stop = this.one([[], [], ['a'], ['\n', 'é'], [7, 9], [stopAtZero]]);
    const allow = this.one([undefined, undefined, undefined, [48, 49, 50, 51]]);
    const suppress = this.one([[], [], [65, 66, 67]]);
    const room = { initial, expand: 1 + this.below(4), low: this.one([0, 0.1, 1]) };
    return hole({ ...room, min, max, stop, allow, suppress });
  }

  segments(): Segment[] {
    return Array.from({ length: 1 + this.below(5) }, () =>
      this.below(2) === 0
        ? this.hole()
        : Array.from({ length: this.below(4) }, () => this.one(pieces)).join(''),
    );
  }
}

function stopAtZero(content: Int32Array): number | undefined {
  const at = content.indexOf(48);
  return at < 0 ? undefined : at;
}

const ways: GenerateOptions[] = [
  {},
  { decode: threshold({ tau: 0.02 }), blocks: blocks(4) },
  { decode: factor({ factor: 3 }), blocks: wholeAnswer(), temperature: 1 },
  { decode: entropyBound({ gamma: 9 }), blocks: blocks(8), cache: dualCache() },
  { decode: wino({ draft: 0.01, verify: 0.5 }), blocks: blocks(8) },
  { decode: topK({ k: 3 }), blocks: wholeAnswer(), cache: dkvCache({ refresh: 3 }) },
  { decode: leftToRight({ k: 2 }), blocks: blocks(5), cache: prefixCache(), cfgScale: 0.5 },
  { decode: threshold({ tau: 0.03 }), blocks: absoluteBlocks(4), temperature: 0.7 },
];

/** The canvas is the fixed tokens with the holes' tokens in between, and nothing else. */
function check(model: Model, segments: readonly Segment[], result: GenerationResult): void {
  const { tokenizer } = model;
  const holes = [...result.holes];
  const expected: number[] = [...result.prompt];
  let text = '';
  for (const segment of segments) {
    if (typeof segment === 'string') {
      expected.push(...tokenizer.encode(segment, { bos: false }));
      text += segment;
      continue;
    }
    const { min, max, allow, suppress } = segment as Hole;
    const { tokens, start } = holes.shift()!;
    expect(start).toBe(expected.length);
    expect(tokens.length).toBeGreaterThanOrEqual(min);
    expect(tokens.length).toBeLessThanOrEqual(max);
    for (const token of tokens) {
      if (min < max) expect(ends).not.toContain(token);
      if (allow) expect([...allow]).toContain(token);
      expect(suppress).not.toContain(token);
    }
    expected.push(...tokens);
    text += tokenizer.decode(tokens);
  }
  expect(holes).toEqual([]);
  expect([...result.canvas]).toEqual(expected);
  expect(result.canvas).not.toContain(mask);
  expect(result.finishReason).toBe('filled');
  // Bytes of a character may be on both sides of a border; known text is whole characters.
  for (const segment of segments) {
    if (typeof segment === 'string') expect(result.text).toContain(segment);
  }
  if (!text.includes('\ufffd')) expect(result.text).toBe(text);
}

test.each([0, 1, 2, 3])(
  'model %i: known text intact, holes within bounds, no mask',
  async (kind) => {
    const model = models[kind];
    for (let seed = 0; seed < 250; seed++) {
      const draw = new Draw(1000 * kind + seed);
      const segments = draw.segments();
      if (!segments.some((segment) => segment !== '')) segments.push(draw.hole());
      const options = { ...draw.one(ways), seed };
      const run = model.generate({ segments, prompt: draw.one(['', 'Q: ']) }, options);
      let stable: number[] = [];
      for await (const frame of run) {
        const tokens = [...frame.tokens.subarray(0, frame.stable)];
        expect(tokens.slice(0, stable.length)).toEqual(stable);
        stable = tokens;
      }
      const result = await run.result;
      check(model, segments, result);
    }
  },
);

test('with policies that take tokens back or edit them', async () => {
  for (let seed = 0; seed < 50; seed++) {
    const segments: Segment[] = [
      'ab',
      hole({ min: 3, max: 3 }),
      ' c',
      hole({ min: 4, max: 4 }),
      'd',
    ];
    const refine = remask({ after: 0.5, rounds: 2, k: 3 });
    const options = { decode: threshold({ tau: 0.02 }), refine, seed, temperature: 1 };
    check(models[0], segments, await models[0].generate({ segments }, options).result);
  }
});
