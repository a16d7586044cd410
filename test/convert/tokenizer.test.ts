/** The tokenizer of a folder, through a GGUF file, against @huggingface/tokenizers on the folder. */
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { describe, expect, test } from 'vitest';
import { convert, inspectFile, loadModel } from '../../lib/index.js';
import { scratchFolder } from '../gguf/scratch.js';
import { readFixture } from '../text/vocabulary.js';
import {
  addedTokens,
  chatTemplate,
  hfModel,
  splits,
  tokenizerConfig,
  tokenizerJson,
  writeFolder,
  type Json,
} from './folders.js';

const scratch = scratchFolder();
const model = hfModel('LLaDAModelLM', 3);

interface Golden {
  pre: Record<string, { text: string }[]>;
}
const golden = readFixture<Golden>('tokenizer.json');
const texts = [
  ...new Set(Object.values(golden.pre).flatMap((items) => items.map(({ text }) => text))),
  'a<think>b <|fim_prefix|>c<|mask|><|im_end|>\n<|endoftext|>',
  'cafe\u0301 e\u0301', // changed by form C
  '12345 \r\n\r\n  x',
];

type Encoder = { encode: (text: string, options: object) => { ids: number[] } };
const HfTokenizer = HuggingFaceTokenizer as unknown as new (json: Json, config: Json) => Encoder;

async function fileOf(name: string, files: Record<string, unknown>, options = {}): Promise<string> {
  const path = scratch.path(`${name}.gguf`);
  await convert(writeFolder(scratch.path(name), model, { files }), path, options);
  return path;
}

async function expectSameTokens(path: string, json: Json): Promise<void> {
  await using loaded = await loadModel(path);
  const reference = new HfTokenizer(json, {});
  for (const text of texts) {
    const ids = Array.from(loaded.tokenizer.encode(text, { special: true, bos: false }));
    expect([text, ids]).toEqual([text, reference.encode(text, { add_special_tokens: false }).ids]);
    expect(loaded.tokenizer.decode(ids, { special: true }).normalize()).toBe(text.normalize());
  }
}

test.each(Object.keys(splits) as (keyof typeof splits)[])(
  '%s: the same tokens as the original',
  async (pre) => {
    const json = tokenizerJson(pre);
    const path = await fileOf(pre, { 'tokenizer.json': json });
    expect((await inspectFile(path)).metadata['tokenizer.ggml.pre']).toBe(pre);
    await expectSameTokens(path, json);
  },
);

test('merges as pairs, as tokenizers 0.20 writes them', async () => {
  const json = tokenizerJson();
  const bpe = json.model as { merges: string[] };
  const pairs = { ...bpe, merges: bpe.merges.map((merge) => merge.split(' ')) };
  await expectSameTokens(
    await fileOf('pairs', { 'tokenizer.json': { ...json, model: pairs } }),
    json,
  );
});

test('vocab.json, merges.txt and added_tokens_decoder of the older tokenizers', async () => {
  const json = tokenizerJson('qwen2');
  const { vocab, merges } = json.model as { vocab: Json; merges: string[] };
  const files = {
    'tokenizer.json': undefined,
    'vocab.json': vocab,
    'merges.txt': `#version: 0.2\n${merges.join('\n')}\n`,
    'tokenizer_config.json': {
      ...tokenizerConfig,
      tokenizer_class: 'DreamTokenizer',
      added_tokens_decoder: Object.fromEntries(
        addedTokens.map(({ id, ...token }) => [String(id), token]),
      ) as Json,
    },
  };
  await expectSameTokens(await fileOf('older', files), json);
  const { added_tokens_decoder: _, ...without } = files['tokenizer_config.json'];
  const ids = Object.fromEntries(addedTokens.map(({ id, content }) => [content as string, id]));
  const more = { 'tokenizer_config.json': without, 'added_tokens.json': ids };
  await expectSameTokens(await fileOf('oldest', { ...files, ...more }), json);
});

