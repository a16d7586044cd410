/** The low level: one canvas of tokens, and the keys and values of every position. */
import { LacunaError } from './errors.js';
import type { Model } from './model.js';
import { call, type NativeSession, type NativeStep, type NativeStepResult } from './native.js';
import { resolveStep } from './request.js';
import type { Commit, StepRequest, StepResult } from './types.js';
import {
  integer,
  invalid,
  knownKeys,
  list,
  number,
  object,
  positions,
  tokenIds,
} from './validate.js';

/** Options of `step`. */
export interface StepOptions {
  /** Ends the step with `ABORTED`; the canvas then is as it was before. */
  signal?: AbortSignal;
  /**
   * Steps of a session that is in a step wait for it, in the order of the calls, instead of rejecting
   * with `BUSY`: the next forward then follows without a gap. Default false.
   */
  queue?: boolean;
}

/**
 * One canvas, made by `model.createSession`; all masks at first. Its keys and values hold what the
 * last step that computed a row wrote there, so rows that a step looks at must have been computed.
 *
 * While a step runs, calls that change or copy the session throw `BUSY`, and so does another step
 * unless it may queue; after `dispose`, or the model's, everything throws `DISPOSED`.
 */
export class DiffusionSession implements Disposable {
  /** @internal */
  readonly model: Model;
  readonly #native: NativeSession;
  #steps = 0;
  #rows = 0;

  /** @internal Sessions are made by `model.createSession` and `fork`. */
  constructor(model: Model, native: NativeSession, steps = 0, rows = 0) {
    this.model = model;
    this.#native = native;
    this.#steps = steps;
    this.#rows = rows;
  }

  /** Positions of the canvas. */
  get length(): number {
    return this.#native.length;
  }

  get maskToken(): number {
    return this.model.info.tokens.mask!; // createSession needs one
  }

