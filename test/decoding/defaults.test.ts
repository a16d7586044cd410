/** What a model decides when the caller does not, and which combinations are refused. */
import { describe, expect, test } from 'vitest';
import {
  absoluteBlocks,
  blockCausalCache,
  blocks,
  dream,
  entropyBound,
  factor,
  leftToRight,
  lowConfidence,
  randomOrder,
  threshold,
  topK,
} from '../../lib/decoding/index.js';
import { generate } from '../../lib/generate.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { FakeModel } from './fake.js';

const prompt = [7, 7];
const decoded = (model: FakeModel, options: GenerateOptions) =>
  generate(model, prompt, { stopAtEos: false, ...options }).result;

describe('defaults by the model', () => {
  const lengths = { maxTokens: 40 };

  test('LLaDA: low confidence in blocks of 32', async () => {
    const model = new FakeModel();
    const { trace } = await decoded(model, lengths);
    expect(trace.length).toBe(40);
    expect(trace.map(({ block }) => block)).toEqual(
      Array.from({ length: 40 }, (_, i) => Math.floor(i / 32)),
    );
    expect(model.requests[0].rows).toBeUndefined();
    expect(model.requests[0].commit?.score).toBe('probability');
  });

  test('Dream: entropy over the whole answer', async () => {
    const model = new FakeModel(undefined, { logitShift: 1 });
    const { trace } = await decoded(model, lengths);
    expect(trace.every(({ block }) => block === 0)).toBe(true);
    expect(model.requests[0].commit?.score).toBe('negEntropy');
  });

  test('SDAR, LLaDA2: threshold in the blocks of the model', async () => {
    const model = new FakeModel(undefined, { attention: { blockCausal: 8 } });
    const { canvas } = await decoded(model, lengths);
    expect(canvas.length).toBe(48);
    expect(model.requests[0].commit?.select).toMatchObject({ kind: 'threshold', tau: 0.95 });
    expect(model.requests[0].visible).toBe(8);
  });

  test('blocks that fit the attention keep the exact cache, others lose it', async () => {
    const make = () => new FakeModel(undefined, { attention: { blockCausal: 8 } });
    const [fitting, cut] = [make(), make()];
    await decoded(fitting, { ...lengths, blocks: absoluteBlocks(16) });
    await decoded(cut, { ...lengths, blocks: blocks(16) });
    expect(fitting.requests[0].rows).toEqual({ start: 0, end: 16 });
    expect(cut.requests[0].rows).toBeUndefined();
  });
});

describe('what does not fit together is refused at once', () => {
  const full = new FakeModel();
  const blockCausal = new FakeModel(undefined, { attention: { blockCausal: 8 } });

  test.each<[string, FakeModel, GenerateOptions, RegExp]>([
    ['cache', full, { cache: blockCausalCache() }, /needs a model with block-causal attention/],
    [
      'blocks',
      blockCausal,
      { cache: blockCausalCache(), blocks: blocks(8) },
      /one goes from 2 to 10; use absoluteBlocks\(8\)/,
    ],
    ['steps', full, { decode: lowConfidence({ steps: 2 }), blocks: blocks(8) }, /2 steps cannot/],
    ['limit', full, { decode: dream({ steps: 9 }), steps: 8 }, /9 steps are more than the 8/],
    ['context', new FakeModel(undefined, { context: 100 }), {}, /canvas of 130.* context is 100/],
    ['no mask', new FakeModel(undefined, { tokens: {} }), {}, /load option maskToken/],
  ])('%s', (_, model, options, message) => {
    expect(() => generate(model, prompt, options)).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(message) as string,
      }),
    );
  });

  test.each<[() => unknown, RegExp]>([
    [() => lowConfidence({ step: 3 } as object), /lowConfidence\(\): unknown option "step"/],
    [() => lowConfidence({ score: 'certainty' as 'margin' }), /score must be one of/],
    [() => randomOrder({ steps: 0 }), /randomOrder\(\): steps must be an integer of at least 1/],
    [() => randomOrder({ score: 'margin' } as object), /unknown option "score"/],
    [() => threshold({ tau: 1.5 }), /tau must be a number from 0 to 1, but is 1.5/],
    [() => threshold({ min: 0 }), /min must be an integer/],
    [() => factor({ factor: -1 }), /factor must be a number of at least 0/],
    [() => entropyBound({ gamma: NaN }), /gamma must be a number/],
    [() => topK({ k: 0 }), /k must be an integer/],
    [() => leftToRight({ k: 0.5 }), /leftToRight\(\): k must be/],
    [() => dream({ alg: 'best' as 'entropy' }), /alg must be one of "origin"/],
    [() => dream({ eps: 1 }), /eps must be/],
  ])('%s', (make, message) => {
    expect(make).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(message) as string,
      }),
    );
  });
});