describe('metadata', () => {
  const types = async (path: string) =>
    (await inspectFile(path)).metadata['tokenizer.ggml.token_type'] as Float64Array;

  test('kinds of tokens; ids without a text are unused', async () => {
    const path = await fileOf('kinds', {});
    const kinds = await types(path);
    expect(kinds).toHaveLength(520);
    expect(Array.from(kinds.subarray(507, 516))).toEqual([1, 1, 3, 3, 3, 3, 4, 3, 5]);
    await using loaded = await loadModel(path);
    expect(loaded.tokenizer.token(515)).toBe('[PAD515]');
  });

  test.each<[string, Record<string, unknown>, boolean]>([
    ['not said', {}, false],
    [
      'by the configuration',
      { 'tokenizer_config.json': { ...tokenizerConfig, add_bos_token: true } },
      true,
    ],
    [
      'by the template of the post-processor',
      {
        'tokenizer.json': tokenizerJson('llama-bpe', {
          post_processor: {
            type: 'Sequence',
            processors: [
              { type: 'ByteLevel' },
              {
                type: 'TemplateProcessing',
                single: [{ SpecialToken: { id: '<|startoftext|>' } }, { Sequence: { id: 'A' } }],
              },
            ],
          },
        }),
      },
      true,
    ],
  ])('begin-of-text token: %s', async (name, files, adds) => {
    const path = await fileOf(`bos ${name}`, files);
    expect((await inspectFile(path)).metadata['tokenizer.ggml.add_bos_token']).toBe(adds);
    await using loaded = await loadModel(path);
    expect(loaded.tokenizer.addBos).toBe(adds);
  });

  test('special tokens from special_tokens_map.json, config.json and generation_config.json', async () => {
    const { config } = model;
    const path = await fileOf('special', {
      'tokenizer_config.json': { bos_token: null },
      'special_tokens_map.json': { bos_token: { content: '<think>' } },
      'config.json': { ...config, eos_token_id: [7, 8], mask_token_id: 9 },
      'generation_config.json': { eos_token_id: 10, pad_token_id: 11 },
    });
    const { spec } = await inspectFile(path);
    expect(spec).toMatchObject({ bos: 513, eos: 7, pad: 11, mask: 9 });
  });

  test('the mask token by its text where nothing names it', async () => {
    const added = [...addedTokens, { ...addedTokens[2], id: 519, content: '<|mdm_mask|>' }];
    const path = await fileOf('mask', {
      'tokenizer.json': tokenizerJson('qwen2', { added_tokens: added }),
      'tokenizer_config.json': {},
    });
    expect((await inspectFile(path)).spec?.mask).toBe(519);
  });
});

describe('chat template', () => {
  const template = async (name: string, files: Record<string, unknown>) =>
    (await inspectFile(await fileOf(name, files))).metadata;
  const key = 'tokenizer.chat_template';

  test('of tokenizer_config.json, used for messages', async () => {
    const path = await fileOf('chat', {});
    await using loaded = await loadModel(path);
    expect(loaded.tokenizer.chatTemplate).toBe(chatTemplate);
  });

  test('a file of its own comes first', async () => {
    const metadata = await template('jinja', { 'chat_template.jinja': 'own {{ messages }}' });
    expect(metadata[key]).toBe('own {{ messages }}');
    const older = { ...tokenizerConfig, chat_template: undefined };
    const json = { 'tokenizer_config.json': older, 'chat_template.json': { chat_template: 'old' } };
    expect((await template('json', json))[key]).toBe('old');
    expect(key in (await template('none', { 'tokenizer_config.json': older }))).toBe(false);
  });

  test('several under their names', async () => {
    const list = [
      { name: 'default', template: 'one' },
      { name: 'tool_use', template: 'two' },
    ];
    const metadata = await template('several', {
      'tokenizer_config.json': { ...tokenizerConfig, chat_template: list },
    });
    expect(metadata).toMatchObject({ [key]: 'one', [`${key}.tool_use`]: 'two' });
  });
});

type Refusal = [what: string, code: string, message: RegExp, files: Record<string, unknown>];
const json = tokenizerJson();
const bpe = json.model as Json;
const changed = (changes: Json) => ({ 'tokenizer.json': { ...json, ...changes } });

