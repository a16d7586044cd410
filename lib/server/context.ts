/** What a request carries through the endpoints. */
import { randomUUID } from 'node:crypto';
import type { Generation } from '../generation.js';
import type { Answered } from './answer.js';
import type { Engine } from './engine.js';
import { HttpError } from './errors.js';
import type { Limits } from './limits.js';
import type { Metrics } from './metrics.js';
import type { Pins } from './pins.js';
import { promptTokens } from './usage.js';
import { openai, type Wire } from './wire.js';
import { LacunaError } from '../errors.js';

/** Why a request ends before its answer does. */
export type Leaving = 'client' | 'time' | 'shutdown' | 'failed';

export class Context {
  readonly request: Request;
  readonly engine: Engine;
  readonly limits: Limits;
  /** Of every answer to this request. */
  readonly headers: Record<string, string>;
  /** The build and the model: with equal ones, equal seeds give equal answers. */
  readonly fingerprint: string;
  /** All requests whose answers are not complete, this one among them. */
  readonly all: ReadonlySet<Context>;
  /** Of the answer, behind a prefix that says which kind it is. */
  readonly id = randomUUID();
  /** Endpoints of other formats than OpenAI's set theirs. */
  wire: Wire = openai;
  /** Of an answer into which tokens can be put. */
  pins: Pins | undefined;
  /** Of answers that are text: they may become longer. */
  readonly runs = new Set<Generation>();
  /** `performance.now()` when the request came. */
  readonly start = performance.now();
  readonly #metrics: Metrics;
  readonly #controller = new AbortController();
  readonly #deadline = new AbortController();
  #due: NodeJS.Timeout | undefined;
  readonly #over: () => void;
  readonly #late: NodeJS.Timeout;
  #reason: Leaving | undefined;

  /** @param over called once, when the answer has ended */
  constructor(
    request: Request,
    engine: Engine,
    limits: Limits,
    metrics: Metrics,
    fixed: { headers: Record<string, string>; fingerprint: string; all: ReadonlySet<Context> },
    over: () => void,
  ) {
    this.request = request;
    this.engine = engine;
    this.limits = limits;
    this.headers = fixed.headers;
    this.fingerprint = fixed.fingerprint;
    this.all = fixed.all;
    this.#metrics = metrics;
    this.#over = over;
    this.#late = setTimeout(() => this.leave('time'), limits.requestSeconds * 1000).unref();
    if (request.signal.aborted) this.leave('client');
    else request.signal.addEventListener('abort', () => this.leave('client'), { once: true });
  }

  /** Fires when nobody wants the answer any more. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Fires when the answer is to be completed with the next forward. */
  get deadline(): AbortSignal {
    return this.#deadline.signal;
  }

  commitNow(): void {
    this.#deadline.abort();
  }

  /** The same, so many milliseconds after the request came. */
  commitAfter(milliseconds: number): void {
    const left = this.start + milliseconds - performance.now();
    // Of a longer time a timer would make 1 ms; the request does not take so long.
    if (left < this.limits.requestSeconds * 1000) {
      this.#due = setTimeout(() => this.commitNow(), Math.max(0, left));
    }
  }

  leave(reason: Leaving = 'client'): void {
    if (this.#controller.signal.aborted) return;
    this.#reason = reason;
    this.#controller.abort(new Error(`the request ended: ${reason}`));
  }

  /** The client itself ended it: there is nobody to tell. */
  gone(error: unknown): boolean {
    return this.#reason === 'client' && isAborted(error);
  }

  /** The error as the client should know it. */
  explain(error: unknown): unknown {
    if (!isAborted(error)) return error;
    if (this.#reason === 'shutdown') {
      return new HttpError(503, 'the server is shutting down', { code: 'server_shutdown' });
    }
    const { requestSeconds } = this.limits;
    return new HttpError(503, `the request took more than ${requestSeconds} s`, {
      code: 'time_limit',
      headers: { 'x-should-retry': 'false' }, // to OpenAI's clients; it would take as long again
    });
  }

  dropped(frames: number): void {
    if (frames > 0) this.#metrics.dropped.inc(frames);
  }

  finished(answered: readonly Answered[]): void {
    this.#metrics.tokens.inc({ kind: 'prompt' }, promptTokens(answered));
    for (const { stats } of answered) {
      this.#metrics.tokens.inc({ kind: 'completion' }, stats.tokens);
      this.#metrics.tokensPerForward.observe(stats.tokensPerForward);
      if (stats.firstTextMs !== undefined) {
        this.#metrics.firstText.observe(stats.firstTextMs / 1000);
      }
    }
    this.#end();
  }

  failed(error: unknown): void {
    if (isAborted(error) && this.#reason === 'client') this.#metrics.cancelled.inc();
    this.#end();
  }

  #end(): void {
    clearTimeout(this.#late);
    clearTimeout(this.#due);
    this.#metrics.requestSeconds.observe((performance.now() - this.start) / 1000);
    this.#over();
  }
}

export function isAborted(error: unknown): boolean {
  return LacunaError.isInstance(error) && error.code === 'ABORTED';
}
