/** A model of 16 tokens whose logits a test scripts, with a session that checks what it is asked. */
import assert from 'node:assert/strict';
import { uniform } from '../../lib/decoding/philox.js';
import type { GenerationModel } from '../../lib/plan.js';
import {
  ScriptedModel,
  ScriptedSession,
  type Asked,
  type Predict,
  type Request as ScriptedRequest,
} from '../../lib/tasks/scripted.js';
import type { StepResult } from '../../lib/types.js';

export const vocabulary = 16;
export const mask = 15;
export const eos = 14;
export const eot = 13;

export type Request = ScriptedRequest;
export type { Predict };

/** Logits in which `token` has probability `p` and the others share the rest. */
export function confident(token: number, p: number): Float64Array {
  const rest = Math.log((1 - p) / (vocabulary - 1));
  return Float64Array.from({ length: vocabulary }, (_, i) => (i === token ? Math.log(p) : rest));
}

/** Logits that depend on everything known so far, as a model's do; MASK often ranks first. */
export const noisy: Predict = (position, canvas) => {
  const known = canvas.reduce((sum, token, i) => (token === mask ? sum : sum + token * (i + 1)), 0);
  return Float64Array.from(
    { length: vocabulary },
    (_, token) => 5 * uniform(known, token, position, 9),
  );
};

export class FakeModel extends ScriptedModel {
  readonly sessions: FakeSession[] = [];
  /** How many sessions each common forward had. */
  readonly batches: number[] = [];
  queues = false;
  /** Steps that were asked for while another one ran, and those that found nothing to do. */
  early = 0;
  idle = 0;

  constructor(predict: Predict = noisy, info: Partial<GenerationModel['info']> = {}) {
    super(predict, { vocabulary, tokens: { mask, eos, eot }, ...info });
  }

  override createSession({ length }: { length: number }): FakeSession {
    const session = new FakeSession(this, length);
    this.sessions.push(session);
    return session;
  }

  override async step(
    items: readonly (Asked & { session: ScriptedSession })[],
    options: { signal?: AbortSignal },
  ): Promise<StepResult[]> {
    this.batches.push(items.length);
    return super.step(items, options);
  }

  /** What the first session was asked, step by step. */
  get requests(): Request[] {
    return this.sessions[0].requests;
  }
}

export class FakeSession extends ScriptedSession {
  readonly requests: Request[] = [];
  #running = 0;
  readonly #model: FakeModel;

  constructor(model: FakeModel, length: number) {
    super(model, length);
    this.#model = model;
  }

  override async step(
    asked: Asked,
    { signal, queue = false }: { signal?: AbortSignal; queue?: boolean } = {},
  ): Promise<StepResult> {
    assert(!this.disposed);
    assert(queue || this.#running === 0);
    if (this.#running > 0) this.#model.early++;
    this.#running++;
    try {
      return await super.step(asked, { signal });
    } finally {
      this.#running--;
    }
  }

  protected override answer(request: Request, asked: Asked): StepResult {
    if (request.query.length === 0 && asked.query !== undefined && 'start' in asked.query) {
      this.#model.idle++;
    } else {
      this.requests.push(request);
      this.#check(request);
    }
    return super.answer(request, asked);
  }

  #visible({ visible = this.canvas.length }: Request): Set<number> {
    if (typeof visible !== 'number') return new Set(visible);
    return new Set(Array.from({ length: visible }, (_, i) => i));
  }

  /** What native sessions refuse, and what a decoder must not ask. */
  #check(request: Request): void {
    const rows = new Set(this.rows(request));
    const positions = [...request.query];
    assert(positions.length + (request.shadow ?? []).length > 0);
    for (const position of request.shadow ?? []) assert(position < this.canvas.length);
    const limited = (request.limits ?? []).flatMap((limit) => Array.from(limit.positions));
    assert.equal(new Set(limited).size, limited.length); // native code refuses the rest, too
    const reported = new Set([...positions, ...(request.shadow ?? [])]);
    assert(limited.every((position) => reported.has(position)));
    const soft = request.softMask ?? { position: [], alpha: [] };
    soft.position.forEach((position) => assert(position < this.canvas.length));
    soft.alpha.forEach((alpha) => assert(alpha >= 0 && alpha <= 1));
    assert(positions.every((position, i) => i === 0 || position > positions[i - 1]));
    const visible = this.#visible(request);
    for (const position of positions) {
      // a rule of native code finds masks only; policies may look at known tokens
      if (request.commit) assert.equal(this.canvas[position], mask);
      assert(rows.has(Math.max(0, position - this.model.info.logitShift)));
      assert(visible.has(position));
    }
    const { start, end } = request.commit?.within ?? { start: 0, end: 1 };
    assert(start >= 0 && start < end && end <= this.canvas.length);
    for (const row of rows) assert(row >= 0 && row < this.canvas.length);
  }
}
