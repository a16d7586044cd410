/** Single forwards over an answer that is known up to some token, with masks behind it. */
import { setImmediate } from 'node:timers/promises';
import { LacunaError } from '../errors.js';
import { throwIfAborted } from '../generation.js';
import type { GenerationModel, GenerationSession } from '../plan.js';
import type { Sampling } from '../types.js';

/** Masks that the model sees behind the token it is asked for. */
export const masksBehind = 8;

/** Letters that are encoded without a pause. */
const turnEvery = 1 << 16;

export interface DeskOptions {
  sampling: Sampling;
  signal?: AbortSignal;
  /** Tokens that the answer may have; longer ones end with `AnswerFull`. Default: no limit. */
  most?: number;
}

/** The answer has all the tokens that it may have, and is not complete. */
export class AnswerFull extends Error {}

export class Desk {
  forwards = 0;
  /** `performance.now()` after the first forward. */
  firstForward: number | undefined;
  readonly model: GenerationModel;
  readonly prompt: Int32Array;
  readonly #options: DeskOptions;
  #session: GenerationSession | undefined;
  #length = 0; // of the session

  constructor(model: GenerationModel, prompt: Int32Array, options: DeskOptions) {
    this.model = model;
    this.prompt = prompt;
    this.#options = options;
  }

  /** How many tokens may follow `known` of them. */
  room(known: number): number {
    const { most = Infinity } = this.#options;
    if (known >= most) throw new AnswerFull(`the answer may have ${most} tokens`);
    return most - known;
  }

  /** Token ids of a text of the answer. */
  encode(text: string): Int32Array {
    return this.model.tokenizer.encode(text, { bos: false });
  }

  /** The same of many texts, with turns for others in between. */
  async encodeAll(texts: readonly string[]): Promise<Int32Array[]> {
    const ids: Int32Array[] = [];
    let letters = 0;
    for (const text of texts) {
      ids.push(this.encode(text));
      letters += text.length;
      if (letters < turnEvery) continue;
      letters = 0;
      await setImmediate();
      if (this.#options.signal) throwIfAborted(this.#options.signal);
    }
    return ids;
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
    this.firstForward ??= performance.now();
  }

  dispose(): void {
    this.#session?.dispose();
    this.#session = undefined;
  }

  async #step(known: ArrayLike<number>, allow: Int32Array, more: object) {
    this.room(known.length);
    const at = this.prompt.length + known.length;
    const length = at + 1 + masksBehind;
    const session = this.#roomFor(length);
    session.set(this.prompt.length, Int32Array.from(known));
    const { mask } = this.model.info.tokens;
    session.set(at, new Int32Array(length - at).fill(mask!));
    const query = Int32Array.of(at);
    const request = { rows: { start: 0, end: length }, visible: length, query, allow, ...more };
    const result = await session.step(request, { signal: this.#options.signal });
    this.count(1);
    return result;
  }

  /** Keys and values are computed anew in every forward, so a longer session is simply another one. */
  #roomFor(length: number): GenerationSession {
    if (this.#session !== undefined && this.#length >= length) return this.#session;
    const { context } = this.model.info;
    if (context > 0 && length > context) {
      throw new LacunaError(
        'INVALID_ARGUMENT',
        `object: the prompt of ${this.prompt.length} tokens and the answer so far need ${length} ` +
          `positions, but the model's context is ${context}; lower maxStringTokens or maxItems`,
      );
    }
    this.dispose();
    const room = Math.ceil(length / 128) * 128;
    this.#length = context > 0 ? Math.min(room, context) : room;
    this.#session = this.model.createSession({ length: this.#length });
    this.#session.set(0, this.prompt);
    return this.#session;
  }
}
