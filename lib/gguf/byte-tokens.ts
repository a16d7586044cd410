import type { MetadataValue } from './metadata.js';

const specials = ['<|startoftext|>', '<|endoftext|>', '<|eot_id|>', '<|mask|>'];
/** tokenizer.ggml.token_type of ordinary, control and unused tokens. */
const kinds = { normal: 1, control: 3, unused: 5 };

/**
 * GPT-2's printable stand-in for a byte: itself where Latin-1 has a visible character, else the next
 * unused code point from 256 on.
 */
function standIns(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const visible =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCodePoint(visible ? byte : next++);
  });
}

/**
 * Metadata of the smallest byte-level BPE: the 256 bytes in order, no merges, unused tokens, and at
 * the end start of text, end of text, end of turn and mask.
 */
export function byteTokens(vocabulary: number): Record<string, MetadataValue> {
  const bytes = standIns();
  const unused = Array.from({ length: vocabulary - 260 }, (_, i) => `<unused${i}>`);
  const types = [
    ...bytes.map(() => kinds.normal),
    ...unused.map(() => kinds.unused),
    ...specials.map(() => kinds.control),
  ];
  return {
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'gpt-2',
    'tokenizer.ggml.tokens': [...bytes, ...unused, ...specials],
    'tokenizer.ggml.token_type': { type: 'array', element: 'i32', value: types },
    'tokenizer.ggml.merges': { type: 'array', element: 'string', value: [] },
    'tokenizer.ggml.add_bos_token': false,
  };
}
