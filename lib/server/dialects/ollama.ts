/** What Ollama's clients need to talk to the one model that is served; nothing of managing models. */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { boolean, integer, invalid, list, number, object, string } from '../../validate.js';
import { chatCompletions, completions } from '../completions.js';
import type { Context } from '../context.js';
import type { Engine } from '../engine.js';
import { lines } from '../events.js';
import { optional, type Body } from '../request.js';
import type { Choice, Chunk, Timings, Wire } from '../wire.js';
import { named, reply, through, without } from './through.js';

/** Its protocol as of this version. */
const version = '0.12.0';

const names = {
  max_tokens: 'options.num_predict',
  temperature: 'options.temperature',
  top_p: 'options.top_p',
  top_k: 'options.top_k',
  seed: 'options.seed',
  stop: 'options.stop',
  response_format: 'format',
};

export async function chat(body: Body, context: Context): Promise<Response> {
  const messages = list('messages', body.messages ?? [], 'an array of messages').map(messageOf);
  const say = (message: object) => ({ message: { role: 'assistant', content: '', ...message } });
  if (messages.length === 0) return loaded(context, say({}));
  context.wire = wireOf(context, say);
  return through(chatCompletions, { ...requestOf(body), messages }, context, names);
}

export async function generate(body: Body, context: Context): Promise<Response> {
  const { images } = body;
  if (images !== undefined && !isDeepStrictEqual(images, [])) {
    invalid('images', images, 'left out: this model reads text');
  }
  const prompt = optional('prompt', body.prompt, string) ?? '';
  const suffix = optional('suffix', body.suffix, string) ?? '';
  const system = optional('system', body.system, string) ?? '';
  const raw = optional('raw', body.raw, boolean) ?? false;
  const say = ({ content = '' }: Said) => ({ response: content });
  if (prompt === '' && suffix === '') return loaded(context, { response: '' });
  context.wire = wireOf(context, say);
  const request = without(requestOf(body), ['prompt', 'suffix', 'system', 'raw', 'images']);
  if (raw || suffix !== '') {
    const text = { ...request, prompt, ...(suffix !== '' && { suffix }) };
    return through(completions, text, context, names);
  }
  const messages = [
    ...(system === '' ? [] : [{ role: 'system', content: system }]),
    { role: 'user', content: prompt },
  ];
  return through(chatCompletions, { ...request, messages }, context, {
    ...names,
    messages: 'prompt',
  });
}

function messageOf(message: unknown, i: number): object {
  const fields = object(`messages[${i}]`, message);
  const { role, content, images, tool_calls, tool_name, tool_call_id } = fields;
  if (images !== undefined && !isDeepStrictEqual(images, [])) {
    invalid(`messages[${i}].images`, images, 'left out: this model reads text');
  }
  const calls = list(`messages[${i}].tool_calls`, tool_calls ?? [], 'an array of calls').map(
    (call, j) => {
      const { id, function: f } = object(`messages[${i}].tool_calls[${j}]`, call);
      const { name, arguments: given } = object(`messages[${i}].tool_calls[${j}].function`, f);
      const json = typeof given === 'string' ? given : JSON.stringify(given ?? {});
      return { id: id ?? `call_${i}_${j}`, type: 'function', function: { name, arguments: json } };
    },
  );
  return {
    ...{ role, content },
    ...(calls.length > 0 && { tool_calls: calls }),
    ...(role === 'tool' && { tool_call_id: tool_call_id ?? tool_name ?? '' }),
  };
}

/** What chats and texts have in common. Streams unless told otherwise. */
function requestOf(body: Body): Body {
  const options = object('options', body.options ?? undefined);
  const { num_predict, temperature, top_p, top_k, seed, stop, ...others } = options;
  const length = optional('options.num_predict', num_predict, integerOf);
  const { format } = body;
  return {
    ...without(body, ['options', 'format']),
    ...named('options', others),
    ...{ seed: seedOf(seed), temperature, top_p, stop },
    stream: optional('stream', body.stream, boolean) ?? true,
    // Theirs: 0 is all of them; below 0 there is no limit.
    ...(top_k !== 0 && { top_k }),
    ...(length !== undefined && length > 0 && { max_tokens: length }),
    ...(format !== undefined && format !== null && format !== '' && formatOf(format)),
  };
}

function integerOf(name: string, value: unknown): number {
  return integer(name, value, { min: -2 });
}

/** Below 0: any. */
function seedOf(seed: unknown): number | undefined {
  const given = optional('options.seed', seed, (name, value) => number(name, value));
  return given === undefined || given < 0 ? undefined : given;
}

function formatOf(format: unknown): object {
  if (format === 'json') return { response_format: { type: 'json_object' } };
  if (typeof format !== 'object') return invalid('format', format, "'json' or a schema");
  const json_schema = { name: 'format', schema: format, strict: true };
  return { response_format: { type: 'json_schema', json_schema } };
}

interface Said {
  content?: string;
  tool_calls?: object[];
}

