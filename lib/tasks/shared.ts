/** Several generations at a time, their forwards made together. */
import { LacunaError } from '../errors.js';
import type { GenerationModel, GenerationSession } from '../plan.js';
import type { StepRequest, StepResult } from '../types.js';

type Item = StepRequest & { session: GenerationSession };

interface Waiting {
  items: readonly Item[];
  resolve: (results: StepResult[]) => void;
  reject: (error: unknown) => void;
}

/**
 * The same model for several generations at once: as soon as each of them waits for a forward, one
 * forward serves them all. Results are those of separate forwards, and a large canvas is cheaper by
 * the row than a small one.
 */
export class SharedModel implements GenerationModel {
  readonly info: GenerationModel['info'];
  readonly #model: GenerationModel;
  readonly #signal: AbortSignal | undefined;
  #running = 0;
  #waiting: Waiting[] = [];

  constructor(model: GenerationModel, signal?: AbortSignal) {
    this.info = model.info;
    this.#model = model;
    this.#signal = signal;
  }

  get tokenizer(): GenerationModel['tokenizer'] {
    return this.#model.tokenizer;
  }

  /** Counts `work`, which runs one generation of this model, among those that forwards wait for. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    this.#running++;
    try {
      return await work();
    } finally {
      this.#running--;
      this.#stepIfAllWait();
    }
  }

  createSession(options: { length: number }): GenerationSession {
    return new SharedSession(this, this.#model.createSession(options));
  }

  step(items: readonly (StepRequest & { session: GenerationSession })[]): Promise<StepResult[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ items: items.map(unwrapped), resolve, reject });
      this.#stepIfAllWait();
    });
  }

  #stepIfAllWait(): void {
    if (this.#waiting.length === 0 || this.#waiting.length < this.#running) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    void this.#stepFor(waiting);
  }

  async #stepFor(waiting: readonly Waiting[]): Promise<void> {
    try {
      const items = waiting.flatMap((one) => one.items);
      const results = await this.#model.step(items as never, { signal: this.#signal });
      let from = 0;
      for (const { items, resolve } of waiting)
        resolve(results.slice(from, (from += items.length)));
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }
}

class SharedSession implements GenerationSession {
  readonly #model: SharedModel;
  readonly inner: GenerationSession;

  constructor(model: SharedModel, inner: GenerationSession) {
    this.#model = model;
    this.inner = inner;
  }

  set(position: number, tokens: Int32Array): void {
    this.inner.set(position, tokens);
  }

  async step(
    request: StepRequest<GenerationSession> = {},
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<StepResult> {
    if (signal?.aborted) {
      throw new LacunaError('ABORTED', 'step aborted', { cause: signal.reason });
    }
    const [result] = await this.#model.step([{ ...request, session: this }]);
    return result;
  }

  fork(): GenerationSession {
    return new SharedSession(this.#model, this.inner.fork());
  }

  dispose(): void {
    this.inner.dispose();
  }
}

/** With the sessions of the model itself. */
function unwrapped({ session, ...request }: Item): Item {
  const guidance = request.guidance && {
    ...request.guidance,
    unconditional: (request.guidance.unconditional as SharedSession).inner,
  };
  return { ...request, ...(guidance && { guidance }), session: (session as SharedSession).inner };
}
