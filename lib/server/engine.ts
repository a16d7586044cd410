/** A model that answers many: slots, a queue in front of them, forwards shared by all. */
import { Batch, type BatchForward } from '../batch.js';
import { LacunaError } from '../errors.js';
import type { Model } from '../model.js';
import type { GenerateOptions } from '../plan.js';
import { HttpError } from './errors.js';
import type { Limits } from './limits.js';
import { holeSettings, settingsOf } from './settings.js';

export interface EngineOptions {
  model: Model;
  /** What clients call it: letters, digits, dots, dashes. */
  id: string;
  /** Of every request that does not say otherwise. */
  defaults: GenerateOptions;
  limits: Limits;
  onForward?: (forward: BatchForward) => void;
  /** Called when a generation gets its slot, with the milliseconds that it waited. */
  onSlot?: (waited: number) => void;
}

/** What a generation takes while it has its slot. */
export interface Slot {
  /** Of its canvas, at most. */
  positions: number;
}

export class Engine {
  readonly model: Model;
  readonly id: string;
  readonly defaults: GenerateOptions;
  readonly limits: Limits;
  readonly parallel: number;
  /** Tokens that prompt and answer may have together. */
  readonly most: number;
  /** Unix time in seconds. */
  readonly created = Math.floor(Date.now() / 1000);
  readonly #queue: number;
  readonly #batch: Batch;
  readonly #onSlot: (waited: number) => void;
  readonly #waiting: (() => void)[] = [];
  readonly #slots = new Set<Slot>();
  #running = 0;

  constructor({ model, id, defaults, limits, onForward, onSlot = () => {} }: EngineOptions) {
    this.#onSlot = onSlot;
    this.model = model;
    this.id = id;
    this.defaults = defaults;
    this.limits = limits;
    this.parallel = limits.parallel;
    this.most = Math.min(model.info.context || Infinity, limits.canvas);
    this.#queue = limits.queue;
    this.#batch = new Batch(model, { onForward });
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Of the generations that run. */
  get sessionBytes(): number {
    const { model } = this;
    if (model.disposed) return 0;
    return [...this.#slots].reduce((sum, slot) => sum + model.sessionBytes(slot.positions), 0);
  }

  /** A request's wishes over the defaults. */
  settings(wanted: GenerateOptions): GenerateOptions {
    return settingsOf(this.defaults, wanted);
  }

  /** The same for text with gaps. */
  holeSettings(wanted: GenerateOptions): GenerateOptions {
    return holeSettings(this.settings(wanted));
  }

  /**
   * Waits for a slot and starts work there, on a model that shares forwards with the others. Throws at
   * once 429 if the queue is full, rejects with what `start` throws, and with `ABORTED` if the signal
   * fires while it waits. The slot is free as soon as the work is done, in whatever way.
   *
   * @param slot is looked at as long as the work goes on
   * @param start its result has `done`, the end of the work
   */
  async use<T extends { done: Promise<unknown> }>(
    signal: AbortSignal,
    slot: Slot,
    start: (model: Batch) => T,
  ): Promise<T> {
    const asked = performance.now();
    await this.#slot(signal);
    this.#onSlot(performance.now() - asked);
    try {
      const work = start(this.#batch);
      this.#slots.add(slot);
      const over = () => {
        this.#slots.delete(slot);
        this.#release();
      };
      void work.done.then(over, over);
      return work;
    } catch (error) {
      this.#release();
      throw error;
    }
  }

  #slot(signal: AbortSignal): Promise<void> {
    if (this.#running < this.parallel) {
      this.#running++;
      return Promise.resolve();
    }
    if (this.#waiting.length >= this.#queue) {
      throw new HttpError(429, `${this.#queue} requests wait already; try again soon`, {
        code: 'queue_full',
        headers: { 'retry-after': '1' },
      });
    }
    return new Promise((resolve, reject) => {
      const left = () =>
        reject(new LacunaError('ABORTED', 'left while it waited', { cause: signal.reason }));
      if (signal.aborted) return left();
      const abort = () => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1);
        left();
      };
      // The slot passes from hand to hand, so that nobody can come in between.
      const go = () => {
        signal.removeEventListener('abort', abort);
        resolve();
      };
      signal.addEventListener('abort', abort, { once: true });
      this.#waiting.push(go);
    });
  }

  #release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running--;
    else next();
  }
}
