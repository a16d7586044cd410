/** Starts every choice of a request, then answers in one piece or as a stream. */
import { setImmediate as turn } from 'node:timers/promises';
import { invalid } from '../validate.js';
import type { AnswerListener, Answered, ToolCall, TokenLogprob } from './answer.js';
import { CanvasChannel } from './canvas.js';
import type { Context } from './context.js';
import { httpError } from './errors.js';
import { EventStream } from './events.js';
import { Pins } from './pins.js';
import { headerList, type Wanted } from './request.js';
import { refinements } from './settings.js';
import type { Shape } from './shape.js';
import { startAnswer } from './start.js';
import { statsOf, timingsOf, usageOf } from './usage.js';
import { headersOf, sinkOf, type Chunk, type Sink } from './wire.js';

/** Starts the choice of that index; resolves when it has its slot. */
type Start = (index: number, listener: AnswerListener) => Promise<{ done: Promise<Answered> }>;

/** What all chunks of an answer have in common. */
type Envelope = object;

export async function respond(
  shape: Shape,
  prompts: readonly Int32Array[],
  wanted: Wanted,
  context: Context,
): Promise<Response> {
  const { engine, limits, wire } = context;
  steerable(wanted, context);
  const choices = prompts.flatMap((prompt) => Array.from({ length: wanted.n }, () => prompt));
  if (choices.length > limits.n) {
    invalid('n', choices.length, `at most ${limits.n} answers to all prompts together`);
  }
  const start: Start = (index, listener) =>
    startAnswer(context, choices[index], wanted, index, {
      ...listener,
      started: (run, seen) => {
        context.runs.add(run);
        listener.started?.(run, seen);
      },
    });
  const envelope = {
    id: `${shape.idPrefix}-${context.id}`,
    created: Math.floor(Date.now() / 1000),
    model: engine.id,
    system_fingerprint: context.fingerprint,
  };
  const headers = {
    ...context.headers,
    ...(wanted.ignored.length > 0 && { 'x-lacuna-ignored': headerList(wanted.ignored) }),
  };
  const asked = { shape, n: choices.length, start, wanted, envelope, context };
  if (!wanted.stream) {
    const body = await whole(asked);
    return Response.json(wire.whole(body as Chunk), { headers });
  }
  const events = await stream(asked);
  return new Response(events.body, { headers: { ...headers, ...headersOf(wire) } });
}

/** Lets requests to `/v1/chat/completions/control` reach the runs. */
function steerable({ options, lacuna }: Wanted, context: Context): void {
  options.deadline = context.deadline;
  if (lacuna.canvas !== 'delta' && lacuna.canvas !== 'full') return;
  context.pins = new Pins();
  options.refine = [...refinements(options.refine), context.pins.refinement];
}

/** A request as its answers need it: `n` choices of one shape under one envelope. */
interface Asked {
  shape: Shape;
  n: number;
  start: Start;
  wanted: Wanted;
  envelope: Envelope;
  context: Context;
}

/** Everything in one piece. Where one choice fails, the others end. */
async function whole(asked: Asked): Promise<object> {
  const { shape, n, start, wanted, envelope, context } = asked;
  const choices = Array.from({ length: n }, async (_, index) => {
    let text = '';
    const tokens: TokenLogprob[] = [];
    const calls: ToolCall[] = [];
    const started = await start(index, {
      text: (piece, logprobs) => {
        text += piece;
        tokens.push(...logprobs);
      },
      call: (call) => calls.push(call),
    });
    const answered = await started.done;
    const logprobs = wanted.logprobs === undefined ? null : shape.logprobs(tokens, context);
    const finish_reason = answered.finish;
    return { answered, choice: { index, ...shape.whole(text, calls), logprobs, finish_reason } };
  });
  const done = await allOf(choices, context);
  const answered = done.map((choice) => choice.answered);
  context.finished(answered);
  return {
    ...{ ...envelope, object: shape.object },
    choices: done.map(({ choice }) => choice),
    usage: usageOf(answered),
    timings: timingsOf(answered),
    lacuna: { v: 1, stats: statsOf(answered) },
  };
}

