/** A model of 16 tokens whose logits a test scripts, with a session that checks what it is asked. */
import assert from 'node:assert/strict';
import { gumbel, uniform } from '../../lib/decoding/philox.js';
import { applyRule } from '../../lib/decoding/rule.js';
import { LacunaError } from '../../lib/errors.js';
import type { GenerationModel, GenerationSession } from '../../lib/plan.js';
import type { Commit, StepRequest, StepResult, StepTiming } from '../../lib/types.js';

export const vocabulary = 16;
export const mask = 15;
export const eos = 14;
export const eot = 13;

export type Request = StepRequest<FakeSession>;
/** Logits of a position, (vocabulary). `step` is the run's. */
export type Predict = (position: number, canvas: Int32Array, step: number) => ArrayLike<number>;

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

const timing: StepTiming = {
  embed: 0,
  norm: 0,
  linear: 0,
  rope: 0,
  attend: 0,
  moe: 0,
  head: 0,
  commit: 0,
  total: 1,
};

export class FakeModel implements GenerationModel {
  readonly sessions: FakeSession[] = [];
  readonly info: GenerationModel['info'];

  constructor(
    readonly predict: Predict = noisy,
    info: Partial<GenerationModel['info']> = {},
  ) {
    const tokens = { mask, eos, eot };
    this.info = {
      architecture: 'llada',
      vocabulary,
      context: 0,
      logitShift: 0,
      attention: 'full',
      tokens,
      ...info,
    };
  }

  get tokenizer(): never {
    throw new LacunaError('UNSUPPORTED_TOKENIZER', 'the fake model has no tokenizer');
  }

  createSession({ length }: { length: number }): FakeSession {
    const session = new FakeSession(this, length);
    this.sessions.push(session);
    return session;
  }

  /** What the first session was asked, step by step. */
  get requests(): Request[] {
    return this.sessions[0].requests;
  }
}

export class FakeSession implements GenerationSession {
  readonly canvas: Int32Array;
  readonly requests: Request[] = [];
  disposed = false;

  constructor(
    readonly model: FakeModel,
    length: number,
  ) {
    this.canvas = new Int32Array(length).fill(mask);
  }

  set(position: number, tokens: Int32Array): void {
    this.canvas.set(tokens, position);
  }

  async step(request: Request, { signal }: { signal: AbortSignal }): Promise<StepResult> {
    assert(!this.disposed);
    await new Promise((resolve) => setImmediate(resolve));
    if (signal.aborted) {
      throw new LacunaError('ABORTED', 'step aborted', { cause: signal.reason });
    }
    this.requests.push(request);
    this.#check(request);
    const position = Int32Array.from(request.query!);
    const n = position.length;
    const statistics = {
      position,
      token: new Int32Array(n),
      probability: new Float64Array(n),
      margin: new Float64Array(n),
      entropy: new Float64Array(n),
    };
    for (let i = 0; i < n; i++) {
      const { token, probability, margin, entropy } = this.#head(request, position[i]);
      statistics.token[i] = token;
      statistics.probability[i] = probability;
      statistics.margin[i] = margin;
      statistics.entropy[i] = entropy;
    }
    const committed = request.commit
      ? applyRule(request.commit, this.canvas, mask, statistics)
      : new Int32Array();
    const other = request.guidance?.unconditional;
    for (const p of committed) if (other) other.canvas[p] = this.canvas[p];
    return { ...statistics, committed, rows: this.#rows(request).length, timing };
  }

  commit(commits: Commit[]): void {
    for (const { position, token } of commits) this.canvas[position] = token;
  }

  dispose(): void {
    this.disposed = true;
  }

  #rows({ rows }: Request): number[] {
    if (rows instanceof Int32Array) return [...rows];
    const { start, end } = rows ?? { start: 0, end: this.canvas.length };
    return Array.from({ length: end - start }, (_, i) => start + i);
  }

  #visible({ visible = this.canvas.length }: Request): Set<number> {
    if (visible instanceof Int32Array) return new Set(visible);
    return new Set(Array.from({ length: visible }, (_, i) => i));
  }

  /** What native sessions refuse, and what a decoder must not ask. */
  #check(request: Request): void {
    const rows = new Set(this.#rows(request));
    const positions = [...request.query!];
    assert(positions.length > 0);
    assert(positions.every((position, i) => i === 0 || position > positions[i - 1]));
    const visible = this.#visible(request);
    for (const position of positions) {
      assert.equal(this.canvas[position], mask);
      assert(rows.has(Math.max(0, position - this.model.info.logitShift)));
      assert(visible.has(position));
    }
    const { start, end } = request.commit?.within ?? { start: 0, end: 1 };
    assert(start >= 0 && start < end && end <= this.canvas.length);
    for (const row of rows) assert(row >= 0 && row < this.canvas.length);
  }

  #head({ sampling, suppress, unscored, allowMask }: Request, position: number) {
    const { temperature = 0, seed = 0, step = 0, statistics } = sampling!;
    const raw = this.model.predict(position, this.canvas, step);
    const z = Array.from(raw, (logit, token) => (suppress?.includes(token) ? -Infinity : logit));
    const scale = statistics === 'sampled' && temperature > 0 ? temperature : 1;
    const weights = z.map((v, token) => (unscored?.includes(token) ? 0 : Math.exp(v / scale)));
    const sum = weights.reduce((a, b) => a + b, 0);
    const p = weights.map((weight) => weight / sum);
    const choice = z.map((v, token) => {
      if (token === mask && !allowMask) return -Infinity;
      const noise = temperature > 0 ? gumbel(seed, step, position * vocabulary + token, 0) : 0;
      return v / (temperature || 1) + noise;
    });
    const token = choice.indexOf(Math.max(...choice));
    const sorted = [...p].sort((a, b) => b - a);
    const entropy = p.reduce((h, q) => (q > 0 ? h - q * Math.log(q) : h), 0);
    return { token, probability: p[token], margin: sorted[0] - sorted[1], entropy };
  }
}
