/** `/v1/chat/completions` and `/v1/completions`: OpenAI's two shapes of the same thing. */
import { instructed } from '../schema/object.js';
import { chatTokensApart, type ChatMessage } from '../text/template.js';
import { invalid, string, tokenIds } from '../validate.js';
import type { Context } from './context.js';
import type { Engine } from './engine.js';
import { formatOf } from './format.js';
import type { Limits } from './limits.js';
import { refuseLongText } from './long-text.js';
import { messagesOf } from './messages.js';
import {
  chatLogprobs,
  completionLogprobs,
  ignore,
  optional,
  refuseIgnored,
  wantedOf,
  type Body,
  type Wanted,
} from './request.js';
import { respond } from './respond.js';
import { chat, completion } from './shape.js';
import { steered } from './steer.js';
import { mostTokens } from './steering.js';
import { knowsTools, toolsAsText, toolsOf } from './tools.js';
import { predictionOf } from './answers/draft.js';

const chatFields = [
  ...['messages', 'logprobs', 'top_logprobs', 'response_format', 'logit_bias', 'prediction'],
  ...['tools', 'tool_choice', 'parallel_tool_calls'],
];

export async function chatCompletions(body: Body, context: Context): Promise<Response> {
  const { engine, limits, request } = context;
  const canvas = request.headers.get('x-lacuna-canvas');
  const { prompt, wanted } = await chatOf(body, engine, limits, canvas);
  return respond(chat, [prompt], wanted, context);
}

/** A chat's body as a prompt and what is wanted. @param canvas see `wantedOf` */
export async function chatOf(
  body: Body,
  engine: Engine,
  limits: Limits,
  canvas: string | null,
): Promise<{ prompt: Int32Array; wanted: Wanted }> {
  const { info } = engine.model;
  const wanted = wantedOf(body, chatFields, limits, canvas);
  wanted.logprobs = chatLogprobs(body, limits);
  const { template } = wanted.lacuna;
  if (template) invalid('lacuna.template', template, 'left out here; /v1/completions takes one');
  const format = formatOf(body.response_format, limits);
  wanted.json = format?.node;
  wanted.tools = toolsOf(body, limits);
  wanted.prediction = predictionOf(body.prediction);
  steered(wanted, body.logit_bias, info.vocabulary, limits);
  if (wanted.json !== undefined || wanted.tools?.required) {
    ignore(wanted, body, ['stop', 'logprobs', 'top_logprobs', 'logit_bias', 'prediction']);
    wanted.logprobs = undefined;
  } else if (wanted.tools !== undefined) ignore(wanted, body, ['prediction']);
  refuseIgnored(wanted);
  const messages = messagesOf(body.messages, limits);
  const told = format?.schema === undefined ? messages : instructed(messages, format.schema);
  return { prompt: await promptOf(told, wanted, engine, limits), wanted };
}

/** Tools go where the template has them, else into the messages. */
export async function promptOf(
  messages: readonly ChatMessage[],
  { tools }: Pick<Wanted, 'tools'>,
  { model, defaults, most }: Engine,
  limits: Limits,
): Promise<Int32Array> {
  const { tokenizer, info } = model;
  const native = knowsTools(defaults.chat?.template ?? tokenizer.chatTemplate);
  const extra = native && tools ? { tools: tools.given } : {};
  return chatTokensApart(
    tokenizer,
    native ? messages : toolsAsText(messages, tools),
    {
      ...defaults.chat,
      extra: { ...defaults.chat?.extra, ...extra },
      architecture: info.architecture,
    },
    { ms: limits.templateMs, length: limits.templateLength },
    (text) => refuseLongText('messages', tokenizer, text, most),
  );
}

export async function completions(body: Body, context: Context): Promise<Response> {
  const { engine, limits, request } = context;
  const own = ['prompt', 'suffix', 'logprobs', 'logit_bias'];
  const wanted = wantedOf(body, own, limits, request.headers.get('x-lacuna-canvas'));
  wanted.logprobs = completionLogprobs(body, limits);
  const { tokenizer, info } = engine.model;
  steered(wanted, body.logit_bias, info.vocabulary, limits);
  refuseIgnored(wanted);
  const encoded = async (name: string, text: string, bos: boolean | undefined) => {
    await refuseLongText(name, tokenizer, text, engine.most);
    return tokenizer.encode(text, { bos });
  };
  const suffix = optional('suffix', body.suffix, string) ?? '';
  if (!noSuffix.includes(suffix)) wanted.suffix = await encoded('suffix', suffix, false);
  const { template } = wanted.lacuna;
  if (template) {
    if (wanted.suffix) invalid('suffix', suffix, 'left out with lacuna.template');
    const text = template.filter((part) => typeof part === 'string').join('');
    await refuseLongText('lacuna.template', tokenizer, text, engine.most);
    wanted.maxTokens = mostTokens(template, tokenizer);
  }
  const prompts: Int32Array[] = [];
  for (const prompt of promptsOf(body.prompt, info.vocabulary, limits)) {
    const text = typeof prompt === 'string';
    prompts.push(text ? await encoded('prompt', prompt, engine.defaults.bos) : prompt);
  }
  return respond(completion, prompts, wanted, context);
}

/** Continue's word for an empty suffix is the second. */
const noSuffix = ['', '<|endoftext|>'];

/** A text, token ids, or a list of either. */
function promptsOf(prompt: unknown, vocabulary: number, limits: Limits): (string | Int32Array)[] {
  if (typeof prompt === 'string') return [prompt];
  if (!Array.isArray(prompt) || prompt.length === 0) {
    return invalid('prompt', prompt, 'a text, token ids, or a list of texts');
  }
  if (typeof prompt[0] === 'number') return [tokenIds('prompt', prompt, vocabulary)];
  if (prompt.length > limits.n) invalid('prompt', prompt, `at most ${limits.n} of them`);
  return prompt.map((item, i) => {
    const name = `prompt[${i}]`;
    return Array.isArray(item) ? tokenIds(name, item, vocabulary) : string(name, item);
  });
}
