/** What the run panel holds, and the request that it means. */
import { computed, signal } from '@preact/signals';
import type { Catalogue, Role } from './client.js';
import type { Policy, RunRequest } from './frames.js';

export const tabs = ['complete', 'chat', 'fill', 'json'] as const;
export type Tab = (typeof tabs)[number];
export const tabNames: Record<Tab, string> = {
  complete: 'Complete',
  chat: 'Chat',
  fill: 'Fill',
  json: 'JSON',
};

export const catalogue = signal<Catalogue | undefined>(undefined);
export const tab = signal<Tab>('complete');
export const texts = signal<
  Record<'complete' | 'chat' | 'system' | 'fill' | 'json' | 'schema', string>
>({
  complete: 'ROMEO:\n',
  chat: 'Why is the sky blue?',
  system: '',
  fill: 'ROMEO:\nMy lord, ⟦6⟧ the crown\n⟦4⟧ of England.\n',
  json: 'Juliet is thirteen and lives in Verona.\n',
  schema: JSON.stringify(
    {
      type: 'object',
      properties: {
        name: { enum: ['Juliet', 'Romeo', 'Nurse'] },
        age: { type: 'integer', minimum: 0, maximum: 99 },
        alive: { type: 'boolean' },
      },
      required: ['name', 'age', 'alive'],
    },
    null,
    1,
  ),
});

/** Options of a policy that differ from the library's defaults. */
export type Chosen = { name: string; options: Record<string, number | boolean | string> };
export const preset = signal('');
export const chosen = signal<Partial<Record<Role, Chosen>>>({});
export const numbers = signal<{
  maxTokens: number;
  temperature: number | undefined;
  topP: number | undefined;
  topK: number | undefined;
  seed: number;
}>({ maxTokens: 96, temperature: undefined, topP: undefined, topK: undefined, seed: 7 });
/** Keep the seed for the next run. */
export const locked = signal(true);

/** What runs in a role if nothing is chosen: the preset's policy, else the server's. */
export function usual(role: Role): Policy | string | undefined {
  const { presets, defaults } = catalogue.value ?? {};
  const named = preset.value || defaults?.preset;
  return presets?.[named ?? '']?.[role] ?? defaults?.[role];
}

/** What stands between ⟦ and ⟧: nothing, a number, two, or texts with | between them. */
const holes = /⟦(\d*(?:-\d+)?|[^⟦⟧]*\|[^⟦⟧]*)⟧/;

/** A number of tokens, or the texts of which it becomes one. */
export type Gap = { min: number; max: number } | { choices: string[] };

/** ⟦⟧ up to 16 tokens, ⟦8⟧ exactly 8, ⟦2-8⟧ from 2 to 8, ⟦ red| green⟧ one of these. */
export function templateOf(text: string): (string | Gap)[] {
  const parts = text.split(holes);
  return parts.flatMap((part, i): (string | Gap)[] => {
    if (i % 2 === 0) return part === '' ? [] : [part];
    if (part.includes('|')) return [{ choices: part.split('|').filter((one) => one !== '') }];
    const [low, high] = part.split('-');
    if (part === '') return [{ min: 1, max: 16 }];
    const max = Math.max(1, Number(high ?? low));
    return [{ min: Math.min(Number(low || 1), max), max }];
  });
}

/** As it stands in a text. */
function gapText(gap: Gap): string {
  if ('choices' in gap) return `⟦${gap.choices.join('|')}${gap.choices.length < 2 ? '|' : ''}⟧`;
  return gap.min === gap.max ? `⟦${gap.max}⟧` : `⟦${gap.min}-${gap.max}⟧`;
}

/** Holes of a text, in order. */
export const gapsOf = (text: string): Gap[] =>
  templateOf(text).filter((part) => typeof part === 'object');

/** The text with something else as one of its holes. */
export function withGap(text: string, index: number, gap: Gap): string {
  let i = 0;
  const each = new RegExp(holes, 'g');
  return text.replaceAll(each, (one) => (i++ === index ? gapText(gap) : one));
}

const given = <T extends object>(fields: T) =>
  Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== ''),
  );

/** The run that the panel describes. */
export const request = computed((): RunRequest => {
  const { maxTokens, temperature, topP, topK, seed } = numbers.value;
  const { complete, chat, system, fill, json, schema } = texts.value;
  const lacuna = {
    ...{ canvas: 'delta', measures: ['entropy', 'margin'], ahead: true, candidates: 5 },
    ...given({ preset: preset.value, ...chosen.value }),
  };
  const common = {
    ...given({ max_tokens: maxTokens, temperature, top_p: topP, top_k: topK, seed }),
  };
  if (tab.value === 'fill') {
    const { max_tokens: _, ...others } = common;
    const body = { prompt: '', ...others, lacuna: { ...lacuna, template: templateOf(fill) } };
    return { path: '/v1/completions', body };
  }
  if (tab.value === 'complete') {
    return { path: '/v1/completions', body: { prompt: complete, ...common, lacuna } };
  }
  const content = tab.value === 'json' ? json : chat;
  const messages = [
    ...(system === '' || tab.value === 'json' ? [] : [{ role: 'system', content: system }]),
    { role: 'user', content },
  ];
  const body = { messages, ...common, lacuna };
  if (tab.value === 'chat') return { path: '/v1/chat/completions', body };
  const json_schema = { name: 'answer', schema: parsed(schema) };
  const response_format = { type: 'json_schema', json_schema };
  return { path: '/v1/chat/completions', body: { ...body, response_format } };
});

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text; // the server says what is wrong with it
  }
}

/** Fills the panel from a run that was opened. */
export function take({ path, body }: RunRequest): void {
  const lacuna = body.lacuna ?? {};
  if (Array.isArray(body.prompt)) return; // token ids have no text to be edited
  const now = { ...texts.value };
  if (Array.isArray(lacuna.template)) {
    tab.value = 'fill';
    now.fill = (lacuna.template as (string | Gap)[])
      .map((part) => (typeof part === 'string' ? part : gapText(part)))
      .join('');
  } else if (path === '/v1/completions') {
    tab.value = 'complete';
    if (typeof body.prompt === 'string') now.complete = body.prompt;
  } else {
    tab.value = body.response_format === undefined ? 'chat' : 'json';
    const messages = (body.messages ?? []) as { role: string; content: string }[];
    const user = messages.find(({ role }) => role === 'user')?.content ?? '';
    now[tab.value] = user;
  }
  texts.value = now;
  preset.value = typeof lacuna.preset === 'string' ? lacuna.preset : '';
  const { decode, blocks, cache } = lacuna as Partial<Record<Role, Chosen>>;
  chosen.value = given({ decode, blocks, cache });
  numbers.value = {
    maxTokens: (body.max_tokens as number) ?? numbers.value.maxTokens,
    temperature: body.temperature as number | undefined,
    topP: body.top_p as number | undefined,
    topK: body.top_k as number | undefined,
    seed: (body.seed as number) ?? 0,
  };
}
