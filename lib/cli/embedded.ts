/** How the model in the package writes best as a server's. */
import { blocks, lowConfidence } from '../decoding/index.js';
import type { GenerateOptions } from '../plan.js';
import { plainTemplate } from '../text/formats.js';
import { embeddedFlags, embeddedModel } from './options.js';

export { embeddedModel };

/** Small blocks, with the begin-of-text token in front. */
export const embeddedDefaults: GenerateOptions = {
  bos: embeddedFlags.bos,
  temperature: embeddedFlags.temperature,
  decode: lowConfidence(),
  blocks: blocks(embeddedFlags.blockLength),
  chat: { template: plainTemplate }, // it has no format for chats
};
