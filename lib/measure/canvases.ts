/** Many canvases of one text, some of it known, in as few forwards as the batch allows. */
import type { Model } from '../model.js';
import type { DiffusionSession } from '../session.js';
import { abortSignal, integer, invalid, knownKeys, tokenIds } from '../validate.js';
import type { LikelihoodOptions } from './likelihood.js';

/** Which positions of the text hold their token, and which masked ones are asked for. */
export interface PartlyKnown {
  known: Int32Array;
  /** Ascending. */
  query: Int32Array;
}

/**
 * @param canvas index of the canvas
 * @param nats (query) log-probability of the text's token
 * @param probability (query) of the most probable token
 */
type Report = (canvas: number, nats: Float64Array, probability: Float64Array) => void;

const least = 2 ** -149; // of a 32-bit float: rounded to 0 it would make a sum −∞

/** Sessions of one text, used again and again. */
export class CanvasPool {
  /** Of the text. */
  readonly length: number;
  readonly #model: Model;
  readonly #text: Int32Array;
  readonly #prefix: Int32Array;
  readonly #batch: number;
  readonly #options: { signal?: AbortSignal };
  readonly #sessions: DiffusionSession[] = [];

  constructor(model: Model, text: Int32Array, options: LikelihoodOptions) {
    knownKeys('likelihood options', options, ['prefix', 'batch', 'seed', 'signal']);
    const { info } = model;
    integer('seed', options.seed ?? 0, { min: 0 });
    this.#batch = integer('batch', options.batch ?? 8, { min: 1 });
    this.#prefix = tokenIds('prefix', options.prefix ?? [], info.vocabulary);
    const signal = abortSignal('signal', options.signal);
    this.#options = signal ? { signal } : {};
    if (info.tokens.mask === undefined) invalid('model', info.name, 'one with a mask token');
    if (info.logitShift === 1 && this.#prefix.length === 0) {
      invalid(
        'prefix',
        options.prefix,
        'at least one token: the row before predicts the first one',
      );
    }
    const canvas = text.length + this.#prefix.length;
    if (info.context > 0) integer('prefix and text together', canvas, { max: info.context });
    this.#model = model;
    this.#text = text;
    this.length = text.length;
  }

  /** Positions of the text that are not in the list, ascending. */
  without(known: readonly number[]): Int32Array {
    const set = new Set(known);
    return Int32Array.from(this.#text.keys()).filter((position) => !set.has(position));
  }

  /** Each canvas is reported once, in order. */
  async run(canvases: readonly PartlyKnown[], report: Report): Promise<void> {
    for (let first = 0; first < canvases.length; first += this.#batch) {
      const now = canvases.slice(first, first + this.#batch);
      const items = now.map((canvas, i) => this.#item(canvas, this.#session(i)));
      const results = await this.#model.step(items, this.#options);
      results.forEach(({ probe, probability }, i) => {
        const { query } = now[i];
        const columns = items[i].probe.length;
        const nats = Float64Array.from(query, (position, row) => {
          const column = items[i].probe.indexOf(this.#text[position]);
          return Math.log(Math.max(probe![row * columns + column], least));
        });
        report(first + i, nats, probability);
      });
    }
  }

  #item({ known, query }: PartlyKnown, session: DiffusionSession) {
    const start = this.#prefix.length;
    const canvas = new Int32Array(start + this.length).fill(session.maskToken);
    canvas.set(this.#prefix);
    for (const position of known) canvas[start + position] = this.#text[position];
    session.set(0, canvas);
    const probe = Int32Array.from(new Set(query.map((position) => this.#text[position])));
    return { session, query: query.map((position) => start + position), probe };
  }

  #session(index: number): DiffusionSession {
    const length = this.#prefix.length + this.length;
    this.#sessions[index] ??= this.#model.createSession({ length });
    return this.#sessions[index];
  }

  dispose(): void {
    for (const session of this.#sessions) session.dispose();
  }
}
