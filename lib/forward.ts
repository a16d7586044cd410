/** Sessions of a run, and its forwards: of the canvas itself, and of canvases that might be. */
import { isDeepStrictEqual } from 'node:util';
import { mergeAsks } from './decoding/asks.js';
import type { Ask, Rows } from './decoding/policy.js';
import type { GenerationModel, GenerationSession } from './plan.js';
import type { CommitRule, Limit, Range, Sampling, StepRequest, StepResult } from './types.js';

/** The canvas, and with guidance its twin, which has masks for the prompt and the same answer. */
interface Pair {
  session: GenerationSession;
  unconditional: GenerationSession | undefined;
}

/** What is the same in every forward of a run. */
export interface ForwardPlan {
  model: GenerationModel;
  /** Token ids. */
  prompt: Int32Array;
  /** Positions of the sessions: the most that the canvas can have. */
  capacity: number;
  logitShift: number;
  sampling: Sampling;
  /** LLaDA's w; 0: none. */
  cfgScale: number;
  suppress: Int32Array;
}

/** What differs from forward to forward. */
export interface ForwardOptions {
  asks: readonly Ask[];
  rows: Rows;
  /** Current length of the canvas. */
  length: number;
  step: number;
  statistics: Sampling['statistics'];
  commit?: CommitRule;
}

/** What a forward asked of which positions. */
export type ForwardRequest = StepRequest & { query?: Int32Array };

/** A forward's request in full, and its result. */
export interface Forward {
  request: ForwardRequest;
  result: StepResult;
  /** Canvases of later steps that were computed together with this one. */
  guesses?: readonly Forward[];
  /** It was itself such a guess: the step that takes it makes no forward. */
  reused?: boolean;
}

/** A canvas that a later step may have, and what that step would ask. */
export interface Guess {
  /** (capacity − prompt) */
  answer: Int32Array;
  options: ForwardOptions;
}

/** A guess that was computed: its sessions hold the keys and values that its step would leave. */
interface Computed extends Forward {
  answer: Int32Array;
  pair: Pair;
}

/** Everything native of a generation. Made when it starts, disposed of when it ends. */
export class Forwards {
  readonly #plan: ForwardPlan;
  readonly #signal: AbortSignal;
  #main: Pair;
  /** (capacity − prompt) What the main session holds. */
  #answer: Int32Array | undefined;
  #computed: Computed[] = []; // guesses that no step has had yet
  readonly #pairs: Pair[] = []; // all that must be freed
  readonly #spare: Pair[] = []; // for canvases that might be, whose rows are all computed

  constructor(plan: ForwardPlan, signal: AbortSignal) {
    this.#plan = plan;
    this.#signal = signal;
    this.#main = this.#create();
  }

