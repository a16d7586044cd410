/** A model that answers many: slots, a queue in front of them, forwards shared by all. */
import { Batch, type BatchForward } from '../batch.js';
import { LacunaError } from '../errors.js';
import { generate } from '../generate.js';
import type { Generation } from '../generation.js';
import type { Model } from '../model.js';
import type { GenerateOptions, Prompt } from '../plan.js';
import { HttpError } from './errors.js';
import type { Limits } from './limits.js';

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

export class Engine {
  readonly model: Model;
  readonly id: string;
  readonly defaults: GenerateOptions;
  readonly parallel: number;
  /** Unix time in seconds. */
  readonly created = Math.floor(Date.now() / 1000);
  readonly #queue: number;
  readonly #batch: Batch;
  readonly #onSlot: (waited: number) => void;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #sessionBytes = 0;

  constructor({ model, id, defaults, limits, onForward, onSlot = () => {} }: EngineOptions) {
    this.#onSlot = onSlot;
    this.model = model;
    this.id = id;
    this.defaults = defaults;
    this.parallel = limits.parallel;
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
    return this.#sessionBytes;
  }

  /**
   * Waits for a slot and starts there. Throws at once what `generate` throws at once, 429 if the queue
   * is full, and rejects with `ABORTED` if the signal fires while it waits. The slot is free as soon as
   * the generation has ended, in whatever way.
   */
  async run(
    prompt: Prompt,
    options: GenerateOptions & { signal: AbortSignal },
  ): Promise<Generation> {
    const asked = performance.now();
    await this.#slot(options.signal);
    this.#onSlot(performance.now() - asked);
    try {
      const run = generate(this.#batch, prompt, this.#settings(options));
      const bytes = this.model.sessionBytes(run.prompt.length + run.shape.capacity);
      this.#sessionBytes += bytes;
      const over = () => {
        this.#sessionBytes -= bytes;
        this.#release();
      };
      void run.result.then(over, over);
      return run;
    } catch (error) {
      this.#release();
      throw error;
    }
  }

  /** A preset that the request names has its way over the policies of the defaults. */
  #settings(options: GenerateOptions): GenerateOptions {
    const { bos: _b, chat: _c, ...defaults } = this.defaults; // what the prompt was made with
    if (options.preset === undefined) return { ...defaults, ...options };
    const { decode: _1, blocks: _2, cache: _3, length: _4, refine: _5, ...others } = defaults;
    return { ...others, ...options };
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
      const abort = () => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1);
        reject(new LacunaError('ABORTED', 'left while it waited', { cause: signal.reason }));
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
