/** A model without weights: its logits are a function. Decoders run on it as on any other. */
import { setImmediate } from 'node:timers/promises';
import { tokenGumbel } from '../decoding/philox.js';
import { applyRule } from '../decoding/rule.js';
import { LacunaError } from '../errors.js';
import type { GenerationModel, GenerationSession } from '../plan.js';
import type { StepRequest, StepResult, StepTiming } from '../types.js';

/** Logits of a position, (vocabulary). `step` is the run's. */
export type Predict = (position: number, canvas: Int32Array, step: number) => ArrayLike<number>;

type Info = GenerationModel['info'];
/** What is asked before it is known which positions that are. */
export type Asked = StepRequest<ScriptedSession>;
export type Request = Asked & { query: Int32Array };

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
  ...{ embed: 0, norm: 0, linear: 0, rope: 0, attend: 0 },
  ...{ moe: 0, head: 0, commit: 0, total: 1 },
};

/**
 * A `GenerationModel` of which everything is given: logits by `predict`, facts by `info`, mask and
 * vocabulary among them. Its sessions compute what native ones do but for guidance, soft masks, `topK`
 * and `topP` of sampling and `logits`, which they leave aside. It has no tokenizer.
 */
export class ScriptedModel implements GenerationModel {
  readonly info: Info;
  readonly mask: number;

  constructor(
    readonly predict: Predict,
    info: Partial<Info> & Pick<Info, 'vocabulary' | 'tokens'>,
  ) {
    const usual = { architecture: 'llada', context: 0, logitShift: 0, attention: 'full' } as const;
    this.info = { ...usual, ...info };
    this.mask = info.tokens.mask ?? -1; // without one, generation refuses the model
  }

  get tokenizer(): never {
    throw new LacunaError('UNSUPPORTED_TOKENIZER', 'a scripted model has no tokenizer');
  }

  createSession({ length }: { length: number }): ScriptedSession {
    return new ScriptedSession(this, length);
  }

  /** One forward for several sessions, as native code makes it. */
  async step(
    items: readonly (Asked & { session: ScriptedSession })[],
    options: { signal?: AbortSignal } = {},
  ): Promise<StepResult[]> {
    return Promise.all(items.map(({ session, ...request }) => session.step(request, options)));
  }
}

export class ScriptedSession implements GenerationSession {
  readonly canvas: Int32Array;
  disposed = false;
  /** What each position last reported with `kl`. */
  readonly #reported = new Map<number, number[]>();

  constructor(
    readonly model: ScriptedModel,
    length: number,
  ) {
    this.canvas = new Int32Array(length).fill(model.mask);
  }

  set(position: number, tokens: Int32Array): void {
    this.canvas.set(tokens, position);
  }

  async step(asked: Asked = {}, { signal }: { signal?: AbortSignal } = {}): Promise<StepResult> {
    await setImmediate(); // in the order of the calls
    if (signal?.aborted || this.disposed) {
      throw new LacunaError('ABORTED', 'step aborted', { cause: signal?.reason });
    }
    return this.answer({ ...asked, query: this.#query(asked) }, asked);
  }

  /** What the step reports and commits. */
  protected answer(request: Request, _asked: Asked): StepResult {
    const reports = [
      ...[...request.query].map((position) => this.#head(request, position, this.canvas)),
      ...[...(request.shadow ?? [])].map((position) =>
        this.#head(request, position, this.canvas.with(position, this.model.mask)),
      ),
    ];
    const statistics = {
      position: Int32Array.of(...request.query, ...(request.shadow ?? [])),
      token: Int32Array.from(reports, ({ token }) => token),
      probability: Float64Array.from(reports, ({ probability }) => probability),
      margin: Float64Array.from(reports, ({ margin }) => margin),
      entropy: Float64Array.from(reports, ({ entropy }) => entropy),
    };
    const committed = request.commit
      ? applyRule(request.commit, this.canvas, this.model.mask, statistics)
      : new Int32Array();
    const other = request.guidance?.unconditional;
    for (const p of committed) if (other) other.canvas[p] = this.canvas[p];
    const idle = reports.length === 0;
    const rows = idle ? 0 : this.rows(request).length + (request.shadow ?? []).length;
    return { ...statistics, ...this.#lists(request, reports), committed, rows, timing };
  }

  fork(): ScriptedSession {
    const copy = this.model.createSession({ length: this.canvas.length });
    copy.canvas.set(this.canvas);
    this.#reported.forEach((p, position) => copy.#reported.set(position, p));
    return copy;
  }

  dispose(): void {
    this.disposed = true;
  }

  protected rows({ rows }: Asked): number[] {
    if (rows !== undefined && !('start' in rows)) return [...rows];
    const { start, end } = rows ?? { start: 0, end: this.canvas.length };
    return Array.from({ length: end - start }, (_, i) => start + i);
  }

  #query(asked: Asked): Int32Array {
    const { query = { start: 0, end: this.canvas.length } } = asked;
    if (!('start' in query)) return query;
    const rows = new Set(this.rows(asked));
    const { mask, info } = this.model;
    const masked = this.canvas.map((token, i) => (token === mask ? i : -1));
    return masked.filter(
      (p) => p >= query.start && p < query.end && rows.has(Math.max(0, p - info.logitShift)),
    );
  }

  /** Optional parts of a result. */
  #lists({ topK, probe, kl }: Request, reports: readonly Report[]) {
    const byRank = reports.map(({ p }) => [...p.keys()].sort((a, b) => p[b] - p[a] || a - b));
    const best = byRank.flatMap((tokens, i) =>
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
          token: Int32Array.from(best, ([token]) => token),
          probability: Float32Array.from(best, ([, p]) => p),
        },
      }),
      ...(probe && {
        probe: Float32Array.from(reports.flatMap(({ p }) => Array.from(probe, (t) => p[t]))),
      }),
      ...(kl && { kl: Float32Array.from(change) }),
    };
  }

  #setsAt({ suppress = new Int32Array(), allow: all, limits = [] }: Request, position: number) {
    const limit = limits.find(({ positions }) => Array.from(positions).includes(position));
    const lists = [limit?.allow, all].filter((list) => list !== undefined);
    const sets = lists.map((list) => Array.from(list));
    const allow = sets.at(0)?.filter((token) => sets.every((set) => set.includes(token)));
    return { suppress: [...suppress, ...Array.from(limit?.suppress ?? [])], allow };
  }

  #head(request: Request, position: number, canvas: Int32Array): Report {
    const { sampling = {}, unscored, allowMask, credit } = request;
    const { suppress, allow } = this.#setsAt(request, position);
    const { temperature = 0, seed = 0, step = 0, statistics } = sampling;
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
      if (token === this.model.mask && !allowMask) return -Infinity;
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