test.each<Refusal>([
  [
    'no tokenizer',
    'BAD_CHECKPOINT',
    /neither tokenizer\.json nor both vocab\.json and merges\.txt/,
    { 'tokenizer.json': undefined },
  ],
  [
    'another model',
    'UNSUPPORTED_TOKENIZER',
    /tokenizer\.json: model is "Unigram"; supported is byte-level BPE/,
    changed({ model: { ...bpe, type: 'Unigram' } }),
  ],
  [
    'byte fallback',
    'UNSUPPORTED_TOKENIZER',
    /with byte_fallback/,
    changed({ model: { ...bpe, byte_fallback: true } }),
  ],
  [
    'another pre-tokenizer',
    'UNSUPPORTED_TOKENIZER',
    /pre_tokenizer is .*Whitespace.*name it with the option `pre`/,
    changed({ pre_tokenizer: { type: 'Whitespace' } }),
  ],
  [
    'another pattern',
    'UNSUPPORTED_TOKENIZER',
    /pre_tokenizer splits by "x\+"/,
    changed({
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Split', pattern: { Regex: 'x+' }, behavior: 'Isolated' },
          { type: 'ByteLevel', add_prefix_space: false, use_regex: false },
        ],
      },
    }),
  ],
  [
    'a known pattern without its normal form',
    'UNSUPPORTED_TOKENIZER',
    /the normalizer is none, unlike that of qwen2/,
    changed({ normalizer: null }),
  ],
  [
    'a known pattern with whole words',
    'UNSUPPORTED_TOKENIZER',
    /ignore_merges is true, unlike that of qwen2/,
    changed({ model: { ...bpe, ignore_merges: true } }),
  ],
  [
    'another normalizer',
    'UNSUPPORTED_TOKENIZER',
    /normalizer is .*Lowercase/,
    changed({ normalizer: { type: 'Lowercase' } }),
  ],
  [
    'a token outside the embedding',
    'BAD_CHECKPOINT',
    /token "<z>" has id 520, but the embedding has 520 rows/,
    changed({ added_tokens: [...addedTokens, { id: 520, content: '<z>', special: true }] }),
  ],
  [
    'two tokens with one id',
    'BAD_CHECKPOINT',
    /both have id 7/,
    changed({ model: { ...bpe, vocab: { ...(bpe.vocab as Json), twin: 7 } } }),
  ],
  [
    'a token id that is none',
    'BAD_CHECKPOINT',
    /model\.vocab: "x" is -1, must be a token id/,
    changed({ model: { ...bpe, vocab: { x: -1 } } }),
  ],
  [
    'a merge of three',
    'BAD_CHECKPOINT',
    /model\.merges\[0\]: is "a b c", must be two pieces/,
    changed({ model: { ...bpe, merges: ['a b c'] } }),
  ],
  [
    'a user-defined token that takes in blanks',
    'UNSUPPORTED_TOKENIZER',
    /"<z>" has lstrip, which GGUF cannot say/,
    changed({ added_tokens: [{ id: 515, content: '<z>', lstrip: true }] }),
  ],
  [
    'a special token without an id',
    'BAD_CHECKPOINT',
    /tokenizer_config\.json: eos_token is "<none>", must be the text of a token/,
    { 'tokenizer_config.json': { eos_token: '<none>' } },
  ],
  [
    'a special id outside the embedding',
    'BAD_CHECKPOINT',
    /config\.json: mask_token_id is 9999, must be a token id below 520/,
    { 'tokenizer_config.json': {}, 'config.json': { ...model.config, mask_token_id: 9999 } },
  ],
  [
    'no mask token',
    'BAD_CHECKPOINT',
    /no mask token: .*<\|mdm_mask\|>.* name it with the option maskToken/,
    { 'tokenizer_config.json': {} },
  ],
  [
    'a chat template that is none',
    'BAD_CHECKPOINT',
    /chat_template is 5/,
    { 'tokenizer_config.json': { ...tokenizerConfig, chat_template: 5 } },
  ],
  ['JSON that is none', 'BAD_CHECKPOINT', /tokenizer\.json: is no JSON/, { 'tokenizer.json': '{' }],
])('%s', async (what, code, message, files) => {
  await expect(fileOf(what, files)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message) as unknown,
  });
});

test('a pre-tokenizer that is not known can be named', async () => {
  const unknown = { 'tokenizer.json': tokenizerJson('gpt-2', { normalizer: { type: 'NFKC' } }) };
  const path = await fileOf('named', unknown, { pre: 'gpt-2' });
  expect((await inspectFile(path)).metadata['tokenizer.ggml.pre']).toBe('gpt-2');
  await expect(fileOf('misnamed', unknown, { pre: 'gpt-3' })).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    message: expect.stringContaining('pre is "gpt-3", must be one of gpt-2') as unknown,
  });
});