/** @returns when there will be a stream: one choice has its slot, and the others wait for theirs */
async function stream(asked: Asked): Promise<EventStream> {
  const { shape, n, start, wanted, envelope, context } = asked;
  const { limits, wire } = context;
  const out = new EventStream(limits, wire.framing, () => context.leave());
  const events = sinkOf(wire, out);
  const chunk: MakeChunk = (choices, more) => ({
    ...{ ...envelope, object: shape.chunk, choices },
    ...more,
  });
  const starts: Promise<unknown>[] = [];
  const choices = Array.from({ length: n }, async (_, index) => {
    const choice = new ChoiceStream(shape, index, wanted, events, chunk, context);
    const started = start(index, choice.listener);
    starts.push(started);
    const { done } = await started;
    const answered = await done;
    choice.end(answered);
    return answered;
  });
  const done = allOf(choices, context);
  done.catch(() => {}); // it is told below, or thrown here
  try {
    // A choice that cannot even wait says so within the turn.
    await Promise.race([Promise.any(starts).then(() => turn()), Promise.all(starts)]);
  } catch (error) {
    context.leave('failed');
    events.end();
    throw error instanceof AggregateError ? error.errors[0] : error;
  }
  void done.then(
    (answered) => {
      // Loops that are copied everywhere read choices[0] of every chunk: only who asks gets this one.
      if (wanted.includeUsage) events.send(chunk([], { usage: usageOf(answered) }));
      events.send('[DONE]');
      context.finished(answered);
      events.end();
    },
    (error: unknown) => {
      if (!context.gone(error)) events.send(httpError(context.explain(error)).body);
      context.failed(error);
      events.end();
    },
  );
  return out;
}

/** All or none: where one fails, the others end. */
async function allOf<T>(promises: readonly Promise<T>[], context: Context): Promise<T[]> {
  try {
    return await Promise.all(promises);
  } catch (error) {
    context.leave('failed');
    await Promise.allSettled(promises);
    throw error;
  }
}

type MakeChunk = (choices: object[], more?: object) => object;

/** The chunks of one choice. */
class ChoiceStream {
  readonly listener: AnswerListener;
  readonly #shape: Shape;
  readonly #index: number;
  readonly #events: Sink;
  readonly #chunk: MakeChunk;
  readonly #context: Context;
  #channel: CanvasChannel | undefined;
  #calls = 0;

  constructor(
    shape: Shape,
    index: number,
    wanted: Wanted,
    events: Sink,
    chunk: MakeChunk,
    context: Context,
  ) {
    this.#shape = shape;
    this.#index = index;
    this.#events = events;
    this.#chunk = chunk;
    this.#context = context;
    const { tokenizer } = context.engine.model;
    const send = (part: object, logprobs?: object) => {
      events.send(chunk([this.#choice(part, null, logprobs)]));
    };
    if (shape.first) send(shape.first);
    this.listener = {
      started: (run, seen) => {
        if (wanted.lacuna.canvas === 'off') return;
        const wrap = (lacuna: object) => chunk([this.#choice(shape.empty)], { lacuna });
        this.#channel = new CanvasChannel(wanted.lacuna, tokenizer, events, seen, wrap);
        this.#channel.start(run);
      },
      frame: (frame) => this.#channel?.step(frame),
      text: (text, tokens) => {
        const told = wanted.logprobs !== undefined;
        send(shape.delta(text), told ? shape.logprobs(tokens, context) : undefined);
      },
      call: (call) => send(shape.call(call, this.#calls++)),
    };
  }

  end(answered: Answered): void {
    const { result, stats, finish } = answered;
    this.#channel?.end(result, stats);
    this.#context.dropped(this.#channel?.dropped ?? 0);
    const last = this.#choice(this.#shape.empty, finish);
    this.#events.send(this.#chunk([last], { timings: timingsOf([answered]) }));
  }

  #choice(part: object, finish_reason: string | null = null, logprobs?: object): object {
    return { index: this.#index, ...part, finish_reason, ...(logprobs && { logprobs }) };
  }
}
