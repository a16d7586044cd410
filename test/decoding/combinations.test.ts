import { describe, expect, test } from 'vitest';
import {
  fixedLength,
  growUntilEos,
  lowConfidence,
  threshold,
  wholeAnswer,
  type Refinement,
} from '../../lib/decoding/index.js';
import { named, type Trait } from '../../lib/decoding/named.js';
import { generate } from '../../lib/generate.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { FakeModel } from './fake.js';
import { drawn, prompt } from './scripted.js';

describe('combinations that make no sense', () => {
  const marked = <P extends (...args: never[]) => unknown>(policy: P, ...traits: Trait[]) =>
    named('marked', {}, policy, traits);
  const refine: Refinement = () => ({});

  test.each<[string, GenerateOptions, RegExp]>([
    [
      'schedule and insertion',
      { decode: lowConfidence(), length: marked(() => ({}), 'inserts') },
      /decode: lowConfidence\(\) shares out its steps .* does not go with length: marked\(\)/,
    ],
    [
      'schedule and blocks of the model',
      { decode: lowConfidence(), blocks: marked(wholeAnswer(), 'adapts') },
      /among blocks .* does not go with blocks: marked\(\)/,
    ],
    [
      'two soft masks',
      { refine: [marked(() => ({}), 'softMask'), marked(() => ({}), 'softMask')] },
      /soft masks/,
    ],
    [
      'steps for a length that is not known',
      { decode: lowConfidence({ steps: 3 }), length: growUntilEos() },
      /lowConfidence\(\): steps must be left out with length: growUntilEos\(\)/,
    ],
    ['misspelt', { refine: [refine, 3 as never] }, /refine\[1\] must be a policy/],
  ])('%s', (_, options, message) => {
    expect(() => generate(new FakeModel(), prompt, options)).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(message) as string,
      }),
    );
  });

  test('a run says what it is made of', async () => {
    const { policies } = await drawn({
      decode: threshold({ tau: 0.8 }),
      length: fixedLength(),
      refine,
    });
    expect(policies).toEqual({
      decode: { name: 'threshold', options: { tau: 0.8 }, traits: [] },
      blocks: { name: 'wholeAnswer', options: {}, traits: [] },
      length: { name: 'fixedLength', options: {}, traits: [] },
      cache: { name: 'exactCache', options: {}, traits: [] },
      refine: [{ name: 'refine', options: undefined, traits: [] }],
    });
  });
});
