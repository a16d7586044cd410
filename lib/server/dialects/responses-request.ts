/** The body of `/v1/responses` as that of a chat. */
import { invalid, list, object, oneOf, string } from '../../validate.js';
import { HttpError } from '../errors.js';
import type { Limits } from '../limits.js';
import { optional, type Body } from '../request.js';
import { named, without } from './through.js';

/** What needs conversations and prompts that this server does not keep. */
const remembering = ['previous_response_id', 'conversation', 'prompt', 'background', 'store'];

/** Throws `INVALID_ARGUMENT`, and `HttpError` for what needs a memory. */
export function chatBodyOf(body: Body, limits: Limits): Body {
  refuseMemory(body);
  const { input, instructions, text, tools, tool_choice, reasoning, include, ...others } = body;
  const { format, ...moreText } = object('text', text ?? undefined);
  const { effort, ...moreReasoning } = object('reasoning', reasoning ?? undefined);
  return {
    ...without(others, [...remembering, 'max_output_tokens', 'top_logprobs', 'stream_options']),
    ...named('text', moreText),
    ...named('reasoning', moreReasoning),
    messages: messagesOf(input, instructions, limits),
    max_tokens: body.max_output_tokens,
    ...(format !== undefined && { response_format: formatOf(format) }),
    ...(tools !== undefined && tools !== null && { tools: toolsOf(tools) }),
    ...(tool_choice !== undefined && { tool_choice: choiceOf(tool_choice) }),
    reasoning_effort: effort,
    ...logprobsOf(include, body.top_logprobs),
    ...(body.stream === true && { stream_options: { include_usage: true } }),
  };
}

function refuseMemory(body: Body): void {
  const given = (value: unknown) => value !== undefined && value !== null && value !== false;
  const name = remembering.find((key) => given(body[key]));
  if (name === undefined) return;
  throw new HttpError(400, `${name}: nothing is kept here; send the whole conversation as input`, {
    code: 'unsupported_parameter',
    param: name,
  });
}

interface Message {
  role: unknown;
  content: unknown;
  tool_call_id?: unknown;
  tool_calls?: object[];
}

/** A text, or messages, calls and their results. */
function messagesOf(input: unknown, instructions: unknown, limits: Limits): object[] {
  const system = optional('instructions', instructions, string);
  const first = system === undefined ? [] : [{ role: 'system', content: system }];
  if (typeof input === 'string') return [...first, { role: 'user', content: input }];
  const items = list('input', input, 'a text or an array of items');
  if (items.length === 0 || items.length > limits.messages) {
    invalid('input', items, `from 1 to ${limits.messages} items`);
  }
  const messages: Message[] = first;
  items.forEach((item, i) => {
    const fields = object(`input[${i}]`, item);
    const name = `input[${i}].type`;
    const types = ['message', 'function_call', 'function_call_output', 'reasoning'];
    const type = oneOf(name, fields.type ?? 'message', types);
    if (type === 'message') messages.push({ role: fields.role, content: fields.content });
    if (type === 'function_call_output') {
      const { call_id, output } = fields;
      messages.push({ role: 'tool', tool_call_id: call_id, content: output });
    }
    if (type !== 'function_call') return;
    const call = {
      ...{ id: fields.call_id, type: 'function' },
      function: {
        name: string(`input[${i}].name`, fields.name),
        arguments: string(`input[${i}].arguments`, fields.arguments),
      },
    };
    const calls = messages.at(-1)?.tool_calls;
    if (calls) calls.push(call);
    else messages.push({ role: 'assistant', content: '', tool_calls: [call] });
  });
  return messages;
}

function formatOf(format: unknown): object {
  const { type, name, schema, strict, description } = object('text.format', format);
  if (oneOf('text.format.type', type, ['text', 'json_object', 'json_schema']) !== 'json_schema') {
    return { type };
  }
  return { type, json_schema: { name, schema, strict, description } };
}

function toolsOf(tools: unknown): object[] {
  return list('tools', tools, 'an array of tools').map((tool, i) => {
    const { type, name, description, parameters, strict } = object(`tools[${i}]`, tool);
    oneOf(`tools[${i}].type`, type, ['function']);
    return { type, function: { name, description, parameters, strict } };
  });
}

function choiceOf(choice: unknown): unknown {
  if (typeof choice !== 'object' || choice === null) return choice;
  const { type, name } = object('tool_choice', choice);
  return name === undefined ? choice : { type, function: { name } };
}

function logprobsOf(include: unknown, top: unknown): object {
  const wanted = list('include', include ?? [], 'an array').includes(
    'message.output_text.logprobs',
  );
  const more = top !== undefined && top !== null;
  return wanted || more ? { logprobs: true, ...(more && { top_logprobs: top }) } : {};
}

/** What an answer repeats of its request. */
export function echoOf(body: Body): object {
  const {
    instructions = null,
    max_output_tokens = null,
    temperature = 0,
    top_p = 1,
    tools = [],
    tool_choice = 'auto',
    parallel_tool_calls = true,
    metadata = {},
    reasoning,
    text,
    user = null,
  } = body;
  return {
    ...{ instructions, max_output_tokens, temperature, top_p, tools, tool_choice },
    ...{ parallel_tool_calls, metadata, user, store: false, background: false },
    ...{ previous_response_id: null, truncation: 'disabled' },
    reasoning: { effort: null, summary: null, ...(reasoning as object | undefined) },
    text: { format: { type: 'text' }, ...(text as object | undefined) },
  };
}
