/** One forward for many generations: they join and leave between forwards. */
import { setImmediate as turn } from 'node:timers/promises';
import { LacunaError } from './errors.js';
import type { Model, StepItem } from './model.js';
import type { GenerationModel, GenerationSession } from './plan.js';
import type { DiffusionSession } from './session.js';
import type { StepRequest, StepResult } from './types.js';
import { integer, knownKeys } from './validate.js';

export interface BatchOptions {
  /**
   * Rows of one forward: steps join in the order of their arrival until it has that many, the others
   * wait for the next one. Short steps, of at most an eighth, never wait for long ones. Default 2048.
   */
  rows?: number;
  /** Called after each forward. */
  onForward?: (forward: BatchForward) => void;
}

/** What one shared forward did. */
export interface BatchForward {
  /** Calls of `step` that shared it. */
  steps: number;
  rows: number;
  milliseconds: number;
}

type Request = StepRequest<GenerationSession>;

/** One call of `step`; all its items go into the same forward. */
interface Entry {
  items: readonly (Request & { session: BatchSession })[];
  sessions: BatchSession[]; // those of the guidance, too
  rows: number;
  /** The caller has its answer: nobody waits for this one any more. */
  settled: boolean;
  /** Called when it is settled. */
  left(): void;
  resolve(results: StepResult[]): void;
  reject(error: Error): void;
}

/**
 * A model for `generate(batch, prompt, options)` whose steps share forwards: whatever waits when one
 * ends goes into the next together. Each generation gets the tokens that it would get alone; only the
 * time that it takes depends on its company.
 *
 * Disposing of the model ends everything. Errors of one step do not reach the others.
 */
export class Batch implements GenerationModel {
  readonly #model: Model;
  readonly #rows: number;
  readonly #onForward: (forward: BatchForward) => void;
  #waiting: Entry[] = [];
  #runs = false;

  constructor(model: Model, options: BatchOptions = {}) {
    knownKeys('batch options', options, ['rows', 'onForward']);
    this.#model = model;
    this.#rows = integer('rows', options.rows ?? 2048, { min: 1 });
    this.#onForward = options.onForward ?? (() => {});
  }

  get info(): Model['info'] {
    return this.#model.info;
  }

  get tokenizer(): Model['tokenizer'] {
    return this.#model.tokenizer;
  }

  createSession(options: { length: number }): GenerationSession {
    return new BatchSession(this, this.#model.createSession(options));
  }

  /**
   * Joins the next forward. Rejects like `model.step`; with `ABORTED` as soon as the signal fires, also
   * where the forward goes on for others.
   */
  step(
    items: readonly (StepRequest<never> & { session: never })[],
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<StepResult[]> {
    return new Promise((resolve, reject) => {
      const aborted = () =>
        new LacunaError('ABORTED', 'aborted by the signal', { cause: signal?.reason });
      if (signal?.aborted) {
        reject(aborted());
        return;
      }
      const entry = entryOf(items);
      const settle = (act: () => void) => {
        if (entry.settled) return;
        entry.settled = true;
        signal?.removeEventListener('abort', abort);
        act();
        entry.left();
      };
      const abort = () => {
        this.#waiting = this.#waiting.filter((other) => other !== entry);
        entry.reject(aborted());
      };
      entry.resolve = (results) => settle(() => resolve(results));
      entry.reject = (error) => settle(() => reject(error));
      signal?.addEventListener('abort', abort);
      this.#waiting.push(entry);
      if (!this.#runs) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#runs = true;
    // Callers whose forward has just ended ask for their next one first, so that they share it.
    for (await turn(); this.#waiting.length > 0; await turn()) await this.#forward(this.#next());
    this.#runs = false;
  }

  /** Takes the entries of the next forward out of those that wait. */
  #next(): Entry[] {
    let [long, short] = [0, 0];
    const joins = this.#waiting.filter(({ rows }) => {
      if (rows * 8 <= this.#rows) {
        short += rows;
        return short <= this.#rows || short === rows;
      }
      long += rows;
      return long <= this.#rows || long === rows;
    });
    this.#waiting = this.#waiting.filter((entry) => !joins.includes(entry));
    return joins;
  }

  async #forward(entries: readonly Entry[]): Promise<void> {
    const start = performance.now();
    const sessions = entries.flatMap((entry) => entry.sessions);
    const controller = new AbortController();
    for (const session of sessions) session.hold();
    for (const entry of entries) {
      entry.left = () => {
        if (entries.every(({ settled }) => settled)) controller.abort();
      };
    }
    try {
      const items = entries.flatMap((entry) => entry.items.map(nativeItem));
      const results = await this.#model.step(items, { signal: controller.signal });
      for (const entry of entries) entry.resolve(results.splice(0, entry.items.length));
    } catch (error) {
      // A forward that fails has changed nothing: each alone finds out whose fault it was.
      const wanted = entries.filter(({ settled }) => !settled);
      if (entries.length === 1) entries[0].reject(error as Error);
      else for (const entry of wanted) await this.#forward([entry]);
      return;
    } finally {
      for (const session of sessions) session.release();
    }
    const rows = entries.reduce((sum, entry) => sum + entry.rows, 0);
    this.#onForward({ steps: entries.length, rows, milliseconds: performance.now() - start });
  }
}

/** A session whose steps go through the batch; the native one outlives `dispose` until its forward ends. */
class BatchSession implements GenerationSession {
  readonly session: DiffusionSession;
  readonly #batch: Batch;
  #forwards = 0; // that use it
  #disposed = false;

  constructor(batch: Batch, session: DiffusionSession) {
    this.#batch = batch;
    this.session = session;
  }

  set(position: number, tokens: Int32Array): void {
    this.session.set(position, tokens);
  }

  async step(request: Request = {}, options: { signal?: AbortSignal } = {}): Promise<StepResult> {
    const item = { ...request, session: this } as never;
    const [result] = await this.#batch.step([item], options);
    return result;
  }

  fork(): GenerationSession {
    return new BatchSession(this.#batch, this.session.fork());
  }

  dispose(): void {
    this.#disposed = true;
    this.#free();
  }

  hold(): void {
    this.#forwards++;
  }

  release(): void {
    this.#forwards--;
    this.#free();
  }

  #free(): void {
    if (this.#disposed && this.#forwards === 0) this.session.dispose();
  }
}

function entryOf(items: Entry['items']): Entry {
  const sessions = items.flatMap(({ session, guidance }) =>
    guidance === undefined ? [session] : [session, guidance.unconditional as BatchSession],
  );
  const rows = items.reduce((sum, item) => sum + rowsOf(item), 0);
  const unset = () => {};
  return { items, sessions, rows, settled: false, left: unset, resolve: unset, reject: unset };
}

function nativeItem({ session, guidance, ...request }: Entry['items'][number]): StepItem {
  const unconditional = (guidance?.unconditional as BatchSession | undefined)?.session;
  return {
    ...request,
    session: session.session,
    ...(unconditional && { guidance: { unconditional, scale: guidance!.scale } }),
  };
}

function rowsOf({ rows, shadow, session, guidance }: Entry['items'][number]): number {
  const own =
    rows === undefined
      ? session.session.length
      : 'start' in rows
        ? rows.end - rows.start
        : rows.length;
  return (own + (shadow?.length ?? 0)) * (guidance === undefined ? 1 : 2);
}
