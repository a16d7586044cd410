// The AI SDK, 6 and 7, in process with lacuna().
import assert from 'node:assert/strict';
import { askedOf as asked, open } from './ai-models.mjs';
import { common } from './ai.mjs';

export { open };

export const checks = {
  ...common,

  'a full queue is tried again': async ({ ai, again, cases: [one] }) => {
    const model = again({});
    let asks = 0;
    const counted = { ...model, doGenerate: (call) => (asks++, model.doGenerate(call)) };
    const answers = [1, 2, 3, 4].map(() =>
      ai.generateText({ model: counted, ...asked(one), maxRetries: 9 }),
    );
    for (const { text } of await Promise.all(answers)) assert.equal(text, one.text);
    assert(asks > 4);
  },

  'what means nothing here is a warning': async ({ ai, model, cases: [one] }) => {
    const call = { model, ...asked(one), presencePenalty: 1 };
    const { warnings } = await ai.generateText(call);
    assert.deepEqual(
      warnings.map(({ feature }) => feature),
      ['presencePenalty'],
    );
  },
};
