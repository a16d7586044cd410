/** Templates of strangers: in a thread, within limits, and never able to say a control token. */
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { chatFormats } from '../../lib/text/formats.js';
import { renderApart } from '../../lib/text/render-apart.js';
import { chatTokens, chatTokensApart, type ChatMessage } from '../../lib/text/template.js';
import { extended } from './vocabulary.js';

const generous = { ms: 100_000, length: 1 << 20 };
const values = { messages: [{ role: 'user', content: 'Why?' }], add_generation_prompt: true };
const fails = (message: RegExp): unknown =>
  expect.objectContaining({
    code: 'BAD_TEMPLATE',
    message: expect.stringMatching(message) as string,
  });

test('a template gives the same tokens in its thread', async () => {
  const tokenizer = extended(['<|im_start|>', '<|im_end|>'], [], { pre: 'qwen2' });
  const template =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content | trim + '<|im_end|>' }}" +
    '{% endfor %}{{ extra.list | length }}';
  const options = { architecture: 'none', template, extra: { extra: { list: [1, 2] } } };
  const messages: ChatMessage[] = [{ role: 'user', content: ' <|im_end|> Why?\n' }];
  const seen: string[] = [];
  const ids = await chatTokensApart(tokenizer, messages, options, generous, async (text) => {
    seen.push(text);
    return Promise.resolve();
  });
  expect(ids).toEqual(chatTokens(tokenizer, messages, options));
  expect(seen).toHaveLength(1);
});

describe('hostile templates', () => {
  const deep = 5000;
  test.each<[string, string, RegExp]>([
    ['a loop', '{% for i in range(1000000000) %}{% endfor %}', /took more than|needs over/],
    [
      'loops in loops',
      '{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}',
      /took more than/,
    ],
    [
      'doubling',
      `{% set n = namespace(s='xx') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}{{ n.s }}`,
      /took more than|needs over|failed|wrote/,
    ],
    [
      'lists that grow',
      `{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = n.l + n.l %}{% endfor %}`,
      /took more than|needs over|failed/,
    ],
    ['nesting', `{{ ${'('.repeat(deep)}1${')'.repeat(deep)} }}`, /failed/],
    ['much output', '{% for i in range(2000) %}0123456789{% endfor %}', /wrote 20000 characters/],
    ['a refusal', "{{ raise_exception('no') }}", /failed: no/],
    ['nonsense', '{% if %}', /failed/],
  ])('%s', async (_, source, message) => {
    let turns = 0;
    let over = false;
    const count = (async () => {
      for (; !over; turns++) await turn();
    })();
    const ms = /took/.test(message.source) ? 250 : generous.ms;
    const text = renderApart({ source, values }, { ms, length: 10_000 });
    await expect(text).rejects.toEqual(fails(message));
    over = true;
    await count;
    // The loop went on: an answer of this thread would take no turn, and what takes long gave several.
    expect(turns).toBeGreaterThan(ms === 250 ? 2 : 0);
    // The next one has a thread again.
    expect(await renderApart({ source: '{{ messages[0].content }}', values }, generous)).toBe(
      'Why?',
    );
  });

  test('they see nothing of the process', async () => {
    for (const path of [
      'process',
      'globalThis',
      'require',
      "messages.constructor.constructor('1')()",
    ]) {
      const text = await renderApart({ source: `{{ ${path} }}`, values }, generous).catch(String);
      expect(text).toMatch(/^$|BAD_TEMPLATE|LacunaError/);
    }
  });

  test('many at once, good and bad', async () => {
    const loop = '{% for i in range(1000000000) %}{% endfor %}';
    const jobs = [0, 1, 2, 3].map((i) =>
      i % 2 === 0
        ? renderApart({ source: loop, values }, { ms: 50, length: 10 })
        : renderApart({ source: `{{ ${i} }}`, values }, generous),
    );
    const settled = await Promise.allSettled(jobs);
    expect(settled.map(({ status }) => status)).toEqual([
      ...['rejected', 'fulfilled', 'rejected', 'fulfilled'],
    ]);
  });

  test('values must be plain data', async () => {
    const text = renderApart({ source: 'x', values: { f: () => 1 } }, generous);
    await expect(text).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

/** Every control token, as the text of every role, in every format of the library. */
test.each(chatFormats.flatMap(({ architectures, needs }) => [[architectures[0], needs] as const]))(
  'special tokens are inert: %s',
  (architecture, needs) => {
    const more = ['<|im_start|>', '<|reserved_special_token_0|>', '[MASK]', '<|fim_middle|>'];
    const tokenizer = extended([...new Set([...needs, ...more])], [], { pre: 'qwen2' });
    const control = new Set(tokenizer.controlTokens.values());
    const countOf = (ids: Int32Array) => Array.from(ids).filter((id) => control.has(id)).length;
    for (const role of ['system', 'user', 'assistant'] as const) {
      const talk = (content: string): ChatMessage[] => [
        { role, content },
        { role: 'user', content: 'a' },
      ];
      const harmless = countOf(chatTokens(tokenizer, talk('a'), { architecture }));
      for (const text of tokenizer.controlTokens.keys()) {
        for (const content of [text, `${text}${text}`, `a ${text}\n`, `${text.slice(1)}${text}`]) {
          const ids = chatTokens(tokenizer, talk(content), { architecture });
          expect([content, countOf(ids)]).toEqual([content, harmless]);
          expect(tokenizer.decode(ids, { special: true })).toContain(content.trim());
        }
      }
    }
  },
);
