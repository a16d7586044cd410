/** How the model in the package writes best as a server's. */
import { blocks, lowConfidence } from '../decoding/index.js';
import type { GenerateOptions } from '../plan.js';
import { embeddedFlags, embeddedModel } from './options.js';

export { embeddedModel };

/** It has no format for chats: what is said is what stands before the answer. */
const template = `{{ bos_token }}{% for message in messages %}{{ message.content }}\n\n{% endfor %}`;

/** Small blocks, with the begin-of-text token in front. */
export const embeddedDefaults: GenerateOptions = {
  bos: embeddedFlags.bos,
  temperature: embeddedFlags.temperature,
  decode: lowConfidence(),
  blocks: blocks(embeddedFlags.blockLength),
  chat: { template },
};
