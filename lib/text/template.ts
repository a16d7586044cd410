/** Chat messages to text or tokens, by the Jinja template of the model. */
import { Template } from '@huggingface/jinja';
import { LacunaError } from '../errors.js';
import { boolean, invalid, knownKeys, list, object, oneOf, string } from '../validate.js';
import { chatFormats, plainTemplate, type ChatFormat } from './formats.js';
import { renderApart, type RenderLimits } from './render-apart.js';
import type { Tokenizer } from './tokenizer.js';

/** Known to be short and harmless. */
const ownTemplates = new Set([plainTemplate, ...chatFormats.map(({ template }) => template)]);

const roles = ['system', 'user', 'assistant', 'tool'] as const;

export interface ChatMessage {
  role: (typeof roles)[number];
  content: string;
  /** Of the assistant: functions that it called. Templates see them as `tool_calls`. */
  toolCalls?: readonly ToolCallMessage[];
  /** Of a tool: the call that it answers. */
  toolCallId?: string;
}

export interface ToolCallMessage {
  id: string;
  name: string;
  /** Plain data. */
  arguments: unknown;
}

export interface ChatOptions {
  /** Jinja source. Default: that of the file (`chatTokens`), else that of the architecture. */
  template?: string;
  /** `general.architecture` of the file. */
  architecture: string;
  /** End with the header of an answer by the assistant. Default true. */
  addGenerationPrompt?: boolean;
  /** More variables for the template, as plain data: `{ enable_thinking: false }`. */
  extra?: Record<string, unknown>;
}

export interface RenderChatOptions extends ChatOptions {
  /** Text of the begin-of-text token. Default `''`. */
  bosToken?: string;
  /** Text of the end-of-text token. Default `''`. */
  eosToken?: string;
}

const chatOptionNames = ['template', 'architecture', 'addGenerationPrompt', 'extra'];

/**
 * The conversation as text, special tokens written out. For display; to encode, use `chatTokens`,
 * which can tell the template's special tokens from the same characters in a message.
 *
 * Errors: `BAD_TEMPLATE` for a template that does not parse or refuses the messages, and where
 * there is none; `INVALID_ARGUMENT` for malformed messages.
 */
export function renderChat(messages: readonly ChatMessage[], options: RenderChatOptions): string {
  knownKeys('chat options', options, [...chatOptionNames, 'bosToken', 'eosToken']);
  const source = options.template ?? formatOf(options.architecture).template;
  return render(source, {
    ...variables(messages, options),
    bos_token: string('bosToken', options.bosToken ?? ''),
    eos_token: string('eosToken', options.eosToken ?? ''),
  });
}

/**
 * The conversation as token ids: those of `renderChat` encoded with `special: true`, except that
 * control tokens come from the template alone; `<|eot_id|>` in a message stays text. Where the
 * tokenizer asks for a begin-of-text token there is exactly one in front.
 *
 * How: before rendering, the control tokens in the template's source are exchanged for private-use
 * characters that the messages do not have. Messages go in as they are, so the template may trim,
 * split and test them. The text between two control tokens is then encoded in one run, across the
 * seams between template and message: as it was when the model was trained.
 *
 * Errors: those of `renderChat`; `BAD_TEMPLATE` also if the vocabulary lacks the tokens of the
 * architecture's chat format, and if the template assembles a control token from pieces.
 */
export function chatTokens(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: ChatOptions,
): Int32Array {
  const { source, values, tokens } = conversation(tokenizer, messages, options);
  return tokens(render(source, values));
}

/**
 * `chatTokens` for a program that answers others at the same time: a template that is not one of the
 * library's own runs in a thread, within limits (`BAD_TEMPLATE` beyond them).
 * @param check sees the text before it is encoded; what it throws ends it
 */
export async function chatTokensApart(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: ChatOptions,
  limits: RenderLimits,
  check: (text: string) => Promise<void>,
): Promise<Int32Array> {
  const { own, source, values, tokens } = conversation(tokenizer, messages, options);
  const text = own ? render(source, values) : await renderApart({ source, values }, limits);
  await check(text);
  return tokens(text);
}

/** What the template is given, and what becomes of its text. */
function conversation(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: ChatOptions,
) {
  knownKeys('chat options', options, chatOptionNames);
  const values = variables(messages, options);
  const source = string(
    'template',
    options.template ??
      tokenizer.chatTemplate ??
      formatFor(tokenizer, options.architecture).template,
  );
  const bosToken = tokenizer.bos === undefined ? '' : tokenizer.token(tokenizer.bos);
  const eosToken = tokenizer.eos === undefined ? '' : tokenizer.token(tokenizer.eos);

  const inputs = strings(values);
  const marks = controlTokenMarks(tokenizer, [source, ...inputs]);
  const tokens = (text: string): Int32Array => {
    refuseAssembled(tokenizer, text, inputs);
    const ids: number[] = [];
    for (const part of marks.take(text)) {
      if (typeof part === 'number') ids.push(part);
      else for (const id of tokenizer.encode(part, { bos: false })) ids.push(id);
    }
    if (tokenizer.addBos && ids[0] !== tokenizer.bos) ids.unshift(tokenizer.bos!);
    return Int32Array.from(ids);
  };
  return {
    own: ownTemplates.has(source),
    source: marks.put(source),
    values: { ...values, bos_token: marks.put(bosToken), eos_token: marks.put(eosToken) },
    tokens,
  };
}