  /**
   * One forward of the canvas that was written last; none if it was guessed before, with the same
   * request.
   * @param guess canvases to compute along with it, nearest step first
   */
  async step(options: ForwardOptions, guess?: () => Promise<Guess[]>): Promise<Forward> {
    const request = this.#request(options, this.#main.unconditional);
    const known = this.#take(request);
    if (known !== undefined) return known;
    if (guess !== undefined) {
      const guesses = covering(request, await guess(), (given) => this.#request(given, undefined));
      if (guesses.length > 0) return this.#stepWith(request, guesses);
    }
    return { request, result: await this.#run(request) };
  }

  /**
   * The forward after the one that runs, without waiting for it: over the positions of `query` that are
   * masked then. Rejects like others, but somebody who no longer wants it need not look.
   */
  ahead(options: ForwardOptions, query: Range): Promise<Forward> {
    const request = this.#request(options, this.#main.unconditional);
    const run = async () => {
      const result = await this.#run({ ...request, query });
      return { request: { ...request, query: result.position }, result };
    };
    const forward = run();
    forward.catch(() => {});
    return forward;
  }

  #run(request: StepRequest): Promise<StepResult> {
    const options = { signal: this.#signal, queue: this.#plan.model.queues };
    return this.#main.session.step(request as never, options);
  }

  /** The guess of this canvas and request becomes the main one; without one all are dropped. */
  #take(request: ForwardRequest): Forward | undefined {
    const i = this.#computed.findIndex(
      (guess) => equal(guess.answer, this.#answer) && sameRequest(guess.request, request),
    );
    if (i < 0) {
      for (const { pair } of this.#computed.splice(0)) this.#release(pair);
      return undefined;
    }
    const [{ pair, result }] = this.#computed.splice(i, 1);
    this.#release(this.#main);
    this.#main = pair;
    return { request, result, reused: true };
  }

  /** The canvas and its guesses in one forward. */
  async #stepWith(request: ForwardRequest, guesses: readonly Guess[]): Promise<Forward> {
    const pairs = guesses.map(({ answer, options }) => {
      const pair = this.#like(options.rows);
      this.#write(pair, answer);
      return pair;
    });
    const requests = guesses.map(({ options }, i) =>
      this.#request(options, pairs[i].unconditional),
    );
    const items = [this.#main, ...pairs].map(
      ({ session }, i) => ({ ...[request, ...requests][i], session }) as never,
    );
    const [result, ...results] = await this.#plan.model.step(items, { signal: this.#signal });
    this.#computed = guesses.map(({ answer }, i) => ({
      ...{ answer, pair: pairs[i], request: requests[i], result: results[i] },
    }));
    return { request, result, guesses: this.#computed };
  }

  /**
   * One forward over several answers in place of the canvas, which stays as it is.
   * @param answers (capacity − prompt) each
   */
  async look(
    answers: readonly Int32Array[],
    options: (i: number) => ForwardOptions,
  ): Promise<Forward[]> {
    const pairs: Pair[] = [];
    try {
      for (const answer of answers) {
        const pair = this.#like(options(pairs.length).rows);
        pairs.push(pair);
        this.#write(pair, answer);
      }
      const requests = pairs.map(({ unconditional }, i) =>
        this.#request(options(i), unconditional),
      );
      const items = requests.map(
        (request, i) => ({ ...request, session: pairs[i].session }) as never,
      );
      const results = await this.#plan.model.step(items, { signal: this.#signal });
      return results.map((result, i) => ({ request: requests[i], result }));
    } finally {
      for (const pair of pairs) this.#release(pair);
    }
  }

  /** @param answer (capacity − prompt) */
  write(answer: Int32Array): void {
    this.#answer = answer.slice();
    this.#write(this.#main, answer);
  }

  dispose(): void {
    for (const pair of this.#pairs.splice(0)) free(pair);
  }

  #create(): Pair {
    const { model, capacity, cfgScale, prompt } = this.#plan;
    const pair: Pair = {
      session: model.createSession({ length: capacity }),
      unconditional: undefined,
    };
    this.#pairs.push(pair);
    try {
      pair.session.set(0, prompt);
      if (cfgScale > 0) pair.unconditional = model.createSession({ length: capacity });
    } catch (error) {
      this.dispose();
      throw error;
    }
    return pair;
  }

  /** A pair for another canvas: with its keys and values if a forward leaves out rows. */
  #like({ rows, visible }: Rows): Pair {
    if (rows === undefined && visible === undefined) return this.#spare.pop() ?? this.#create();
    const pair: Pair = { session: this.#main.session.fork(), unconditional: undefined };
    this.#pairs.push(pair);
    pair.unconditional = this.#main.unconditional?.fork();
    return pair;
  }

  #release(pair: Pair): void {
    // A few are kept, as the next look wants as many; what they hold is computed anew.
    if (this.#spare.length < 8 && !this.#spare.includes(pair)) this.#spare.push(pair);
    else {
      this.#pairs.splice(this.#pairs.indexOf(pair), 1);
      free(pair);
    }
  }

  #write({ session, unconditional }: Pair, answer: Int32Array): void {
    const { prompt } = this.#plan;
    session.set(prompt.length, answer);
    unconditional?.set(prompt.length, answer);
  }

  #request(options: ForwardOptions, unconditional: GenerationSession | undefined): ForwardRequest {
    const { sampling, suppress, cfgScale, capacity } = this.#plan;
    const { asks, step, statistics, commit, length } = options;
    const rows = clip(options.rows, length, capacity);
    const { query: wanted, limits, ...asked } = mergeAsks([...asks, { suppress }]);
    const computed = computedRows(rows.rows, length);
    // With a logit shift the last row may also predict a position that nobody sees yet.
    const seen = holds(rows.visible ?? length);
    const query = wanted.filter(
      (position) => seen(position) && computed(Math.max(0, position - this.#plan.logitShift)),
    );
    return {
      ...asked,
      ...rows,
      query,
      ...(limits && { limits: reported(limits, [...query, ...asked.shadow]) }),
      sampling: { ...sampling, statistics, step },
      guidance: unconditional && { unconditional, scale: cfgScale + 1 },
      commit: commit && { seed: sampling.seed, step, ...commit },
    };
  }
}

