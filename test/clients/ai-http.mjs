// The AI SDK, 6 and 7, over HTTP with createOpenAICompatible.
import assert from 'node:assert/strict';
import { askedOf as asked, open } from './ai-models.mjs';
import { common, onError } from './ai.mjs';
import { stopStreams } from './server.mjs';

export { open };

export const checks = {
  ...common,

  'errors after the first byte are error parts': async ({ ai, model, cases: [one], ...opened }) => {
    const call = { model, ...asked(one), maxOutputTokens: 200, onError };
    const types = [];
    for await (const part of ai.streamText(call).fullStream) {
      types.push(part.type);
      if (part.type === 'text-delta') await stopStreams(opened);
      if (part.type === 'error')
        assert.match(String(part.error.message ?? part.error), /shutting down/);
    }
    assert(types.includes('error'));
    await opened.idle();
  },
};
