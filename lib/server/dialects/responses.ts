/** `/v1/responses`, without memory: every request brings all of its conversation. */
import { chatCompletions } from '../completions.js';
import type { Context } from '../context.js';
import { namedSse } from '../events.js';
import type { Body } from '../request.js';
import type { Call, Choice, Chunk, Event, Usage, Wire } from '../wire.js';
import { chatBodyOf, echoOf } from './responses-request.js';
import { through } from './through.js';

export async function responses(body: Body, context: Context): Promise<Response> {
  const chat = chatBodyOf(body, context.limits);
  context.wire = wireOf(body, context.id);
  return through(chatCompletions, chat, context, {
    messages: 'input',
    max_tokens: 'max_output_tokens',
    response_format: 'text.format',
    reasoning_effort: 'reasoning.effort',
  });
}

interface TextPart {
  type: 'output_text';
  text: string;
  annotations: never[];
  logprobs: object[];
}
interface MessageItem {
  type: 'message';
  id: string;
  status: string;
  role: 'assistant';
  content: TextPart[];
}
interface CallItem {
  type: 'function_call';
  id: string;
  status: string;
  call_id: string;
  name: string;
  arguments: string;
}
type Item = MessageItem | CallItem;

function wireOf(body: Body, id: string): Wire {
  const envelope = (
    { created, model }: Chunk,
    status: string,
    output: readonly Item[],
    more: object = {},
  ) => ({
    ...{ id: `resp_${id}`, object: 'response', created_at: created, status },
    ...{ error: null, incomplete_details: null, ...echoOf(body), model, output: [...output] },
    ...{ usage: null, ...more },
  });
  return {
    framing: namedSse,
    whole: (answer) => {
      const [choice] = answer.choices;
      const items = itemsOf(choice, id);
      const { timings, lacuna } = answer;
      const more = { ...endOf(choice, answer.usage), timings, lacuna };
      return envelope(answer, statusOf(choice), items, more);
    },
    events: () => new Events(id, envelope).of,
  };
}

function statusOf({ finish_reason }: Choice): string {
  return finish_reason === 'length' ? 'incomplete' : 'completed';
}

function endOf({ finish_reason }: Choice, usage: Usage | undefined): object {
  return {
    ...(finish_reason === 'length' && { incomplete_details: { reason: 'max_output_tokens' } }),
    ...(usage && {
      usage: {
        input_tokens: usage.prompt_tokens,
        input_tokens_details: { cached_tokens: 0, ...usage.prompt_tokens_details },
        output_tokens: usage.completion_tokens,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: usage.total_tokens,
      },
    }),
  };
}

function itemsOf({ message, logprobs }: Choice, id: string): Item[] {
  const calls = (message?.tool_calls ?? []).map((call, i) => callItem(call, i, id, 'completed'));
  const text = message?.content ?? '';
  if (text === '' && calls.length > 0) return calls;
  const part = { ...textPart(text), logprobs: logprobs?.content ?? [] };
  return [messageItem(id, 'completed', [part]), ...calls];
}

function messageItem(id: string, status: string, content: TextPart[]): MessageItem {
  return { type: 'message', id: `msg_${id}`, status, role: 'assistant', content };
}

function textPart(text: string): TextPart {
  return { type: 'output_text', text, annotations: [], logprobs: [] };
}

function callItem(call: Call, index: number, id: string, status: string): CallItem {
  const { name, arguments: json } = call.function;
  const facts = { type: 'function_call', id: `fc_${id}_${index}` } as const;
  return { ...facts, status, call_id: call.id, name, arguments: json };
}

type Envelope = (chunk: Chunk, status: string, output: readonly Item[], more?: object) => object;

/** The events of one stream. */
class Events {
  readonly #id: string;
  readonly #envelope: Envelope;
  readonly #items: Item[] = [];
  #number = 0;
  #chunk: Chunk | undefined; // the last one
  #usage: Usage | undefined;
  #finish: Choice | undefined;
  /** Of the message, while it is open. */
  #text: { at: number; part: TextPart } | undefined;

  constructor(id: string, envelope: Envelope) {
    this.#id = id;
    this.#envelope = envelope;
  }

