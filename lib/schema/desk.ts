/** Single forwards over an answer that is known up to some token, with masks behind it. */
import { setImmediate } from 'node:timers/promises';
import { LacunaError } from '../errors.js';
import { throwIfAborted } from '../generation.js';
import { has } from '../token-sets.js';
import type { GenerationModel, GenerationSession } from '../plan.js';
import type { Sampling } from '../types.js';

/** Masks that the model sees behind the token it is asked for. */
export const masksBehind = 8;

/** How far the last look reaches, and how many tokens it knows of each position. */
const lookMasks = 256;
const lookTokens = 64;

/** Letters that are encoded without a pause. */
const turnEvery = 1 << 16;

export interface DeskOptions {
  sampling: Sampling;
  signal?: AbortSignal;
  /** When it fires, one forward more says all that is asked from then on. */
  deadline?: AbortSignal;
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
  #last: { from: number; rows: ReadonlyMap<number, number>[] } | undefined;

  constructor(model: GenerationModel, prompt: Int32Array, options: DeskOptions) {
    this.model = model;
    this.prompt = prompt;
    this.#options = options;
  }

  /** The answer is to be completed with what one more forward says. */
  get late(): boolean {
    return this.#options.deadline?.aborted ?? false;
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

  /**
   * (allow) Probabilities of the token behind `known`, among those of `allow`, ascending; late, those of
   * the last look, 0 for what it does not know.
   */
  async probabilities(known: ArrayLike<number>, allow: Int32Array): Promise<Float32Array> {
    if (this.late) {
      const seen = await this.#seen(known);
      return Float32Array.from(allow, (token) => seen.get(token) ?? 0);
    }
    const { probe } = await this.#step(known, 1 + masksBehind, 1, { allow, probe: allow });
    return probe!;
  }

  /**
   * The token behind `known`: the most probable of `allow`, ascending, or a sample of them; late,
   * `undefined` if the last look knows none of them.
   */
  async token(known: ArrayLike<number>, allow: Int32Array): Promise<number | undefined> {
    if (this.late) {
      const seen = await this.#seen(known);
      return [...seen.keys()].find((token) => has(allow, token));
    }
    const sampling = { ...this.#options.sampling, step: this.forwards };
    const { token } = await this.#step(known, 1 + masksBehind, 1, { allow, sampling });
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

  /** Of the token behind `known`, most probable first, by the one forward there is when it is late. */
  async #seen(known: ArrayLike<number>): Promise<ReadonlyMap<number, number>> {
    this.room(known.length);
    await setImmediate(); // a long answer costs no more forwards, and would not let others in
    if (this.#options.signal) throwIfAborted(this.#options.signal);
    this.#last ??= { from: known.length, rows: await this.#look(known) };
    return this.#last.rows[known.length - this.#last.from] ?? new Map<number, number>();
  }

  async #look(known: ArrayLike<number>): Promise<ReadonlyMap<number, number>[]> {
    const { context, vocabulary } = this.model.info;
    const left = (context || Infinity) - this.prompt.length - known.length;
    const masks = Math.max(1, Math.min(lookMasks, left, this.room(known.length)));
    const k = Math.min(lookTokens, vocabulary);
    const { top } = await this.#step(known, masks, masks, { topK: k });
    return Array.from({ length: masks }, (_, i) => {
      const entries = Array.from({ length: k }, (_, j) => i * k + j);
      return new Map(entries.map((at) => [top!.token[at], top!.probability[at]]));
    });
  }

  /** @param report so many positions behind `known` */
  async #step(known: ArrayLike<number>, masks: number, report: number, more: object) {
    this.room(known.length);
    const at = this.prompt.length + known.length;
    const length = at + masks;
    const session = this.#roomFor(length);
    session.set(this.prompt.length, Int32Array.from(known));
    const { mask } = this.model.info.tokens;
    session.set(at, new Int32Array(length - at).fill(mask!));
    const query = Int32Array.from({ length: report }, (_, i) => at + i);
    const request = { rows: { start: 0, end: length }, visible: length, query, ...more };
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
