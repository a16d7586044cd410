/** Endpoints under llama-server's names. */
import { boolean, integer, invalid, list, object, string, tokenIds } from '../../validate.js';
import { completions, promptOf } from '../completions.js';
import type { Context } from '../context.js';
import type { Engine } from '../engine.js';
import { sse } from '../events.js';
import { refuseLongText } from '../long-text.js';
import { messagesOf } from '../messages.js';
import { optional, type Body } from '../request.js';
import type { Choice, Chunk, Timings, Wire } from '../wire.js';
import { fit } from './infill-context.js';
import { toolsOf } from '../tools.js';
import { reply, through, without } from './through.js';

const own = [
  ...['input_prefix', 'input_suffix', 'input_extra', 'prompt', 'n_predict', 't_max_predict_ms'],
  'response_fields',
];

/** `/infill`: what stands between `input_prefix` with `prompt`, and `input_suffix`. */
export async function infill(body: Body, context: Context): Promise<Response> {
  const text = (name: string) => optional(name, body[name], string) ?? '';
  const wholeNumber = (name: string) =>
    optional(name, body[name], (_, value) => integer(name, value, { min: -1 }));
  const prefix = text('input_prefix') + text('prompt');
  const length = wholeNumber('n_predict') ?? -1;
  const due = wholeNumber('t_max_predict_ms') ?? -1;
  const fields = fieldsOf(body.response_fields);
  // Editors send it to have their files in the cache; there is none that would be of use.
  if (length === 0) return reply(context, chosen(nothing(context.engine), fields));
  const max_tokens = length < 0 ? undefined : length;
  const gap = await fit(
    context,
    max_tokens ?? 256,
    extraOf(body.input_extra),
    prefix,
    text('input_suffix'),
  );
  if (due > 0) context.commitAfter(due);
  context.wire = wireOf(context, fields, body, gap.truncated);
  const request = { ...without(body, own), prompt: [...gap.prompt], max_tokens };
  const filling = gap.suffix === '' ? request : { ...request, suffix: gap.suffix };
  return through(completions, filling, context, {
    max_tokens: 'n_predict',
    prompt: 'input_prefix',
    suffix: 'input_suffix',
  });
}

function extraOf(extra: unknown): { filename: string; text: string }[] {
  return list('input_extra', extra ?? [], 'an array of texts').map((chunk, i) => {
    const { filename, text } = object(`input_extra[${i}]`, chunk);
    return {
      filename: optional(`input_extra[${i}].filename`, filename, string) ?? '',
      text: string(`input_extra[${i}].text`, text),
    };
  });
}

function fieldsOf(fields: unknown): string[] | undefined {
  if (fields === undefined || fields === null) return undefined;
  return list('response_fields', fields, 'an array of names').map((field, i) =>
    string(`response_fields[${i}]`, field),
  );
}

function wireOf(
  { engine }: Context,
  fields: string[] | undefined,
  { seed, temperature, n_predict }: Body,
  truncated: boolean,
): Wire {
  const settings = { n_ctx: contextOf(engine), seed, temperature, n_predict };
  const last = (chunk: Chunk, { index, finish_reason }: Choice, content: string) => {
    const timings = timingsOf(chunk.timings);
    const full = {
      ...{ index, content, model: engine.id, stop: true, truncated },
      stop_type: finish_reason === 'length' ? 'limit' : 'eos',
      ...{ tokens_predicted: timings.predicted_n, tokens_evaluated: timings.prompt_n },
      ...{ tokens_cached: 0, generation_settings: settings, timings },
      ...(chunk.lacuna && { lacuna: chunk.lacuna }),
    };
    return chosen(full, fields);
  };
  return {
    framing: sse,
    whole: (answer) => last(answer, answer.choices[0], answer.choices[0].text ?? ''),
    events: () => (event) => {
      if (event === '[DONE]') return [];
      if (event.error !== undefined) return [{ error: event.error }];
      return event.choices.map((choice) => {
        const { index, text: content = '', finish_reason } = choice;
        if (finish_reason !== null) return last(event, choice, content);
        return { index, content, stop: false, ...(event.lacuna && { lacuna: event.lacuna }) };
      });
    },
  };
}