/**
 * Guesses whose result is the one that their step would get. Their sessions begin with the keys and
 * values from before this forward, so each must compute every row that the forwards until then
 * compute; and no divergence, which is measured from a position's last report.
 */
function covering(
  request: StepRequest,
  guesses: readonly Guess[],
  requestOf: (options: ForwardOptions) => StepRequest,
): Guess[] {
  const before: StepRequest['rows'][] = [request.rows];
  return guesses.filter(({ options }) => {
    const { rows, kl } = requestOf(options);
    const computes = computedRows(rows, options.length);
    const covered = before.every((earlier) => rowsOf(earlier, options.length).every(computes));
    before.push(rows);
    return covered && !kl;
  });
}

function rowsOf(rows: StepRequest['rows'], length: number): number[] {
  if (rows !== undefined && !('start' in rows)) return Array.from(rows);
  const { start, end } = rows ?? { start: 0, end: length };
  return Array.from({ length: end - start }, (_, i) => start + i);
}

/** But for the sessions in them. */
function sameRequest(a: StepRequest, b: StepRequest): boolean {
  return isDeepStrictEqual({ ...a, guidance: undefined }, { ...b, guidance: undefined });
}

function equal(a: Int32Array, b: Int32Array | undefined): boolean {
  return b !== undefined && a.every((value, i) => value === b[i]);
}

function free({ session, unconditional }: Pair): void {
  session.dispose();
  unconditional?.dispose();
}

/** What the limits say of positions that a forward reports. */
function reported(limits: readonly Limit[], positions: readonly number[]): Limit[] {
  const asked = new Set(positions);
  return limits
    .map((limit) => ({
      ...limit,
      positions: Int32Array.from(limit.positions).filter((position) => asked.has(position)),
    }))
    .filter(({ positions }) => positions.length > 0);
}

/** Rows and keys that the canvas does not have yet stay out of the forward. */
function clip({ rows, visible }: Rows, length: number, capacity: number): Rows {
  if (length === capacity)
    return { ...(rows && { rows }), ...(visible !== undefined && { visible }) };
  const below = (list: Int32Array): Int32Array => list.filter((position) => position < length);
  const { start, end } =
    rows === undefined || rows instanceof Int32Array ? { start: 0, end: length } : rows;
  return {
    rows: rows instanceof Int32Array ? below(rows) : { start, end: Math.min(end, length) },
    visible: visible instanceof Int32Array ? below(visible) : Math.min(visible ?? length, length),
  };
}

function computedRows(rows: Rows['rows'], length: number): (row: number) => boolean {
  if (rows === undefined || rows instanceof Int32Array) return holds(rows ?? length);
  return (row) => row >= rows.start && row < rows.end;
}

/** Whether a number is in the list, or below the bound. */
function holds(set: number | Int32Array): (x: number) => boolean {
  if (typeof set === 'number') return (x) => x < set;
  const listed = new Set(set);
  return (x) => listed.has(x);
}
