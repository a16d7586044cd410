/** From a call of the AI SDK to the body that the server would get. */
import type {
  LanguageModelV3CallOptions,
  LanguageModelV3Prompt,
  SharedV3Warning,
} from '@ai-sdk/provider';
import { LacunaError } from '../errors.js';
import { canvasModes, effortNames, type Body } from '../server/request.js';
import { object, oneOf } from '../validate.js';

type Message = LanguageModelV3Prompt[number];
type Tools = NonNullable<LanguageModelV3CallOptions['tools']>;

/** @returns the body in OpenAI's terms, and what of the call means nothing here */
export function bodyOf(
  options: LanguageModelV3CallOptions & { reasoning?: string },
  stream: boolean,
): { body: Body; warnings: SharedV3Warning[] } {
  const warnings: SharedV3Warning[] = [];
  const unsupported = (feature: string, details?: string) =>
    warnings.push({ type: 'unsupported', feature, ...(details && { details }) });
  for (const feature of ['presencePenalty', 'frequencyPenalty'] as const) {
    if (options[feature] !== undefined) unsupported(feature);
  }
  const { maxOutputTokens, temperature, topP, topK, seed, stopSequences } = options;
  const body = {
    messages: options.prompt.flatMap((message, i) => messagesOf(message, i, unsupported)),
    ...{ stream, temperature, seed, top_p: topP, top_k: topK, max_tokens: maxOutputTokens },
    stop: stopSequences,
    reasoning_effort: effortOf(options.reasoning, unsupported),
    lacuna: canvasOf(options, stream),
    ...formatOf(options.responseFormat),
    ...toolsOf(options.tools ?? [], options.toolChoice, unsupported),
  };
  return { body: body, warnings };
}

type Unsupported = (feature: string, details?: string) => void;

function messagesOf(message: Message, i: number, unsupported: Unsupported): object[] {
  const { role } = message;
  if (role === 'system') return [{ role, content: message.content }];
  if (role === 'tool') return message.content.flatMap(resultOf);
  const texts: string[] = [];
  const calls: object[] = [];
  message.content.forEach((part, j) => {
    if (part.type === 'text') texts.push(part.text);
    else if (part.type === 'tool-call') calls.push(callOf(part));
    else if (part.type === 'reasoning') unsupported('reasoning', 'earlier reasoning is left out');
    else refuse(`prompt[${i}].content[${j}]`, part);
  });
  const content = texts.join('');
  return [{ role, content, ...(calls.length > 0 && { tool_calls: calls }) }];
}

function refuse(name: string, part: { type: string; mediaType?: string }): never {
  const kind = part.mediaType === undefined ? part.type : `${part.type} (${part.mediaType})`;
  throw new LacunaError('INVALID_ARGUMENT', `${name} is a ${kind}; this model reads text alone`);
}

type Part<T extends string> = Extract<
  Extract<Message, { role: 'assistant' | 'tool' }>['content'][number],
  { type: T }
>;

function callOf({ toolCallId, toolName, input }: Part<'tool-call'>): object {
  const text = typeof input === 'string' ? input : JSON.stringify(input);
  return { id: toolCallId, type: 'function', function: { name: toolName, arguments: text } };
}

function resultOf(part: Part<'tool-result' | 'tool-approval-response'>): object[] {
  if (part.type !== 'tool-result') return [];
  const { output, toolCallId } = part;
  const content =
    output.type === 'execution-denied'
      ? `denied${output.reason === undefined ? '' : `: ${output.reason}`}`
      : typeof output.value === 'string'
        ? output.value
        : JSON.stringify(output.value);
  return [{ role: 'tool', tool_call_id: toolCallId, content }];
}

/** Only ai 7 gives one; what it calls the provider's default is ours. */
function effortOf(reasoning: string | undefined, unsupported: Unsupported): string | undefined {
  if (reasoning === undefined || reasoning === 'provider-default') return undefined;
  if (effortNames.includes(reasoning)) return reasoning;
  unsupported('reasoning', `there is no preset for "${reasoning}"`);
  return undefined;
}

/** Nobody sees raw parts that were not asked for, so none are made. */
function canvasOf(options: LanguageModelV3CallOptions, stream: boolean): object {
  const given = object('providerOptions.lacuna', options.providerOptions?.lacuna);
  const wanted = oneOf('providerOptions.lacuna.canvas', given.canvas ?? 'delta', canvasModes);
  return { ...given, canvas: stream && options.includeRawChunks ? wanted : 'off' };
}

function formatOf(format: LanguageModelV3CallOptions['responseFormat']): object {
  if (format?.type !== 'json') return {};
  const { schema, name = 'answer', description } = format;
  if (schema === undefined) return { response_format: { type: 'json_object' } };
  const json_schema = { name, description, schema, strict: true };
  return { response_format: { type: 'json_schema', json_schema } };
}

function toolsOf(
  tools: Tools,
  choice: LanguageModelV3CallOptions['toolChoice'],
  unsupported: Unsupported,
): object {
  const usable = tools.flatMap((tool) => {
    if (tool.type !== 'function') {
      unsupported(`tool ${tool.id}`, 'a tool that a provider runs');
      return [];
    }
    const { name, description, inputSchema: parameters } = tool;
    return [{ type: 'function', function: { name, description, parameters } }];
  });
  if (usable.length === 0) return {};
  const tool_choice =
    choice?.type === 'tool'
      ? { type: 'function', function: { name: choice.toolName } }
      : choice?.type;
  return { tools: usable, ...(tool_choice && { tool_choice }) };
}

const features: Record<string, string> = {
  stop: 'stopSequences',
  top_p: 'topP',
  top_k: 'topK',
};

/** A field of the body by its name in a call. */
export function featureOf(field: string): string {
  return features[field] ?? field;
}
