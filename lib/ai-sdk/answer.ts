/** Calls of the AI SDK, answered whole or in parts. */
import { randomUUID } from 'node:crypto';
import type {
  LanguageModelV3CallOptions,
  LanguageModelV3Content,
  LanguageModelV3FinishReason,
  LanguageModelV3GenerateResult,
  LanguageModelV3StreamResult,
  LanguageModelV3ToolCall,
  LanguageModelV3Usage,
  SharedV3ProviderMetadata,
  SharedV3Warning,
} from '@ai-sdk/provider';
import type { AnswerListener, Answered, ToolCall } from '../server/answer.js';
import { CanvasChannel } from '../server/canvas.js';
import { chatOf } from '../server/completions.js';
import type { Engine } from '../server/engine.js';
import type { Limits } from '../server/limits.js';
import type { Body, Wanted } from '../server/request.js';
import { startAnswer } from '../server/start.js';
import { bodyOf, featureOf } from './call.js';
import { explained } from './errors.js';
import { Parts } from './parts.js';

type CallOptions = LanguageModelV3CallOptions;

/** A call that was understood. */
interface Asked {
  body: Body;
  wanted: Wanted;
  prompt: Int32Array;
  warnings: SharedV3Warning[];
}

export async function wholeAnswer(
  engine: Engine,
  limits: Limits,
  call: CallOptions,
): Promise<LanguageModelV3GenerateResult> {
  const asked = await askedBy(call, engine, limits, false);
  const calls: LanguageModelV3Content[] = [];
  let text = '';
  const listener: AnswerListener = {
    text: (piece) => (text += piece),
    call: (called) => calls.push(toolCall(called)),
  };
  const run = new Run(call.abortSignal);
  try {
    const { done } = await run.start(engine, asked, listener);
    const ended = ending(await done);
    return {
      content: [...(text === '' ? [] : [{ type: 'text' as const, text }]), ...calls],
      ...ended,
      request: { body: asked.body },
      response: responseOf(engine),
      warnings: asked.warnings,
    };
  } catch (error) {
    throw explained(error, call.abortSignal);
  } finally {
    run.over();
  }
}

/**
 * The run goes on whether or not anybody reads: who leaves the loop tells nobody, and a run that
 * waited for a reader would keep its slot for ever. What waits unread is one answer at most.
 */
export async function answerParts(
  engine: Engine,
  limits: Limits,
  call: CallOptions,
): Promise<LanguageModelV3StreamResult> {
  const asked = await askedBy(call, engine, limits, true);
  const run = new Run(call.abortSignal);
  const parts = new Parts(() => run.leave());
  const writer = new Writer(engine, asked, parts);
  try {
    const { done } = await run.start(engine, asked, writer.listener);
    void done
      .then((answered) => writer.end(answered))
      .catch((error: unknown) => writer.fail(explained(error, call.abortSignal), call.abortSignal))
      .finally(() => run.over());
  } catch (error) {
    run.over();
    throw explained(error, call.abortSignal);
  }
  return { stream: parts.stream, request: { body: asked.body } };
}

async function askedBy(
  call: CallOptions,
  engine: Engine,
  limits: Limits,
  stream: boolean,
): Promise<Asked> {
  call.abortSignal?.throwIfAborted();
  const { body, warnings } = bodyOf(call, stream);
  try {
    const { prompt, wanted } = await chatOf(body, engine, limits, null);
    const unused = wanted.ignored.map((field) => featureOf(field));
    return {
      ...{ body, wanted, prompt },
      warnings: [
        ...warnings,
        ...unused.map((feature) => ({ type: 'unsupported', feature }) as const),
      ],
    };
  } catch (error) {
    throw explained(error, undefined);
  }
}

/** One run, which ends when the caller's signal fires, or its reader goes. */
class Run {
  readonly #begun = performance.now();
  readonly #controller = new AbortController();
  readonly #given: AbortSignal | undefined;
  readonly #listen = () => this.leave();

