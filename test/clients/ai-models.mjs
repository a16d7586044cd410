// Models for the AI SDK: over HTTP with createOpenAICompatible, and in process with lacuna().
import { idle } from './server.mjs';

export async function open(config) {
  const ai = await import(config.ai);
  const { canvasToUI, lacuna } = await import('../../dist/ai-sdk/index.js');
  const common = { ...config, ai, canvasToUI };
  return config.compatible ? overHttp(common) : inProcess(common, lacuna);
}

async function overHttp(common) {
  const { compatible, url, model: id } = common;
  const { createOpenAICompatible } = await import(compatible);
  const provider = createOpenAICompatible({
    ...{ name: 'lacuna', baseURL: `${url}/v1` },
    ...{ includeUsage: true, supportsStructuredOutputs: true },
  });
  return {
    ...common,
    model: provider(id),
    canvas: (fields) => ({ lacuna: { lacuna: fields } }),
    idle: () => idle(common),
  };
}

async function inProcess(common, lacuna) {
  const { blocks, loadModel, lowConfidence } = await import('../../dist/index.js');
  const loaded = await loadModel(common.file, { device: 'cpu' });
  const { template, temperature } = common;
  const policies = { decode: lowConfidence(), blocks: blocks(8) };
  const settings = { ...policies, temperature, chat: { template }, parallel: 1, queue: 1 };
  const model = lacuna(loaded, settings);
  return {
    ...common,
    model,
    again: (more) => lacuna(loaded, { ...settings, ...more }),
    canvas: (fields) => ({ lacuna: fields }),
    // With one slot, whoever comes next waits for it.
    idle: async () => {
      const prompt = [{ role: 'user', content: [{ type: 'text', text: 'KING:' }] }];
      await model.doGenerate({ prompt, maxOutputTokens: 1 });
    },
    close: () => loaded.dispose(),
  };
}

export const askedOf = ({ prompt, seed, maxTokens }) => ({
  prompt,
  seed,
  maxOutputTokens: maxTokens,
});

/** Everything of the full stream. */
export async function partsOf(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

export const textOf = (parts) =>
  parts.map(({ type, text }) => (type === 'text-delta' ? text : '')).join('');
