/** On the reference backend speculation gives the same tokens with the same probabilities. */
import { expect, test } from 'vitest';
import {
  blocks,
  dualCache,
  freeDave,
  lowConfidence,
  selfDraft,
  threshold,
} from '../../lib/decoding/index.js';
import { loadModel } from '../../lib/model.js';
import { fileURLToPath } from 'node:url';

const embedded = fileURLToPath(new URL('../../models/shakespeare-7m.Q8_0.gguf', import.meta.url));
const prompt = 'KING HENRY:\nMy lord, ';

test.each([
  ['one a step', { decode: lowConfidence() }],
  ['one a step, dual cache', { decode: lowConfidence(), cache: dualCache() }],
  ['threshold', { decode: threshold({ tau: 0.5 }) }],
])('%s: token for token, in fewer forwards', { timeout: 240_000 }, async (_, options) => {
  await using model = await loadModel(embedded, { device: 'ref' });
  const common = { ...options, maxTokens: 16, blocks: blocks(8), bos: true, stopAtEos: false };
  const base = await model.generate(prompt, common).result;
  for (const speculate of [selfDraft({ depth: 2 }), freeDave({ depth: 2 })]) {
    const fast = await model.generate(prompt, { ...common, speculate }).result;
    expect(fast.canvas).toEqual(base.canvas);
    expect(fast.trace.map(({ committed }) => committed)).toEqual(
      base.trace.map(({ committed }) => committed),
    );
    expect(fast.forwards).toBeLessThan(base.forwards);
    expect(fast.forwards + fast.counts.reused).toBe(base.forwards);
  }
});