/** The fields that are asked for, by their path: `'timings/prompt_ms'` is a key. */
function chosen(answer: object, fields: string[] | undefined): object {
  if (fields === undefined || fields.length === 0) return answer;
  const valueAt = (path: string) =>
    path.split('/').reduce<unknown>((at, key) => {
      const inside = typeof at === 'object' && at !== null && Object.hasOwn(at, key);
      return inside ? (at as Record<string, unknown>)[key] : undefined;
    }, answer);
  const entries = fields.map((path) => [path, valueAt(path)] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

const noTime = { prompt_n: 0, prompt_ms: 0, predicted_n: 0, predicted_ms: 0 };

function timingsOf(given: Omit<Timings, 'predicted_per_second'> = noTime) {
  const { prompt_n, prompt_ms, predicted_n, predicted_ms } = given;
  const ratio = (a: number, b: number) => (b > 0 ? a / b : 0);
  return {
    ...{ cache_n: 0, prompt_n, prompt_ms },
    prompt_per_token_ms: ratio(prompt_ms, prompt_n),
    prompt_per_second: ratio(1000 * prompt_n, prompt_ms),
    ...{ predicted_n, predicted_ms },
    predicted_per_token_ms: ratio(predicted_ms, predicted_n),
    predicted_per_second: ratio(1000 * predicted_n, predicted_ms),
  };
}

function nothing(engine: Engine): object {
  return {
    ...{ index: 0, content: '', model: engine.id, stop: true, stop_type: 'limit' },
    ...{ truncated: false, tokens_predicted: 0, tokens_evaluated: 0, tokens_cached: 0 },
    timings: timingsOf(),
  };
}

function contextOf({ model }: Engine): number {
  return model.info.context;
}

/** `/tokenize`: `{ content, add_special, parse_special, with_pieces }` */
export async function tokenize(body: Body, context: Context): Promise<Response> {
  const { engine } = context;
  const { tokenizer } = engine.model;
  const flag = (name: string) => optional(name, body[name], boolean);
  const content = string('content', body.content);
  const bos = (flag('add_special') ?? false) && tokenizer.addBos;
  const [special, pieces] = [flag('parse_special') ?? true, flag('with_pieces') ?? false];
  await refuseLongText('content', tokenizer, content, engine.most);
  const ids = [...tokenizer.encode(content, { bos, special })];
  const tokens = pieces ? ids.map((id) => ({ id, piece: tokenizer.token(id) })) : ids;
  return reply(context, { tokens });
}

/** `/detokenize`: `{ tokens }` */
export function detokenize(body: Body, context: Context): Promise<Response> {
  const { model, most } = context.engine;
  const { tokenizer } = model;
  const given = list('tokens', body.tokens);
  if (given.length > most) invalid('tokens', given, `at most ${most} token ids`);
  const tokens = tokenIds('tokens', given, tokenizer.vocabularySize);
  return Promise.resolve(reply(context, { content: tokenizer.decode(tokens, { special: true }) }));
}

/** `/apply-template`: `{ messages, tools }` as the text that the model is given. */
export async function applyTemplate(body: Body, context: Context): Promise<Response> {
  const { engine, limits } = context;
  const messages = messagesOf(body.messages, limits);
  const ids = await promptOf(messages, { tools: toolsOf(body, limits) }, engine, limits);
  const { tokenizer } = engine.model;
  return reply(context, { prompt: tokenizer.decode(ids, { special: true }) });
}

/** What `GET` finds by path. */
export const gets: Record<string, (engine: Engine) => object> = {
  '/props': (engine) => {
    const { id, parallel, model, defaults } = engine;
    const { temperature = 0, topK = 0, topP = 1, seed = 0 } = defaults;
    const params = { temperature, top_k: topK, top_p: topP, seed };
    return {
      default_generation_settings: { n_ctx: contextOf(engine), params },
      ...{ total_slots: parallel, model_alias: id, model_path: id },
      chat_template: defaults.chat?.template ?? model.tokenizer.chatTemplate ?? '',
      modalities: { vision: false, audio: false },
    };
  },
  '/slots': (engine) =>
    Array.from({ length: engine.parallel }, (_, id) => {
      return { id, n_ctx: contextOf(engine), is_processing: id < engine.running };
    }),
};