  constructor(signal: AbortSignal | undefined) {
    this.#given = signal;
    if (signal?.aborted) this.leave();
    signal?.addEventListener('abort', this.#listen, { once: true });
  }

  start(engine: Engine, { prompt, wanted }: Asked, listener: AnswerListener) {
    const asker = { engine, signal: this.#controller.signal, start: this.#begun };
    return startAnswer(asker, prompt, wanted, 0, listener);
  }

  leave(): void {
    this.#controller.abort(this.#given?.reason);
  }

  over(): void {
    this.#given?.removeEventListener('abort', this.#listen);
  }
}

/** Tells a reader of an answer, in the order that the AI SDK wants. */
class Writer {
  readonly listener: AnswerListener;
  readonly #parts: Parts;
  readonly #prompt: number;
  #texts = 0;
  #open = false;
  #channel: CanvasChannel | undefined;

  constructor(engine: Engine, { warnings, wanted, prompt }: Asked, parts: Parts) {
    this.#parts = parts;
    this.#prompt = prompt.length;
    parts.push({ type: 'stream-start', warnings });
    parts.push({ type: 'response-metadata', ...responseOf(engine) });
    this.listener = {
      started: (run, seen) => {
        if (wanted.lacuna.canvas === 'off') return;
        const { tokenizer } = engine.model;
        const raw = (lacuna: object) => ({ lacuna });
        this.#channel = new CanvasChannel(wanted.lacuna, tokenizer, parts, seen, raw);
        this.#channel.start(run, run.shape.maxTokens);
      },
      frame: (frame) => this.#channel?.step(frame),
      text: (delta) => this.#text(delta),
      call: (called) => this.#call(called),
    };
  }

  end(answered: Answered): void {
    this.#channel?.end(answered.result, answered.stats);
    this.#close();
    this.#parts.push({ type: 'finish', ...ending(answered) });
    this.#parts.end();
  }

  fail(error: unknown, signal: AbortSignal | undefined): void {
    if (signal?.aborted) {
      this.#parts.abort(error);
      return;
    }
    this.#close();
    this.#parts.push({ type: 'error', error });
    const finishReason: LanguageModelV3FinishReason = { unified: 'error', raw: undefined };
    this.#parts.push({ type: 'finish', finishReason, usage: usageOf(this.#prompt, 0) });
    this.#parts.end();
  }

  #text(delta: string): void {
    if (delta === '') return;
    if (!this.#open) this.#parts.push({ type: 'text-start', id: String(this.#texts) });
    this.#open = true;
    this.#parts.push({ type: 'text-delta', id: String(this.#texts), delta });
  }

  #close(): void {
    if (this.#open) this.#parts.push({ type: 'text-end', id: String(this.#texts++) });
    this.#open = false;
  }

  /** In one piece: a call is told when its JSON is complete. */
  #call(called: ToolCall): void {
    this.#close();
    const { id, name, arguments: delta } = called;
    this.#parts.push({ type: 'tool-input-start', id, toolName: name });
    this.#parts.push({ type: 'tool-input-delta', id, delta });
    this.#parts.push({ type: 'tool-input-end', id });
    this.#parts.push(toolCall(called));
  }
}

function toolCall({ id, name, arguments: input }: ToolCall): LanguageModelV3ToolCall {
  return { type: 'tool-call', toolCallId: id, toolName: name, input };
}

function responseOf({ id }: Engine) {
  return { id: `lacuna-${randomUUID()}`, modelId: id, timestamp: new Date() };
}

const reasons = { stop: 'stop', length: 'length', tool_calls: 'tool-calls' } as const;

function ending({ prompt, finish, stats }: Answered): {
  usage: LanguageModelV3Usage;
  finishReason: LanguageModelV3FinishReason;
  providerMetadata: SharedV3ProviderMetadata;
} {
  return {
    usage: usageOf(prompt.length, stats.tokens),
    finishReason: { unified: reasons[finish], raw: finish },
    providerMetadata: { lacuna: { stats: { ...stats } } },
  };
}

function usageOf(prompt: number, answer: number): LanguageModelV3Usage {
  return {
    inputTokens: { total: prompt, noCache: prompt, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: answer, text: answer, reasoning: 0 },
  };
}