function formatOf(architecture: string): ChatFormat {
  const format = chatFormats.find(({ architectures }) => architectures.includes(architecture));
  if (format !== undefined) return format;
  throw new LacunaError(
    'BAD_TEMPLATE',
    `no chat template: the file has none and architecture "${architecture}" has no format of its ` +
      'own; set the option chatTemplate to a Jinja template, or give the prompt as a string',
  );
}

function formatFor(tokenizer: Tokenizer, architecture: string): ChatFormat {
  const format = formatOf(architecture);
  const missing = format.needs.find((text) => tokenizer.id(text) === undefined);
  if (missing === undefined) return format;
  throw new LacunaError(
    'BAD_TEMPLATE',
    `no chat template: the file has none, and its vocabulary lacks ${missing} of the format of ` +
      `architecture "${architecture}", as that of a base model does; give the prompt as a string, ` +
      'or set the option chatTemplate to a Jinja template',
  );
}

function variables(messages: readonly ChatMessage[], options: ChatOptions) {
  if (!Array.isArray(messages) || messages.length === 0) {
    invalid('messages', messages, 'a non-empty array of { role, content }');
  }
  return {
    ...object('extra', options.extra),
    messages: (messages as readonly unknown[]).map((message, i) => {
      knownKeys(`messages[${i}]`, message, ['role', 'content', 'toolCalls', 'toolCallId']);
      const { role, content, toolCalls, toolCallId } = object(`messages[${i}]`, message);
      return {
        role: oneOf(`messages[${i}].role`, role, roles),
        content: string(`messages[${i}].content`, content),
        ...(toolCalls !== undefined && {
          tool_calls: callsOf(`messages[${i}].toolCalls`, toolCalls),
        }),
        ...(toolCallId !== undefined && {
          tool_call_id: string(`messages[${i}].toolCallId`, toolCallId),
        }),
      };
    }),
    add_generation_prompt: boolean('addGenerationPrompt', options.addGenerationPrompt ?? true),
  };
}

/** As templates of Hugging Face read them. */
function callsOf(name: string, calls: unknown): object[] {
  return list(name, calls).map((call, i) => {
    const { id, name: called, arguments: given } = object(`${name}[${i}]`, call);
    const held = { name: string(`${name}[${i}].name`, called), arguments: given };
    return { id: string(`${name}[${i}].id`, id), type: 'function', function: held };
  });
}

function render(source: string, values: Record<string, unknown>): string {
  try {
    return new Template(source).render(values);
  } catch (cause) {
    if (LacunaError.isInstance(cause)) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new LacunaError('BAD_TEMPLATE', `the chat template failed: ${reason}`, { cause });
  }
}

/** Every string inside plain data, keys too. */
function strings(value: unknown, seen = new Set<unknown>()): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null || seen.has(value)) return [];
  seen.add(value);
  return Object.entries(value).flatMap(([key, item]) => [key, ...strings(item, seen)]);
}

/** Exchanges control tokens for private-use characters that occur in none of `texts`. */
function controlTokenMarks(tokenizer: Tokenizer, texts: readonly string[]) {
  const [firstCode, lastCode] = [0xe000, 0xf8ff]; // the private use area of Unicode's plane 0
  const charOf = new Map<number, string>();
  const idOf = new Map<string, number>();
  let code = firstCode - 1;

  const charFor = (id: number): string => {
    let char = charOf.get(id);
    if (char !== undefined) return char;
    do char = String.fromCharCode(++code);
    while (texts.some((text) => text.includes(char!)));
    if (code > lastCode) {
      throw new LacunaError('INVALID_ARGUMENT', 'messages use up the private-use characters');
    }
    charOf.set(id, char);
    idOf.set(char, id);
    return char;
  };

  return {
    put: (text: string): string =>
      tokenizer
        .splitAtControlTokens(text)
        .map((part) => (typeof part === 'number' ? charFor(part) : part))
        .join(''),
    take: (text: string): (string | number)[] => {
      const parts: (string | number)[] = [];
      let plain = '';
      for (const char of text) {
        const id = idOf.get(char);
        if (id === undefined) {
          plain += char;
        } else {
          parts.push(plain, id);
          plain = '';
        }
      }
      return [...parts, plain];
    },
  };
}

/**
 * A template that writes `'<|' + role + '|>'` makes a control token that has no mark. Encoded as
 * text it would quietly spoil the prompt, so it is an error.
 */
function refuseAssembled(tokenizer: Tokenizer, text: string, inputs: readonly string[]): void {
  for (const id of new Set(tokenizer.splitAtControlTokens(text))) {
    if (typeof id !== 'number') continue;
    const token = tokenizer.token(id);
    if (inputs.some((input) => input.includes(token))) continue;
    throw new LacunaError(
      'BAD_TEMPLATE',
      `the chat template assembles the special token ${token} from pieces, so that it cannot be ` +
        'told from text in a message; set the option chatTemplate to one that writes it out',
    );
  }
}
