/** A model of 16 tokens whose logits a test scripts, with a session that checks what it is asked. */
import assert from 'node:assert/strict';
import { tokenGumbel, uniform } from '../../lib/decoding/philox.js';
import { applyRule } from '../../lib/decoding/rule.js';
import { LacunaError } from '../../lib/errors.js';
import type { GenerationModel, GenerationSession } from '../../lib/plan.js';
import type { StepRequest, StepResult, StepTiming } from '../../lib/types.js';

export const vocabulary = 16;
export const mask = 15;
export const eos = 14;
export const eot = 13;

export type Request = StepRequest<FakeSession> & { query?: Int32Array };
type Asked = StepRequest<FakeSession>; // the query may still be a range
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

interface Report {
  position: number;
  token: number;
  probability: number;
  margin: number;
  entropy: number;
  /** (vocabulary) */
  p: number[];
}

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
  /** How many sessions each common forward had. */
  readonly batches: number[] = [];
  readonly info: GenerationModel['info'];
  queues = false;
  /** Steps that were asked for while another one ran, and those that found nothing to do. */
  early = 0;
  idle = 0;

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

  /** One forward for several sessions, as native code makes it. */
  async step(
    items: readonly (Asked & { session: FakeSession })[],
    options: { signal: AbortSignal },
  ): Promise<StepResult[]> {
    this.batches.push(items.length);
    return Promise.all(items.map(({ session, ...request }) => session.step(request, options)));
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
  #running = 0;
  /** What each position last reported with `kl`. */
  readonly #reported = new Map<number, number[]>();

  constructor(
    readonly model: FakeModel,
    length: number,
  ) {
    this.canvas = new Int32Array(length).fill(mask);
  }

  set(position: number, tokens: Int32Array): void {
    this.canvas.set(tokens, position);
  }

  async step(
    asked: Asked,
    { signal, queue = false }: { signal: AbortSignal; queue?: boolean },
  ): Promise<StepResult> {
    assert(!this.disposed);
    assert(queue || this.#running === 0);
    if (this.#running > 0) this.model.early++;
    this.#running++;
    await new Promise((resolve) => setImmediate(resolve)); // in the order of the calls
    this.#running--;
    if (signal.aborted || this.disposed) {
      throw new LacunaError('ABORTED', 'step aborted', { cause: signal.reason });
    }
    const request = { ...asked, query: this.#query(asked) };
    if (request.query.length === 0 && asked.query !== undefined && 'start' in asked.query) {
      this.model.idle++;
      return this.#result(request, []);
    }
    this.requests.push(request);
    this.#check(request);
    const reports = [
      ...[...request.query].map((position) => this.#head(request, position, this.canvas)),
      ...[...(request.shadow ?? [])].map((position) =>
        this.#head(request, position, this.canvas.with(position, mask)),
      ),
    ];
    return this.#result(request, reports);
  }

  #result(request: Request, reports: Report[]): StepResult {
    const statistics = {
      position: Int32Array.of(...request.query!, ...(request.shadow ?? [])),
      token: Int32Array.from(reports, ({ token }) => token),
      probability: Float64Array.from(reports, ({ probability }) => probability),
      margin: Float64Array.from(reports, ({ margin }) => margin),
      entropy: Float64Array.from(reports, ({ entropy }) => entropy),
    };
    const committed = request.commit
      ? applyRule(request.commit, this.canvas, mask, statistics)
      : new Int32Array();
    const other = request.guidance?.unconditional;
    for (const p of committed) if (other) other.canvas[p] = this.canvas[p];
    const idle = reports.length === 0;
    const rows = idle ? 0 : this.#rows(request).length + (request.shadow ?? []).length;
    return { ...statistics, ...this.#lists(request, reports), committed, rows, timing };
  }

  fork(): FakeSession {
    const copy = this.model.createSession({ length: this.canvas.length });
    copy.canvas.set(this.canvas);
    this.#reported.forEach((p, position) => copy.#reported.set(position, p));
    return copy;
  }

  dispose(): void {
    this.disposed = true;
  }

  #query(asked: Asked): Int32Array {
    const { query } = asked;
    if (query === undefined || !('start' in query)) return query!;
    const rows = new Set(this.#rows(asked));
    const masked = this.canvas.map((token, i) => (token === mask ? i : -1));
    return Int32Array.from(
      [...masked].filter(
        (p) =>
          p >= query.start &&
          p < query.end &&
          rows.has(Math.max(0, p - this.model.info.logitShift)),
      ),
    );
  }

  #rows({ rows }: Asked): number[] {
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

  /** Optional parts of a result. */
  #lists({ topK, probe, kl }: Request, reports: { p: number[]; position: number }[]) {
    const byRank = reports.map(({ p }) => [...p.keys()].sort((a, b) => p[b] - p[a] || a - b));
    const ranked = byRank.flatMap((tokens, i) =>
      tokens.slice(0, topK).map((t) => [t, reports[i].p[t]]),
    );
    const change = reports.map(({ position, p }) => {
      const before = this.#reported.get(position);
      if (kl) this.#reported.set(position, p);
      return before === undefined
        ? Infinity
        : p.reduce((sum, q, t) => (q > 0 ? sum + q * Math.log(q / before[t]) : sum), 0);
    });
    return {
      ...(topK && {
        top: {
          k: topK,
          token: Int32Array.from(ranked, ([token]) => token),
          probability: Float32Array.from(ranked, ([, p]) => p),
        },
      }),
      ...(probe && {
        probe: Float32Array.from(reports.flatMap(({ p }) => [...probe].map((t) => p[t]))),
      }),
      ...(kl && { kl: Float32Array.from(change) }),
    };
  }

  #setsAt({ suppress = new Int32Array(), limits = [] }: Request, position: number) {
    const limit = limits.find(({ positions }) => Array.from(positions).includes(position));
    const allow = limit?.allow && Array.from(limit.allow);
    return { suppress: [...suppress, ...Array.from(limit?.suppress ?? [])], allow };
  }

  #head(request: Request, position: number, canvas: Int32Array): Report {
    const { sampling, unscored, allowMask, credit } = request;
    const { suppress, allow } = this.#setsAt(request, position);
    const { temperature = 0, seed = 0, step = 0, statistics } = sampling!;
    const raw = Array.from(this.model.predict(position, canvas, step));
    credit?.position.forEach((p, i) => {
      if (p === position) raw[credit.token[i]] += credit.value[i];
    });
    const out = (token: number) => suppress.includes(token) || allow?.includes(token) === false;
    const z = raw.map((logit, token) => (out(token) ? -Infinity : logit));
    const scale = statistics === 'sampled' && temperature > 0 ? temperature : 1;
    const weights = z.map((v, token) => (unscored?.includes(token) ? 0 : Math.exp(v / scale)));
    const sum = weights.reduce((a, b) => a + b, 0);
    const p = weights.map((weight) => weight / sum);
    const choice = z.map((v, token) => {
      if (token === mask && !allowMask) return -Infinity;
      const noise = temperature > 0 ? tokenGumbel(seed, step, position, token) : 0;
      return v / (temperature || 1) + noise;
    });
    const token = choice.indexOf(Math.max(...choice));
    const sorted = [...p].sort((a, b) => b - a);
    const entropy = p.reduce((h, q) => (q > 0 ? h - q * Math.log(q) : h), 0);
    const margin = sorted[0] - sorted[1];
    return { position, token, probability: p[token], margin, entropy, p };
  }
}
