/** `tools` and `tool_choice`: functions that an answer may call, and how the model is told of them. */
import { jsonText } from '../schema/json.js';
import type { Node } from '../schema/types.js';
import type { ChatMessage } from '../text/template.js';
import { boolean, invalid, list, object, oneOf, string } from '../validate.js';
import { planOf } from './format.js';
import type { Limits } from './limits.js';
import { optional, type Body } from './request.js';

export interface Tools {
  /** As the client gave them, for the template. */
  given: readonly object[];
  /** One call: `{"name": …, "arguments": …}`. */
  node: Node;
  /** Whether there must be a call; else the model may answer with text. */
  required: boolean;
  /** Most calls of an answer. */
  most: number;
}

/** What calls are written between: the convention of Hermes, which Qwen and Ling have, too. */
export const callStart = '<tool_call>';
const callEnd = '</tool_call>';

const namePattern = /^[A-Za-z0-9_.-]{1,64}$/;

/** The fields of a chat. @returns undefined: no function may be called */
export function toolsOf(body: Body, limits: Limits): Tools | undefined {
  const choice = choiceOf(body.tool_choice ?? undefined);
  const parallel =
    optional('parallel_tool_calls', body.parallel_tool_calls, (name, value) =>
      boolean(name, value),
    ) ?? true;
  const given = list('tools', body.tools ?? [], 'an array of functions');
  if (given.length > limits.tools) invalid('tools', given, `at most ${limits.tools} functions`);
  const tools = given.map((tool, i) => toolOf(`tools[${i}]`, tool, limits));
  const twice = tools.find(({ name }, i) => tools.findIndex((tool) => tool.name === name) < i);
  if (twice !== undefined) invalid('tools', given, `free of repeats: there are two ${twice.name}`);
  if (choice === 'none' || (choice === 'auto' && tools.length === 0)) return undefined;
  const named = typeof choice === 'object' ? choice.name : undefined;
  const able = tools.filter(({ name }) => named === undefined || name === named);
  if (able.length === 0) {
    const right = named === undefined ? "'auto' or 'none' without tools" : 'one of the tools';
    invalid('tool_choice', named ?? choice, right);
  }
  const branches = able.map(({ node }) => node);
  return {
    given: given as object[],
    node: branches.length === 1 ? branches[0] : { kind: 'union', branches },
    required: choice !== 'auto',
    most: parallel && named === undefined ? limits.calls : 1,
  };
}

function choiceOf(value: unknown): 'auto' | 'none' | 'required' | { name: string } {
  if (value === undefined) return 'auto';
  if (typeof value === 'string') {
    return oneOf('tool_choice', value, ['auto', 'none', 'required']);
  }
  const { type, function: named } = object('tool_choice', value);
  oneOf('tool_choice.type', type, ['function']);
  const { name } = object('tool_choice.function', named ?? null);
  return { name: string('tool_choice.function.name', name) };
}

function toolOf(where: string, tool: unknown, limits: Limits): { name: string; node: Node } {
  const { type, function: given } = object(where, tool);
  oneOf(`${where}.type`, type, ['function']);
  const { name, parameters } = object(`${where}.function`, given ?? null);
  const id = string(`${where}.function.name`, name);
  if (!namePattern.test(id)) {
    invalid(`${where}.function.name`, id, 'up to 64 letters, digits, dots, dashes, underscores');
  }
  const schema = parameters ?? { type: 'object', properties: {} };
  const held = planOf(`${where}.function.parameters`, schema, limits);
  const members = [
    { key: 'name', required: true, node: { kind: 'choice', texts: [JSON.stringify(id)] } as const },
    { key: 'arguments', required: true, node: held },
  ];
  return { name: id, node: { kind: 'object', members } };
}

/** The text of a call, and of what is before one. */
export function callParts(text: string): { name: string; arguments: string } {
  const { name } = JSON.parse(text) as { name: string };
  const before = `{"name": ${JSON.stringify(name)}, "arguments": `;
  return { name, arguments: text.slice(before.length, -1) };
}

export const callText = {
  open: (before: string) => `${before}${callStart}\n`,
  close: (text: string) => `${text}\n${callEnd}`,
};

/** Whether a template has words of its own for tools, with these calls. */
export function knowsTools(template: string | undefined): boolean {
  return template !== undefined && /\btools\b/.test(template) && template.includes(callStart);
}

/** For templates that know nothing of tools: functions, calls and their results as text. */
export function toolsAsText(
  messages: readonly ChatMessage[],
  tools: Tools | undefined,
): ChatMessage[] {
  const plain: ChatMessage[] = [];
  for (const message of messages) {
    if (message.role !== 'tool') {
      const { role, content, toolCalls = [] } = message;
      plain.push({ role, content: [content, ...toolCalls.map(asText)].filter(Boolean).join('\n') });
      continue;
    }
    const result = `<tool_response>\n${message.content}\n</tool_response>`;
    const last = plain.at(-1);
    // Results of several calls are one turn.
    if (last?.content.endsWith('</tool_response>')) last.content += `\n${result}`;
    else plain.push({ role: 'user', content: result });
  }
  if (tools === undefined) return plain;
  const manual = manualOf(tools);
  if (plain[0].role !== 'system') return [{ role: 'system', content: manual }, ...plain];
  const [first, ...others] = plain;
  return [{ ...first, content: `${first.content}\n\n${manual}` }, ...others];
}

function asText({ name, arguments: given }: { name: string; arguments: unknown }): string {
  return callText.close(callText.open('') + jsonText({ name, arguments: given }));
}

function manualOf({ given }: Tools): string {
  const call = '{"name": the name of the function, "arguments": its arguments as a JSON object}';
  return [
    'You may call these functions to answer:',
    `<tools>\n${given.map((tool) => JSON.stringify(tool)).join('\n')}\n</tools>`,
    `A call looks like this:\n${callText.close(callText.open('') + call)}`,
  ].join('\n\n');
}
