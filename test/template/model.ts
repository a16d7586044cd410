/** The fake model with a tokenizer: tokens 0 … 11 are letters, 12 is `!`. */
import { generate } from '../../lib/generate.js';
import type { GenerateOptions } from '../../lib/plan.js';
import type { Template } from '../../lib/template/types.js';
import { createTokenizer } from '../../lib/text/tokenizer.js';
import { FakeModel } from '../decoding/fake.js';

export const letters = 'abcdefghijkl';

export const tokenizer = createTokenizer({
  model: 'gpt2',
  pre: 'gpt-2',
  tokens: [...letters, '!', '<eot>', '<eos>', '<mask>'],
  tokenTypes: [...letters, '!'].map(() => 1).concat(3, 3, 3),
  merges: [],
  bos: 12,
  eos: 14,
  eot: 13,
  mask: 15,
  addBos: false,
  chatTemplate: '{% for m in messages %}{{ m.content }}<eot>{% endfor %}',
});

export class TextModel extends FakeModel {
  override get tokenizer(): never {
    return tokenizer as never;
  }
}

export const fill = (
  model: FakeModel,
  segments: Template['segments'],
  options: GenerateOptions & Pick<Template, 'prompt' | 'end'> = {},
) => {
  const { prompt, end, ...others } = options;
  return generate(model, { prompt, end, segments }, others);
};
