import { invalid, knownKeys, number, oneOf } from '../validate.js';
import type { StepResult } from '../types.js';
import { mergeAsks, reportFor } from './asks.js';
import { factsOf, named } from './named.js';
import { tokenGumbel } from './philox.js';
import type { Ask, Decoder, RunFacts, StepState } from './policy.js';
import { selected } from './scores.js';
import { threshold } from './threshold.js';

export interface CreditOptions {
  /**
   * Where the parameters come from: `'paper'` (default), `'dInfer'`, its authors' engine, or
   * `'parameterFree'`: gamma 1, alpha = beta = the share of the block that is known.
   */
  parameters?: keyof typeof published;
  /** How much credits weigh, at least 0. Default 0.65; dInfer 0.7. 0: not at all. */
  alpha?: number;
  /** What is left of a credit after each forward, 0 … 1. Default 0.7; dInfer 0.8. */
  beta?: number;
  /** Exponent of the probability that is credited, at least 0. Default 0.2. */
  gamma?: number;
}

const published = {
  paper: { alpha: 0.65, beta: 0.7, gamma: 0.2 },
  dInfer: { alpha: 0.7, beta: 0.8, gamma: 0.2 },
  parameterFree: undefined,
} as const;

interface Parameters {
  alpha: number;
  beta: number;
  gamma: number;
}

/**
 * Credits for tokens that keep coming first, so that what has long been settled is committed earlier.
 * In each forward, for every masked position of the active block and its most probable token v of
 * probability c:
 *
 *     C ← beta · C for every token, then C[v] ← C[v] + c^gamma
 *     q ∝ p · (1 + C)^alpha, which is logits + alpha · ln(1 + C)
 *
 * and `decoder` sees q in place of p: its proposals, probabilities, margins and entropies, whichever
 * `statistics` it wants. Top lists, probes and divergences stay those of the model. Credits begin
 * anew with each block.
 *
 * At temperature > 0 tokens are drawn by softmax(logits / T), credits included, with the same noise;
 * `topK` and `topP` do not keep a credited token out. MASK gets no credit: it is never proposed.
 *
 * Source: CreditDecoding (arXiv 2510.06133), eq. 6 and 7 and section 4.3; dInfer,
 * `CreditThresholdParallelDecoder`. The paper's text was read in notes. Its mask ratio is taken to be
 * that of the active block. dInfer commits what is within 10⁻⁵ of the best if nothing passes;
 * `threshold` the best one.
 * @param decoder default `threshold()`
 */
export function credit(decoder: Decoder = threshold(), options: CreditOptions = {}): Decoder {
  const parametersOf = parametersFrom(options);
  const inner = checked(decoder);
  const outer: Decoder = (run) => {
    const decode = decoder(run);
    const credits = new Credits(run);
    return (state) => {
      const decision = decode(state);
      if (decision === undefined) return undefined;
      const { commit, choose } = decision;
      if (commit === undefined && choose === undefined) return decision;
      const own: Ask = { query: state.masked, ...decision.request };
      const request = mergeAsks([own, credits.ask(state)]);
      return {
        request: { ...request, statistics: 'model' },
        choose: async (report, look) => {
          const fused = credits.fuse(state, report, request, parametersOf(state));
          const reported = report.position.length - request.shadow.length;
          const query = report.position.subarray(0, reported);
          const shown = reportFor(own, { request: { ...request, query }, result: fused });
          const rule = commit && { seed: run.seed, step: state.step, ...commit };
          const ruled = rule ? selected(rule, state, run.tokens.mask, shown) : [];
          return [...ruled, ...((await choose?.(shown, look)) ?? [])];
        },
      };
    };
  };
  const { traits, ...facts } = inner;
  const own = { ...options, decoder: facts };
  return named('credit', own, outer, [...new Set([...traits, 'remembers', 'credit'] as const)]);
}

function checked(decoder: Decoder) {
  if (typeof decoder !== 'function') invalid('credit(): decoder', decoder, 'a decoder');
  const facts = factsOf(decoder);
  const clash = {
    credit: 'one without credits of its own',
    looks: 'one that decides from one forward: others have no credits',
  } as const;
  for (const trait of ['credit', 'looks'] as const) {
    if (facts.traits.includes(trait)) {
      invalid('credit(): decoder', `${facts.name}()`, clash[trait]);
    }
  }
  return facts;
}

function parametersFrom(options: CreditOptions): (state: StepState) => Parameters {
  const name = 'credit()';
  knownKeys(name, options, ['parameters', 'alpha', 'beta', 'gamma']);
  const names = ['paper', 'dInfer', 'parameterFree'] as const;
  const usual = published[oneOf(`${name}: parameters`, options.parameters ?? 'paper', names)];
  if (usual === undefined) {
    for (const key of ['alpha', 'beta', 'gamma'] as const) {
      if (options[key] === undefined) continue;
      invalid(`${name}: ${key}`, options[key], "left out with parameters: 'parameterFree'");
    }
    return ({ masked, blockMasks }) => {
      const known = Math.max(0, 1 - masked.length / blockMasks); // fewer: insertion brings masks
      return { alpha: known, beta: known, gamma: 1 };
    };
  }
  const alpha = number(`${name}: alpha`, options.alpha ?? usual.alpha, { min: 0 });
  const beta = number(`${name}: beta`, options.beta ?? usual.beta, { min: 0, max: 1 });
  const gamma = number(`${name}: gamma`, options.gamma ?? usual.gamma, { min: 0 });
  return () => ({ alpha, beta, gamma });
}

/** Credits of the active block, by position and token. */
class Credits {
  readonly #run: RunFacts;
  #block = -1;
  #length = 0;
  #credits = new Map<number, Map<number, number>>();

