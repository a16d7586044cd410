/** The model in the package, with the settings of `lacuna demo`, writes in the manner of its source. */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { blocks, loadModel, lowConfidence } from '../lib/index.js';

const path = fileURLToPath(new URL('../models/shakespeare-7m.Q8_0.gguf', import.meta.url));

// Our own lines: the model cannot have seen them.
const prompt = `FIRST MESSENGER:
The ships are lost, my lord, and all your friends with them.

DUKE OF MILAN:
`;

// Words that make up a good third of running English; of random letters, next to nothing.
const common = new Set(
  (
    'a all am and are as at be but by come do for from good have he her him his i if in is it king ' +
    'let lord love man me my no not o of on or our shall she sir so than that the thee their them ' +
    'then there they this thou thy to us was we what when which who will with would you your'
  ).split(' '),
);

test.each([1, 2, 3])('seed %i continues a new scene with speeches in English', async (seed) => {
  await using model = await loadModel(path, { device: 'cpu' });
  const { text, finishReason } = await model.generate(prompt, {
    bos: true,
    maxTokens: 96,
    temperature: 0.7,
    seed,
    decode: lowConfidence({ steps: 64 }),
    blocks: blocks(8),
  }).result;
  expect(['eos', 'length']).toContain(finishReason);
  const words = text.toLowerCase().match(/[a-z]+/g) ?? [];
  expect(words.length).toBeGreaterThan(15);
  expect(words.filter((word) => common.has(word)).length / words.length).toBeGreaterThan(0.25);
});

test('over several seeds, speakers take turns', async () => {
  await using model = await loadModel(path, { device: 'cpu' });
  const texts: string[] = [];
  for (const seed of [1, 2, 3, 4]) {
    const options = { bos: true, maxTokens: 96, temperature: 0.7, seed };
    const decode = lowConfidence({ steps: 64 });
    texts.push(
      (await model.generate(prompt, { ...options, decode, blocks: blocks(8) }).result).text,
    );
  }
  expect(new Set(texts).size).toBe(4);
  expect(texts.filter((text) => /\n\n[A-Z][A-Z ]+:\n/.test(text)).length).toBeGreaterThanOrEqual(2);
});
