/** Single forwards over an answer that is known up to some token, with masks behind it. */
import { LacunaError } from '../errors.js';
import type { Model } from '../model.js';
import type { DiffusionSession } from '../session.js';
import type { Sampling } from '../types.js';

/** Masks that the model sees behind the token it is asked for. */
const masksBehind = 8;

export interface DeskOptions {
  sampling: Sampling;
  signal?: AbortSignal;
}

export class Desk {
  forwards = 0;
  readonly model: Model;
  readonly #prompt: Int32Array;
  readonly #options: DeskOptions;
  #session: DiffusionSession | undefined;

  constructor(model: Model, prompt: Int32Array, options: DeskOptions) {
    this.model = model;
    this.#prompt = prompt;
    this.#options = options;
  }

  /** Token ids of a text of the answer. */
  encode(text: string): Int32Array {
    return this.model.tokenizer.encode(text, { bos: false });
  }

  /** (allow) Probabilities of the token behind `known`, among those of `allow`, ascending. */
  async probabilities(known: ArrayLike<number>, allow: Int32Array): Promise<Float32Array> {
    const { probe } = await this.#step(known, allow, { probe: allow });
    return probe!;
  }

  /** The token behind `known`: the most probable of `allow`, or a sample of them. */
  async token(known: ArrayLike<number>, allow: Int32Array): Promise<number> {
    const sampling = { ...this.#options.sampling, step: this.forwards };
    const { token } = await this.#step(known, allow, { sampling });
    return token[0];
  }

  /** Counts the forwards of a run beside these. */
  count(forwards: number): void {
    this.forwards += forwards;
  }

  dispose(): void {
    this.#session?.dispose();
    this.#session = undefined;
  }

  async #step(known: ArrayLike<number>, allow: Int32Array, more: object) {
    const at = this.#prompt.length + known.length;
    const length = at + 1 + masksBehind;
    const session = this.#roomFor(length);
    session.set(this.#prompt.length, known);
    const { mask } = this.model.info.tokens;
    session.set(at, new Int32Array(length - at).fill(mask!));
    this.forwards++;
    const query = Int32Array.of(at);
    const request = { rows: { start: 0, end: length }, visible: length, query, allow, ...more };
    return session.step(request, { signal: this.#options.signal });
  }

  /** Keys and values are computed anew in every forward, so a longer session is simply another one. */
  #roomFor(length: number): DiffusionSession {
    if (this.#session !== undefined && this.#session.length >= length) return this.#session;
    const { context } = this.model.info;
    if (context > 0 && length > context) {
      throw new LacunaError(
        'INVALID_ARGUMENT',
        `object: the prompt of ${this.#prompt.length} tokens and the answer so far need ${length} ` +
          `positions, but the model's context is ${context}; lower maxStringTokens or maxItems`,
      );
    }
    this.dispose();
    const room = Math.ceil(length / 128) * 128;
    this.#session = this.model.createSession({
      length: context > 0 ? Math.min(room, context) : room,
    });
    this.#session.set(0, this.#prompt);
    return this.#session;
  }
}