  /** (length) A copy of the canvas; during steps, of the canvas as the first of them found it. */
  get tokens(): Int32Array {
    return call(() => this.#native.tokens());
  }

  /** Positions that hold MASK, ascending. */
  get masked(): Int32Array {
    const canvas = this.tokens;
    const { maskToken } = this;
    return Int32Array.from(canvas.keys()).filter((position) => canvas[position] === maskToken);
  }

  /** Steps that have succeeded, and the rows they computed here. A fork goes on counting. */
  get counters(): { steps: number; rows: number } {
    return { steps: this.#steps, rows: this.#rows };
  }

  /** Writes tokens from a position on; MASK is a token like others here. */
  set(position: number, tokens: ArrayLike<number>): void {
    const ids = tokenIds('tokens', tokens, this.model.info.vocabulary);
    if (ids.length > this.length) {
      invalid('tokens', tokens, `at most ${this.length} tokens, the length of the canvas`);
    }
    integer('position', position, { min: 0, max: this.length - ids.length });
    call(() => this.#native.set(position, ids));
  }

  /**
   * One forward. Reports statistics, and commits if the request has a rule.
   *
   * Rejects with `INVALID_ARGUMENT` for a request that is misspelt, out of range or contradicts
   * itself, `BUSY`, `DISPOSED`, `ABORTED`, `OUT_OF_MEMORY`.
   */
  async step(
    request: StepRequest<DiffusionSession> = {},
    options: StepOptions = {},
  ): Promise<StepResult> {
    const [result] = await this.model.step(
      [{ ...object('step request', request), session: this }],
      options,
    );
    return result;
  }

  /** Writes the caller's own decisions, all or none: each position once, MASK never. */
  commit(commits: readonly Commit[]): void {
    const canvas = this.tokens;
    const seen = new Set<number>();
    list('commits', commits, 'an array of { position, token }').forEach((commit, i) => {
      const name = `commits[${i}]`;
      knownKeys(name, commit, ['position', 'token']);
      const { position, token } = commit as Commit;
      integer(`${name}.position`, position, { min: 0, max: this.length - 1 });
      integer(`${name}.token`, token, { min: 0, max: this.model.info.vocabulary - 1 });
      if (token === this.maskToken) invalid(`${name}.token`, token, 'other than MASK: use remask');
      if (seen.has(position)) invalid(`${name}.position`, position, 'a new position each time');
      seen.add(position);
      canvas[position] = token;
    });
    call(() => this.#native.set(0, canvas));
  }

  /** Takes tokens back: writes MASK. */
  remask(at: ArrayLike<number>): void {
    const canvas = this.tokens;
    for (const position of positions('positions', at, this.length)) {
      canvas[position] = this.maskToken;
    }
    call(() => this.#native.set(0, canvas));
  }

  /**
   * A copy: canvas, keys and values, and counters. Takes no time and little memory itself: keys and
   * values are copied in the first step of one of the two, which may reject with `OUT_OF_MEMORY`.
   */
  fork(): DiffusionSession {
    const native = call(() => this.#native.fork());
    return new DiffusionSession(this.model, native, this.#steps, this.#rows);
  }

  /** Frees the memory. A step that is running rejects with `DISPOSED`. */
  dispose(): void {
    this.#native.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @internal The request in native form. */
  resolve({ guidance, ...request }: StepRequest<DiffusionSession>): NativeStep {
    const { vocabulary, logitShift } = this.model.info;
    const context = {
      vocabulary,
      logitShift,
      mask: this.maskToken,
      length: this.length,
      canvas: () => this.tokens,
      steps: this.#steps,
    };
    const step = { ...resolveStep(request, context), session: this.#native };
    if (guidance === undefined) return { ...step, unconditional: null, guidance: 0 };
    knownKeys('guidance', guidance, ['unconditional', 'scale']);
    const { unconditional, scale } = guidance;
    if (!(unconditional instanceof DiffusionSession)) {
      return invalid('guidance.unconditional', unconditional, 'a session');
    }
    if (unconditional.length !== this.length) {
      const message = `has ${unconditional.length} positions, the guided one ${this.length}`;
      throw new LacunaError(
        'INVALID_ARGUMENT',
        `guidance.unconditional ${message}; both must be equal`,
      );
    }
    const bounds = { min: -1e30, max: 1e30 };
    return {
      ...step,
      unconditional: unconditional.#native,
      guidance: number('guidance.scale', scale, bounds),
    };
  }

  /** @internal The native result of a step that has succeeded. */
  accept(request: StepRequest<DiffusionSession>, native: NativeStepResult): StepResult {
    this.#steps++;
    this.#rows += native.rows;
    const { position, token, probability, margin, entropy, committed, rows, timing } = native;
    const [embed, norm, linear, rope, attend, moe, head, commit, total] = timing;
    const k = request.topK ?? 0;
    return {
      ...{ position, token, probability, margin, entropy },
      ...(k > 0 && {
        top: {
          k,
          token: native.topToken ?? new Int32Array(),
          probability: floats(native.topProbability),
        },
      }),
      ...(request.probe !== undefined && { probe: inOrder(floats(native.probe), request.probe) }),
      ...(request.kl === true && { kl: floats(native.kl) }),
      ...(request.logits === true && { logits: floats(native.logits) }),
      ...{ committed, rows },
      timing: { embed, norm, linear, rope, attend, moe, head, commit, total },
    };
  }
}

function floats(values: Float32Array | undefined): Float32Array {
  return values ?? new Float32Array();
}

/** (n × probes) Native columns are ascending and without repeats; the caller's order comes back. */
function inOrder(native: Float32Array, probe: ArrayLike<number>): Float32Array {
  const ids = Array.from(probe);
  const columns = [...new Set(ids)].sort((a, b) => a - b);
  if (columns.every((id, i) => id === ids[i]) && columns.length === ids.length) return native;
  const from = ids.map((id) => columns.indexOf(id));
  const rows = columns.length === 0 ? 0 : native.length / columns.length;
  return Float32Array.from({ length: rows * ids.length }, (_, i) => {
    const row = Math.floor(i / ids.length);
    return native[row * columns.length + from[i % ids.length]];
  });
}
