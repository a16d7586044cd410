/** Calls of the AI SDK, answered whole or in parts. */
import { randomUUID } from 'node:crypto';
import type {
  LanguageModelV3CallOptions,
  LanguageModelV3FinishReason,
  LanguageModelV3GenerateResult,
  LanguageModelV3StreamResult,
  LanguageModelV3Usage,
  SharedV3ProviderMetadata,
  SharedV3Warning,
} from '@ai-sdk/provider';
import { begin, type Answer, type Answered } from '../server/answer.js';
import { CanvasChannel } from '../server/canvas.js';
import { chatOf } from '../server/completions.js';
import type { Engine } from '../server/engine.js';
import type { Limits } from '../server/limits.js';
import { fitInto, type Body, type Wanted } from '../server/request.js';
import { bodyOf } from './call.js';
import { explained } from './errors.js';
import { Parts } from './parts.js';

type CallOptions = LanguageModelV3CallOptions;

/** A call that has its slot. */
interface Started {
  body: Body;
  warnings: SharedV3Warning[];
  wanted: Wanted;
  answer: Answer;
  /** Ends the run and frees the slot. */
  leave: () => void;
  /** The signal is not listened to any more. */
  over: () => void;
}

export async function wholeAnswer(
  engine: Engine,
  limits: Limits,
  call: CallOptions,
): Promise<LanguageModelV3GenerateResult> {
  const { body, warnings, answer, over } = await start(engine, limits, call, false);
  let text = '';
  try {
    const answered = await answer.finish({ text: (piece) => (text += piece) });
    return {
      content: text === '' ? [] : [{ type: 'text', text }],
      ...ending(answer, answered),
      request: { body },
      response: responseOf(engine),
      warnings,
    };
  } catch (error) {
    throw explained(error, call.abortSignal);
  } finally {
    over();
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
  const started = await start(engine, limits, call, true);
  const parts = new Parts(started.leave);
  void send(engine, started, call, parts);
  return { stream: parts.stream, request: { body: started.body } };
}

async function send(
  engine: Engine,
  { warnings, wanted, answer, over }: Started,
  { abortSignal }: CallOptions,
  parts: Parts,
): Promise<void> {
  const id = '0';
  let begun = false;
  let channel: CanvasChannel | undefined;
  parts.push({ type: 'stream-start', warnings });
  parts.push({ type: 'response-metadata', ...responseOf(engine) });
  try {
    const answered = await answer.finish({
      started: (run, seen) => {
        if (wanted.lacuna.canvas === 'off') return;
        const { tokenizer } = engine.model;
        const raw = (lacuna: object) => ({ lacuna });
        channel = new CanvasChannel(wanted.lacuna, tokenizer, parts, seen, raw);
        channel.start(run, wanted.options.maxTokens);
      },
      frame: (frame) => channel?.step(frame),
      text: (delta) => {
        if (!begun) parts.push({ type: 'text-start', id });
        begun = true;
        parts.push({ type: 'text-delta', id, delta });
      },
    });
    channel?.end(answered.result, answered.stats);
    if (begun) parts.push({ type: 'text-end', id });
    parts.push({ type: 'finish', ...ending(answer, answered) });
    parts.end();
  } catch (error) {
    if (abortSignal?.aborted) {
      parts.abort(explained(error, abortSignal));
    } else {
      parts.push({ type: 'error', error: explained(error, abortSignal) });
      const finishReason: LanguageModelV3FinishReason = { unified: 'error', raw: undefined };
      parts.push({ type: 'finish', finishReason, usage: usageOf(answer.run.prompt.length, 0) });
      parts.end();
    }
  } finally {
    over();
  }
}

/** Rejects with what keeps the call from starting: then the AI SDK may try again. */
async function start(
  engine: Engine,
  limits: Limits,
  call: CallOptions,
  stream: boolean,
): Promise<Started> {
  const signal = call.abortSignal;
  signal?.throwIfAborted();
  const begun = performance.now();
  const { body, warnings } = bodyOf(call, stream);
  const controller = new AbortController();
  const leave = () => controller.abort(signal?.reason);
  signal?.addEventListener('abort', leave, { once: true });
  const over = () => signal?.removeEventListener('abort', leave);
  try {
    const { prompt, wanted } = chatOf(body, engine, limits, null);
    fitInto(wanted, prompt.length, engine, limits);
    const { canvas, candidates } = wanted.lacuna;
    const watch = canvas === 'delta' || canvas === 'full' ? candidates : undefined;
    const how = { signal: controller.signal, start: begun, index: 0, watch };
    const answer = await begin(engine, prompt, wanted, how);
    return { body, warnings, wanted, answer, leave, over };
  } catch (error) {
    over();
    throw explained(error, signal);
  }
}

function responseOf({ id }: Engine) {
  return { id: `lacuna-${randomUUID()}`, modelId: id, timestamp: new Date() };
}

function ending(
  { run }: Answer,
  { finish, stats }: Answered,
): {
  usage: LanguageModelV3Usage;
  finishReason: LanguageModelV3FinishReason;
  providerMetadata: SharedV3ProviderMetadata;
} {
  return {
    usage: usageOf(run.prompt.length, stats.tokens),
    finishReason: { unified: finish, raw: finish },
    providerMetadata: { lacuna: { stats: { ...stats } } },
  };
}

function usageOf(prompt: number, answer: number): LanguageModelV3Usage {
  return {
    inputTokens: { total: prompt, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
    outputTokens: { total: answer, text: answer, reasoning: undefined },
  };
}