  constructor(run: RunFacts) {
    this.#run = run;
  }

  /** Probabilities of all credited tokens, and a list that holds two others for every position. */
  ask(state: StepState): Ask {
    const credited = [...this.#current(state).values()].map((tokens) => [...tokens.keys()]);
    const probe = Int32Array.from(new Set(credited.flat())).sort();
    const most = Math.max(0, ...credited.map((tokens) => tokens.length));
    // and one more for MASK
    return { probe, topK: Math.min(most + 3, this.#run.vocabulary) };
  }

  /** Brings the credits up to date with this forward, and adds them to what it says. */
  fuse(
    state: StepState,
    report: StepResult,
    { shadow, probe }: ReturnType<typeof mergeAsks>,
    parameters: Parameters,
  ): StepResult {
    this.#credits = this.#current(state);
    this.#block = state.block;
    this.#length = state.canvas.length;
    const fused = {
      ...report,
      token: report.token.slice(),
      probability: report.probability.slice(),
      margin: report.margin.slice(),
      entropy: report.entropy.slice(),
    };
    const masked = new Set(state.masked);
    const earlier = this.#credits;
    this.#credits = new Map(); // known positions have none
    report.position.subarray(0, report.position.length - shadow.length).forEach((position, row) => {
      if (!masked.has(position)) return;
      const known = probabilities(report, row, probe);
      const credits = this.#updated(earlier.get(position), known, parameters);
      this.#credits.set(position, credits);
      if (parameters.alpha > 0) this.#fuseRow(fused, row, state.step, known, credits, parameters);
    });
    return fused;
  }

  /** Empty where the block or the length of the canvas is another than at the last forward. */
  #current({ block, canvas }: StepState): Map<number, Map<number, number>> {
    const same = block === this.#block && canvas.length === this.#length;
    return same ? this.#credits : new Map<number, Map<number, number>>();
  }

  #updated(
    before: ReadonlyMap<number, number> = new Map(),
    known: ReadonlyMap<number, number>,
    { beta, gamma }: Parameters,
  ): Map<number, number> {
    const credits = new Map([...before].map(([token, credit]) => [token, beta * credit]));
    const [best, p] = first([...known].filter(([token]) => token !== this.#run.tokens.mask));
    if (p > 0) credits.set(best, (credits.get(best) ?? 0) + p ** gamma);
    return credits;
  }

  #fuseRow(
    fused: StepResult,
    row: number,
    step: number,
    known: ReadonlyMap<number, number>,
    credits: ReadonlyMap<number, number>,
    { alpha }: Parameters,
  ): void {
    const boosted = [...known].map(([token, p]): Candidate => [
      token,
      p * (1 + (credits.get(token) ?? 0)) ** alpha,
    ]);
    const grown = boosted.map(([token, weight]) => weight - known.get(token)!);
    const sum = 1 + grown.reduce((a, b) => a + b, 0);
    const surprise = boosted.map(([token, weight]) => xLogX(weight) - xLogX(known.get(token)!));
    const change = surprise.reduce((a, b) => a + b, 0);
    const [largest, second] = boosted.map(([, weight]) => weight).sort((a, b) => b - a);
    const token = this.#proposed(fused, row, step, boosted, credits);
    fused.token[row] = token;
    fused.probability[row] = (new Map(boosted).get(token) ?? fused.probability[row]) / sum;
    fused.margin[row] = (largest - (second ?? 0)) / sum;
    fused.entropy[row] = Math.max(0, Math.log(sum) + (fused.entropy[row] - change) / sum);
  }

  /** What is proposed now: the token that was, or a credited one that has overtaken it. */
  #proposed(
    { token, position, probability }: StepResult,
    row: number,
    step: number,
    boosted: readonly Candidate[],
    credits: ReadonlyMap<number, number>,
  ): number {
    const proposal = token[row];
    // Chosen by a logit that the softmax leaves out: nothing to compare it with.
    if (probability[row] === 0) return proposal;
    const { temperature, seed } = this.#run;
    const score = (token: number, weight: number) =>
      temperature === 0
        ? weight
        : Math.log(weight) / temperature + tokenGumbel(seed, step, position[row], token);
    const rivals = boosted.filter(([token]) => token === proposal || credits.has(token));
    // The proposal is not in the list where noise has lifted it from far behind.
    const own: Candidate[] = rivals.some(([token]) => token === proposal)
      ? []
      : [[proposal, probability[row]]];
    return first([...rivals, ...own].map(([token, w]): Candidate => [token, score(token, w)]))[0];
  }
}

type Candidate = [token: number, weight: number];

/** What a report says of single tokens at one position: its list, its probes and its proposal. */
function probabilities(
  { token, probability, top, probe: probed }: StepResult,
  row: number,
  probe: Int32Array = new Int32Array(),
): Map<number, number> {
  const { k, token: listed, probability: p } = top!;
  const known = new Map<number, number>();
  for (let i = row * k; i < (row + 1) * k; i++) known.set(listed[i], p[i]);
  probe.forEach((token, i) => known.set(token, probed![row * probe.length + i]));
  known.set(token[row], probability[row]); // in full precision
  return known;
}

/** The largest, ties to the lower token. */
function first(candidates: readonly (readonly [number, number])[]): readonly [number, number] {
  return candidates.reduce(
    (a, b) => (b[1] > a[1] || (b[1] === a[1] && b[0] < a[0]) ? b : a),
    [-1, -Infinity],
  );
}

function xLogX(x: number): number {
  return x > 0 ? x * Math.log(x) : 0;
}
