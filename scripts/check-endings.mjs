// node scripts/check-endings.mjs MODEL…: how long the answers of the Shakespeare models are, and whether they
// end by themselves and after a whole speech, by length of block. The table of models/README.md. Needs
// `npm run build`.
import { basename } from 'node:path';
import { blocks, loadModel, lowConfidence } from '../dist/index.js';

const prompts = [
  'DUKE OF YORK:\nMy lord, the king is come, and with him all his men.\n\nQUEEN MARGARET:\nWhat news, my lord? Is he not dead?\n\n',
  'FIRST MESSENGER:\nThe ships are lost, my lord, and all your friends with them.\n\n',
  'KING:\nMy lord, what news?\n\n',
  'JULIET:\nThe night is cold, and yet I cannot sleep.\n\nNURSE:\nGo, lady, to your bed.\n\n',
];
const seeds = 10;
const maxTokens = 96;

async function endings(model, size) {
  const sum = { answers: 0, ended: 0, whole: 0, tokens: 0, empty: 0 };
  for (const [i, prompt] of prompts.entries()) {
    for (let seed = 0; seed < seeds; seed++) {
      const { text, tokens, finishReason } = await model.generate(prompt, {
        ...{ bos: true, maxTokens, temperature: 0.8, seed: seed * 7 + i },
        ...{ decode: lowConfidence({ steps: maxTokens }), blocks: blocks(size) },
      }).result;
      const ended = finishReason === 'eos';
      sum.answers++;
      sum.ended += Number(ended);
      sum.whole += Number(ended && text.endsWith('\n\n'));
      sum.tokens += tokens.filter((token) => token !== model.info.tokens.eos).length;
      sum.empty += Number(text.trim() === '');
    }
  }
  return sum;
}

for (const file of process.argv.slice(2)) {
  const model = await loadModel(file);
  for (const size of [4, 8, 32]) {
    const { answers, ended, whole, tokens, empty } = await endings(model, size);
    console.log(
      `${basename(file)}, blocks of ${size}: ended by itself ${ended} of ${answers}, after a whole speech ` +
        `${whole}, ${(tokens / answers).toFixed(1)} tokens on average, ${empty} empty`,
    );
  }
  await model.dispose();
}
