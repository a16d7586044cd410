/** The Shakespeare models, decoded as their cards say, write in the manner of their source. */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { blocks, loadModel, lowConfidence, type Model } from '../lib/index.js';

const models = [
  { name: 'shakespeare-7m', size: 8, steps: 64 }, // the embedded one
  { name: 'shakespeare', size: 4, steps: 96 },
];

// Our own lines: the models cannot have seen them.
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

const load = (name: string): Promise<Model> =>
  loadModel(fileURLToPath(new URL(`../models/${name}.Q8_0.gguf`, import.meta.url)), {
    device: 'cpu',
  });

const options = (size: number, steps: number, seed: number) => ({
  ...{ bos: true, maxTokens: 96, temperature: 0.7, seed },
  ...{ decode: lowConfidence({ steps }), blocks: blocks(size) },
});

for (const { name, size, steps } of models) {
  test.each([1, 2, 3])(`${name}: seed %i continues a new scene in English`, async (seed) => {
    await using model = await load(name);
    const { text, finishReason } = await model.generate(prompt, options(size, steps, seed)).result;
    expect(['eos', 'length']).toContain(finishReason);
    const words = text.toLowerCase().match(/[a-z]+/g) ?? [];
    expect(words.length).toBeGreaterThan(15);
    expect(words.filter((word) => common.has(word)).length / words.length).toBeGreaterThan(0.25);
  });

  test(`${name}: over several seeds, speakers take turns`, async () => {
    await using model = await load(name);
    const texts: string[] = [];
    for (const seed of [1, 2, 3, 4]) {
      texts.push((await model.generate(prompt, options(size, steps, seed)).result).text);
    }
    expect(new Set(texts).size).toBe(4);
    expect(texts.filter((text) => /\n\n[A-Z][A-Z ]+:\n/.test(text)).length).toBeGreaterThan(1);
  });
}

test('shakespeare ends its answers where a speech ends', async () => {
  await using model = await load('shakespeare');
  const ended: string[] = [];
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const { text, finishReason } = await model.generate(prompt, options(4, 96, seed)).result;
    if (finishReason === 'eos') ended.push(text);
  }
  expect(ended.length).toBeGreaterThan(3);
  expect(ended.filter((text) => text.endsWith('\n\n')).length).toBeGreaterThan(ended.length / 2);
});
