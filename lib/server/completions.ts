/** `/v1/chat/completions` and `/v1/completions`: OpenAI's two shapes of the same thing. */
import { randomUUID } from 'node:crypto';
import { chatTokens } from '../text/template.js';
import { invalid, string } from '../validate.js';
import { begin, type Answer, type Answered, type TokenLogprob } from './answer.js';
import { CanvasChannel } from './canvas.js';
import type { Context } from './context.js';
import { httpError } from './errors.js';
import { EventStream, eventStreamHeaders } from './events.js';
import { mostTokens } from './steering.js';
import {
  chatLogprobs,
  completionLogprobs,
  messagesOf,
  refuseTooLong,
  wantedOf,
  type Body,
  type Wanted,
} from './request.js';

/** What is different between the endpoints. */
interface Shape {
  object: string;
  chunk: string;
  idPrefix: string;
  /** The first chunk's choice, which comes before any text; undefined: there is none. */
  first?: object;
  delta(text: string): object;
  /** Of a chunk without text. */
  empty: object;
  whole(text: string): object;
  logprobs(tokens: readonly TokenLogprob[], context: Context): object;
}

const chat: Shape = {
  object: 'chat.completion',
  chunk: 'chat.completion.chunk',
  idPrefix: 'chatcmpl',
  first: { delta: { role: 'assistant', content: '' } },
  delta: (content) => ({ delta: { content } }),
  empty: { delta: {} },
  whole: (content) => ({ message: { role: 'assistant', content, refusal: null } }),
  logprobs: (tokens, context) => ({
    content: tokens.map(({ token, logprob, top }) => ({
      ...tokenFields(token, logprob, context),
      top_logprobs: top.map((other) => tokenFields(other.token, other.logprob, context)),
    })),
    refusal: null,
  }),
};

const completion: Shape = {
  object: 'text_completion',
  chunk: 'text_completion',
  idPrefix: 'cmpl',
  delta: (text) => ({ text }),
  empty: { text: '' },
  whole: (text) => ({ text }),
  logprobs: (tokens, { engine }) => {
    const { tokenizer } = engine.model;
    return {
      tokens: tokens.map(({ token }) => tokenizer.token(token)),
      token_logprobs: tokens.map(({ logprob }) => logprob),
      top_logprobs: tokens.map(({ top }) =>
        Object.fromEntries(top.map(({ token, logprob }) => [tokenizer.token(token), logprob])),
      ),
    };
  },
};

function tokenFields(token: number, logprob: number, { engine }: Context): object {
  const { tokenizer } = engine.model;
  return { token: tokenizer.token(token), bytes: [...tokenizer.bytes(token)], logprob };
}

export async function chatCompletions(body: Body, context: Context): Promise<Response> {
  const { engine, limits, request } = context;
  const own = ['messages', 'logprobs', 'top_logprobs', 'n'];
  const wanted = wantedOf(body, own, limits, request.headers.get('x-lacuna-canvas'));
  wanted.logprobs = chatLogprobs(body, limits);
  const { template } = wanted.lacuna;
  if (template) invalid('lacuna.template', template, 'left out here; /v1/completions takes one');
  const messages = messagesOf(body.messages, limits);
  const { model } = engine;
  const prompt = chatTokens(model.tokenizer, messages, {
    ...engine.defaults.chat,
    architecture: model.info.architecture,
  });
  return respond(chat, [prompt], wanted, context);
}

export async function completions(body: Body, context: Context): Promise<Response> {
  const { engine, limits, request } = context;
  const own = ['prompt', 'suffix', 'echo', 'logprobs', 'best_of'];
  const wanted = wantedOf(body, own, limits, request.headers.get('x-lacuna-canvas'));
  wanted.logprobs = completionLogprobs(body, limits);
  const { tokenizer } = engine.model;
  const { template } = wanted.lacuna;
  if (template) wanted.options.maxTokens = mostTokens(template, tokenizer);
  const { bos } = engine.defaults;
  const prompts = promptsOf(body.prompt).map((prompt) =>
    typeof prompt === 'string' ? tokenizer.encode(prompt, { bos }) : prompt,
  );
  return respond(completion, prompts, wanted, context);
}

/** A text, token ids, or a list of either. */
function promptsOf(prompt: unknown): (string | Int32Array)[] {
  if (typeof prompt === 'string') return [prompt];
  if (!Array.isArray(prompt) || prompt.length === 0) {
    return invalid('prompt', prompt, 'a text, token ids, or a list of texts');
  }
  if (typeof prompt[0] === 'number') return [Int32Array.from(prompt as number[])];
  return prompt.map((text, i) => string(`prompt[${i}]`, text));
}

/** Starts every choice, then answers in one piece or as a stream. */
async function respond(
  shape: Shape,
  prompts: readonly Int32Array[],
  wanted: Wanted,
  context: Context,
): Promise<Response> {
  const { engine, limits, signal, start } = context;
  const most = engine.model.info.context || limits.canvas;
  const { maxTokens } = wanted.options;
  for (const { length } of prompts) {
    refuseTooLong(length, maxTokens, Math.min(most, limits.canvas));
  }
  const choices = prompts.flatMap((prompt) => Array.from({ length: wanted.n }, () => prompt));
  if (choices.length > limits.n) {
    invalid('n', choices.length, `at most ${limits.n} answers to all prompts together`);
  }
  const { canvas, candidates } = wanted.lacuna;
  const watch = canvas === 'delta' || canvas === 'full' ? candidates : undefined;
  const answers = await all(
    choices.map((prompt, index) => begin(engine, prompt, wanted, { signal, start, index, watch })),
    context,
  );
  const headers = {
    ...context.headers,
    ...(wanted.ignored.length > 0 && { 'x-lacuna-ignored': wanted.ignored.join(', ') }),
  };
  const envelope = {
    id: `${shape.idPrefix}-${randomUUID()}`,
    created: Math.floor(Date.now() / 1000),
    model: engine.id,
    system_fingerprint: context.fingerprint,
  };
  if (!wanted.stream) return answerWhole(shape, answers, wanted, envelope, headers, context);
  const events = new EventStream(limits, () => context.leave());
  void stream(shape, answers, wanted, envelope, events, context);
  return new Response(events.body, { headers: { ...headers, ...eventStreamHeaders } });
}