  readonly of = (event: Event): object[] => {
    if (event === '[DONE]') return this.#end();
    if (event.error !== undefined) return this.#failed(event.error);
    const begin = this.#chunk === undefined ? this.#begin(event) : [];
    this.#chunk = event;
    this.#usage ??= event.usage;
    const [choice] = event.choices;
    return choice === undefined ? begin : [...begin, ...this.#choice(choice, event.lacuna)];
  };

  #event(type: string, fields: object): object {
    return { type: `response.${type}`, sequence_number: this.#number++, ...fields };
  }

  #begin(chunk: Chunk): object[] {
    const response = this.#envelope(chunk, 'in_progress', []);
    return [this.#event('created', { response }), this.#event('in_progress', { response })];
  }

  #choice(choice: Choice, lacuna: object | undefined): object[] {
    const { delta, finish_reason, logprobs } = choice;
    const { content, tool_calls = [] } = delta ?? {};
    const more = { logprobs: logprobs?.content ?? [], ...(lacuna && { lacuna }) };
    const says = Boolean(content) || lacuna !== undefined || more.logprobs.length > 0;
    const events = says ? this.#write(content ?? '', more) : [];
    for (const call of tool_calls) events.push(...this.#closeText(), ...this.#call(call));
    if (finish_reason !== null) {
      this.#finish = choice;
      events.push(...this.#closeText());
    }
    return events;
  }

  #write(delta: string, more: { logprobs: object[] }): object[] {
    const opened = this.#text === undefined ? this.#openText() : [];
    const { at, part } = this.#text!;
    part.text += delta;
    part.logprobs.push(...more.logprobs);
    const place = { item_id: this.#items[at].id, output_index: at, content_index: 0 };
    return [...opened, this.#event('output_text.delta', { ...place, delta, ...more })];
  }

  #openText(): object[] {
    const at = this.#items.length;
    const id = at === 0 ? this.#id : `${this.#id}_${at}`;
    const item = messageItem(id, 'in_progress', []);
    this.#items.push(item);
    this.#text = { at, part: textPart('') };
    const place = { item_id: item.id, output_index: at, content_index: 0 };
    return [
      this.#event('output_item.added', { output_index: at, item }),
      this.#event('content_part.added', { ...place, part: textPart('') }),
    ];
  }

  #closeText(): object[] {
    if (this.#text === undefined) return [];
    const { at, part } = this.#text;
    this.#text = undefined;
    const { id } = this.#items[at];
    const item: Item = {
      ...(this.#items[at] as MessageItem),
      status: 'completed',
      content: [part],
    };
    this.#items[at] = item;
    const place = { item_id: id, output_index: at, content_index: 0 };
    const { text, logprobs } = part;
    return [
      this.#event('output_text.done', { ...place, text, logprobs }),
      this.#event('content_part.done', { ...place, part }),
      this.#event('output_item.done', { output_index: at, item }),
    ];
  }

  #call(call: Call): object[] {
    const at = this.#items.length;
    const item = callItem(call, at, this.#id, 'completed');
    this.#items.push(item);
    const place = { item_id: item.id, output_index: at };
    const { arguments: json, name } = item;
    const begun = { ...item, status: 'in_progress', arguments: '' };
    return [
      this.#event('output_item.added', { output_index: at, item: begun }),
      this.#event('function_call_arguments.delta', { ...place, delta: json }),
      this.#event('function_call_arguments.done', { ...place, name, arguments: json }),
      this.#event('output_item.done', { output_index: at, item }),
    ];
  }

  #end(): object[] {
    const finish = this.#finish!;
    // An answer without a word is a message, too.
    const empty = this.#items.length === 0 ? [...this.#write('', { logprobs: [] })] : [];
    empty.push(...this.#closeText());
    const status = statusOf(finish);
    const { timings } = this.#chunk!;
    const more = { ...endOf(finish, this.#usage), timings };
    const response = this.#envelope(this.#chunk!, status, this.#items, more);
    return [...empty, this.#event(status, { response })];
  }

  /** Twice, as some clients act on the one and some on the other. */
  #failed(error: NonNullable<Chunk['error']>): object[] {
    const { code, message, param } = error;
    const chunk = this.#chunk;
    const failed = { error: { code: code ?? 'server_error', message } };
    const response = chunk && this.#envelope(chunk, 'failed', this.#items, failed);
    return [
      ...(response ? [this.#event('failed', { response })] : []),
      { type: 'error', sequence_number: this.#number++, code, message, param, error },
    ];
  }
}
