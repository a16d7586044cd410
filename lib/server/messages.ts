/** OpenAI's messages in the library's terms. */
import type { ChatMessage, ToolCallMessage } from '../text/template.js';
import { invalid, list, object, oneOf, string } from '../validate.js';
import type { Limits } from './limits.js';

const roleOf: Record<string, ChatMessage['role']> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  assistant: 'assistant',
  tool: 'tool',
};

/** OpenAI's messages: strings, or lists of text parts. */
export function messagesOf(value: unknown, limits: Limits): ChatMessage[] {
  const messages = list('messages', value, 'an array of messages');
  if (messages.length === 0 || messages.length > limits.messages) {
    invalid('messages', messages, `from 1 to ${limits.messages} messages`);
  }
  return messages.map((message, i) => {
    const { role, content, tool_calls, tool_call_id } = object(`messages[${i}]`, message);
    const name = oneOf(`messages[${i}].role`, role, Object.keys(roleOf));
    const calls = tool_calls ?? undefined;
    const id = tool_call_id ?? undefined;
    return {
      role: roleOf[name],
      content: contentOf(`messages[${i}].content`, content),
      ...(calls !== undefined && { toolCalls: callsOf(`messages[${i}].tool_calls`, calls) }),
      ...(id !== undefined && { toolCallId: string(`messages[${i}].tool_call_id`, id) }),
    };
  });
}

function callsOf(name: string, value: unknown): ToolCallMessage[] {
  return list(name, value, 'an array of calls').map((call, i) => {
    const { id, function: called } = object(`${name}[${i}]`, call);
    const { name: of, arguments: text } = object(`${name}[${i}].function`, called ?? null);
    const where = `${name}[${i}].function.arguments`;
    const given = string(where, text);
    return {
      id: string(`${name}[${i}].id`, id),
      name: string(`${name}[${i}].function.name`, of),
      arguments: given.trim() === '' ? {} : parsed(where, given),
    };
  });
}

function parsed(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return invalid(name, text, 'JSON');
  }
}

/** A text, or a list of text parts. */
export function contentOf(name: string, content: unknown): string {
  if (typeof content === 'string') return content;
  if (content === null || content === undefined) return '';
  const parts = list(name, content, 'a string or an array of text parts');
  return parts
    .map((part, i) => {
      const { type, text } = object(`${name}[${i}]`, part);
      oneOf(`${name}[${i}].type`, type, ['text', 'input_text', 'output_text']);
      return string(`${name}[${i}].text`, text);
    })
    .join('');
}