/** All or none: where one cannot start, the others end. */
async function all(starting: Promise<Answer>[], context: Context): Promise<Answer[]> {
  const settled = await Promise.allSettled(starting);
  const failed = settled.find(({ status }) => status === 'rejected');
  if (failed === undefined) return Promise.all(starting);
  context.leave();
  throw (failed as PromiseRejectedResult).reason;
}

async function answerWhole(
  shape: Shape,
  answers: readonly Answer[],
  wanted: Wanted,
  envelope: object,
  headers: Record<string, string>,
  context: Context,
): Promise<Response> {
  const choices = answers.map(async ({ finish }, index) => {
    let text = '';
    const tokens: TokenLogprob[] = [];
    const answered = await finish({
      text: (piece, logprobs) => {
        text += piece;
        tokens.push(...logprobs);
      },
    });
    const logprobs = wanted.logprobs === undefined ? null : shape.logprobs(tokens, context);
    const finish_reason = answered.finish;
    return { answered, choice: { index, ...shape.whole(text), logprobs, finish_reason } };
  });
  const done = await Promise.all(choices);
  const answered = done.map((choice) => choice.answered);
  context.finished(answered);
  const body = {
    ...{ ...envelope, object: shape.object },
    choices: done.map(({ choice }) => choice),
    usage: usageOf(answers, answered),
    timings: timingsOf(answers, answered),
    lacuna: { v: 1, stats: statsOf(answered) },
  };
  return Response.json(body, { headers });
}

async function stream(
  shape: Shape,
  answers: readonly Answer[],
  wanted: Wanted,
  envelope: object,
  events: EventStream,
  context: Context,
): Promise<void> {
  const chunk = (choices: object[], more: object = {}) => ({
    ...{ ...envelope, object: shape.chunk, choices },
    ...more,
  });
  const { tokenizer } = context.engine.model;
  const choiceOf = async ({ run, finish }: Answer, index: number): Promise<Answered> => {
    const choice = (part: object, finish_reason: string | null = null, logprobs?: object) => ({
      ...{ index, ...part, finish_reason },
      ...(logprobs && { logprobs }),
    });
    if (shape.first) events.send(chunk([choice(shape.first)]));
    let channel: CanvasChannel | undefined;
    const answered = await finish({
      started: (_, seen) => {
        if (wanted.lacuna.canvas === 'off') return;
        const wrap = (lacuna: object) => chunk([choice(shape.empty)], { lacuna });
        channel = new CanvasChannel(wanted.lacuna, tokenizer, events, seen, wrap);
        channel.start(run);
      },
      frame: (frame) => channel?.step(frame),
      text: (text, tokens) => {
        const logprobs =
          wanted.logprobs === undefined ? undefined : shape.logprobs(tokens, context);
        events.send(chunk([choice(shape.delta(text), null, logprobs)]));
      },
    });
    channel?.end(answered.result, answered.stats);
    context.dropped(channel?.dropped ?? 0);
    const last = choice(shape.empty, answered.finish);
    events.send(chunk([last], { timings: timingsOf([{ run }], [answered]) }));
    return answered;
  };
  try {
    const answered = await Promise.all(answers.map(choiceOf));
    // Loops that are copied everywhere read choices[0] of every chunk: only who asks gets this one.
    if (wanted.includeUsage) events.send(chunk([], { usage: usageOf(answers, answered) }));
    events.send('[DONE]');
    context.finished(answered);
  } catch (error) {
    context.leave();
    if (!context.gone(error)) events.send(httpError(context.explain(error)).body);
    context.failed(error);
  } finally {
    events.end();
  }
}

function usageOf(answers: readonly Pick<Answer, 'run'>[], answered: readonly Answered[]): object {
  const prompts = new Set(answers.map(({ run }) => run.prompt.join()));
  const lengths = [...prompts].map((ids) => (ids === '' ? 0 : ids.split(',').length));
  const prompt_tokens = sum(lengths);
  const completion_tokens = sum(answered.map(({ stats }) => stats.tokens));
  return {
    ...{ prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens },
    prompt_tokens_details: { cached_tokens: 0 },
  };
}

/** llama.cpp's names for the same, which several interfaces show. */
function timingsOf(answers: readonly Pick<Answer, 'run'>[], answered: readonly Answered[]): object {
  const tokens = sum(answered.map(({ stats }) => stats.tokens));
  const wall = Math.max(...answered.map(({ stats }) => stats.wallMs));
  return {
    prompt_n: sum(answers.map(({ run }) => run.prompt.length)),
    prompt_ms: 0, // one forward reads the prompt and writes the answer
    predicted_n: tokens,
    predicted_ms: wall,
    predicted_per_second: wall > 0 ? (1000 * tokens) / wall : 0,
  };
}

function statsOf(answered: readonly Answered[]): object {
  const [{ stats }] = answered;
  return answered.length === 1 ? stats : answered.map((one) => one.stats);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