/** @param say the text and the calls of an answer in the endpoint's own field */
function wireOf({ start, engine }: Context, say: (said: Said) => object): Wire {
  const about = () => ({ model: engine.id, created_at: new Date().toISOString() });
  const last = ({ finish_reason }: Choice, timings: Timings | undefined) => ({
    ...{ done: true, done_reason: finish_reason === 'length' ? 'length' : 'stop' },
    ...durationsOf(start, timings),
  });
  return {
    framing: lines,
    whole: ({ choices: [choice], timings, lacuna }) => {
      const said = saidOf(choice.message ?? { content: choice.text });
      return { ...about(), ...say(said), ...last(choice, timings), lacuna };
    },
    events: () => (event) => {
      if (event === '[DONE]') return [];
      if (event.error !== undefined) return [{ error: event.error.message }];
      return event.choices.flatMap((choice) => {
        const said = saidOf(choice.delta ?? { content: choice.text });
        const { lacuna, timings } = event;
        const line = (more: object) => ({ ...about(), ...say(said), ...more });
        if (choice.finish_reason !== null) return [line(last(choice, timings))];
        const tells = said.content !== '' || said.tool_calls || lacuna;
        return tells ? [line({ done: false, ...(lacuna && { lacuna }) })] : [];
      });
    },
  };
}

function saidOf({ content, tool_calls = [] }: NonNullable<Choice['delta']>): Said {
  const calls = tool_calls.map(({ id, function: { name, arguments: json } }) => ({
    id,
    function: { name, arguments: JSON.parse(json) as unknown },
  }));
  return { content: content ?? '', ...(calls.length > 0 && { tool_calls: calls }) };
}

/** In nanoseconds. */
function durationsOf(start: number, timings: Timings | undefined): object {
  const ns = (milliseconds: number) => Math.round(milliseconds * 1e6);
  return {
    total_duration: ns(performance.now() - start),
    load_duration: 0,
    prompt_eval_count: timings?.prompt_n ?? 0,
    prompt_eval_duration: ns(timings?.prompt_ms ?? 0),
    eval_count: timings?.predicted_n ?? 0,
    eval_duration: ns(timings?.predicted_ms ?? 0),
  };
}

/** A request without a prompt loads the model; this one is there. */
function loaded(context: Context, said: object): Response {
  const about = { model: context.engine.id, created_at: new Date().toISOString() };
  return reply(context, { ...about, ...said, done: true, done_reason: 'load' });
}

/** `/api/show` */
export function show(body: Body, context: Context): Promise<Response> {
  optional('model', body.model ?? body.name, string);
  const { engine } = context;
  const { info, tokenizer } = engine.model;
  const { architecture: kind } = info;
  return Promise.resolve(
    reply(context, {
      modelfile: '',
      parameters: '',
      template: engine.defaults.chat?.template ?? tokenizer.chatTemplate ?? '',
      details: detailsOf(engine),
      model_info: {
        'general.architecture': kind,
        'general.basename': info.name,
        'general.parameter_count': info.parameters,
        [`${kind}.block_count`]: info.layers,
        [`${kind}.context_length`]: info.context,
        [`${kind}.embedding_length`]: info.dim,
        [`${kind}.attention.head_count`]: info.heads,
        [`${kind}.attention.head_count_kv`]: info.kvHeads,
      },
      capabilities: ['completion', 'insert', 'tools'],
      modified_at: modifiedAt(engine),
    }),
  );
}

/** What `GET` finds by path. */
export const gets: Record<string, (engine: Engine) => object> = {
  '/api/version': () => ({ version }),
  '/api/tags': (engine) => ({ models: [cardOf(engine)] }),
  '/api/ps': (engine) => {
    const { modified_at: _, ...card } = cardOf(engine);
    const { weightBytes, device } = engine.model.info;
    const size_vram = device === 'cuda' ? weightBytes : 0;
    // It stays as long as the server does.
    return { models: [{ ...card, size_vram, expires_at: '9999-12-31T23:59:59Z' }] };
  },
};

function cardOf(engine: Engine) {
  const { id, model } = engine;
  const { file, name, parameters } = model.info;
  const digest = createHash('sha256').update([id, name, parameters, file.bytes].join('|'));
  const about = { name: id, model: id, modified_at: modifiedAt(engine), size: file.bytes };
  return { ...about, digest: digest.digest('hex'), details: detailsOf(engine) };
}

function detailsOf({ model: { info } }: Engine): object {
  const { architecture: family, parameters, file } = info;
  const size = parameters >= 1e9 ? [1e9, 'B'] : [1e6, 'M'];
  const [, quantization_level = 'unknown'] =
    /[.-]((?:I?Q\d\w*|TQ\d\w*|MXFP4|B?F16|F32))(?:[.-]|$)/i.exec(
      file.path.replace(/\.gguf$/i, ''),
    ) ?? [];
  return {
    ...{ parent_model: '', format: 'gguf', family, families: [family] },
    parameter_size: `${(parameters / (size[0] as number)).toFixed(1)}${size[1]}`,
    quantization_level,
  };
}

function modifiedAt({ created }: Engine): string {
  return new Date(created * 1000).toISOString();
}

/** An error as its clients read it. */
export function errorOf({ message }: Chunk['error'] & object): object {
  return { error: message };
}
