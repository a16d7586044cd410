import { LacunaError } from '../errors.js';
import { integer, knownKeys, number, oneOf } from '../validate.js';
import type { StepResult } from '../types.js';
import { alphaOf, type Alpha } from './alpha.js';
import { named } from './named.js';
import { Stream, uniform } from './philox.js';
import type { Change, Decoder, Refinement, RunFacts, StepState } from './policy.js';
import { stepsPerBlock } from './schedule.js';

export interface RemdmOptions {
  /** How often known tokens are masked again, see `remdm`. Default `'cap'`. */
  kind?: 'cap' | 'rescale' | 'conf' | 'loop';
  /** Of `cap` (default 0.008), `rescale` (0.015) and `loop` (0.02), 0 … 1. `conf` has none. */
  eta?: number;
  /** `loop`: its times, 0 < tOff < tOn < 1, default 0.55 and 0.05, and the α between, default 0.9. */
  tOn?: number;
  tOff?: number;
  alphaOn?: number;
  /** Share known at time t, of all kinds but `loop`. Default `'linear'`: 1 − t. */
  alpha?: Alpha;
  /** Steps of the run, shared among the blocks. Default: the option `steps`, else one per position. */
  steps?: number;
}

/** Probabilities of one step, in float64. */
interface Rates {
  /** That a masked position gets its token. */
  reveal: number;
  /** That a known one is masked again; with `conf` shared out by confidence. */
  remask: number;
}

/** Last time of the grid, as in MDLM. */
const eps = 1e-5;

/**
 * ReMDM: ancestral sampling that masks known tokens again. Times t_0 … t_S go evenly from 1 to 1e-5;
 * in the step from t to s
 * - a known token becomes MASK with probability σ,
 * - a masked position gets a token with probability (α_s − (1 − σ)·α_t) / (1 − α_t).
 *
 * With σ_max = min(1, (1 − α_s) / α_t), 1 where α_t = 0:
 *
 * | `kind`      | σ                                                                                     |
 * | ----------- | ------------------------------------------------------------------------------------- |
 * | `'cap'`     | min(eta, σ_max)                                                                       |
 * | `'rescale'` | eta · σ_max                                                                           |
 * | `'conf'`    | σ_max · softmax(−p) over the block's known tokens, p of the commit; 0 at masks        |
 * | `'loop'`    | eta for tOff < t ≤ tOn, where α stays at alphaOn; 0 before and after, where it rises   |
 *
 * Use it as options of `generate`, with `temperature: 1` to sample: `generate(prompt, { ...remdm(),
 * temperature: 1 })`. `topP` filters p before all else. Runs its schedule in each block; made for
 * `wholeAnswer()`. A block full of known tokens goes on to the end of its schedule, and steps that
 * change nothing make no forward while a mask is left. The last step reveals what is left.
 * Source: ReMDM (arXiv 2503.00307), `diffusion.py::_ddpm_caching_update`; defaults of its scripts for
 * 1024 tokens in 1024 steps (other lengths want other values). `loop` follows the paper where a step
 * crosses tOn or tOff: there the code extrapolates α from the side it comes from. The original draws
 * in float64; here the rates are float64 and each draw has 2²³ values.
 */
export function remdm(options: RemdmOptions = {}): { decode: Decoder; refine: Refinement } {
  const settings = checked(options);
  const samplers = new WeakMap<RunFacts, Sampler>(); // both roles of a run share one
  const samplerOf = (run: RunFacts) => {
    const sampler = samplers.get(run) ?? new Sampler(run, settings);
    samplers.set(run, sampler);
    return sampler;
  };
  const decode: Decoder = (run) => {
    if (!run.policies.refine.some((facts) => facts.options === options)) refuse('decode', 'refine');
    const sampler = samplerOf(run);
    return (state) => {
      const { reveal, back } = sampler.draw(state);
      if (reveal.length === 0 && back.length === 0) return {};
      const request = { statistics: 'sampled' } as const;
      if (reveal.length === 0) return { request, choose: () => [] };
      return { request: { ...request, query: reveal }, commit: { select: { kind: 'all' } } };
    };
  };
  const refine: Refinement = (run) => {
    if (run.policies.decode.options !== options) refuse('refine', 'decode');
    const sampler = samplerOf(run);
    return {
      ask: (state) => {
        const { reveal } = sampler.draw(state);
        return { query: reveal.length > 0 ? reveal : Int32Array.of(state.range.end - 1) };
      },
      revise: (state, report, decided) => sampler.revise(state, report, decided),
      again: (state) => sampler.goesOn(state),
    };
  };
  return {
    decode: named('remdm', options, decode, ['scheduled', 'revises', 'remembers']),
    refine: named('remdm', options, refine, ['revises', 'remembers', 'tracks']),
  };
}

type Settings = ReturnType<typeof checked>;

function checked(options: RemdmOptions) {
  const name = 'remdm()';
  knownKeys(name, options, ['kind', 'eta', 'tOn', 'tOff', 'alphaOn', 'alpha', 'steps']);
  const kind = oneOf(`${name}: kind`, options.kind ?? 'cap', ['cap', 'rescale', 'conf', 'loop']);
  const usual = { cap: 0.008, rescale: 0.015, conf: 1, loop: 0.02 }[kind];
  const inner = { min: 1e-6, max: 1 - 1e-6 };
  const tOn = number(`${name}: tOn`, options.tOn ?? 0.55, inner);
  const tOff = number(`${name}: tOff`, options.tOff ?? Math.min(0.05, tOn), { ...inner, max: tOn });
  const alphaOn = number(`${name}: alphaOn`, options.alphaOn ?? 0.9, inner);
  const eta = number(`${name}: eta`, options.eta ?? usual, { min: 0, max: 1 });
  if (options.steps !== undefined) integer(`${name}: steps`, options.steps, { min: 1 });
  const plain = alphaOf(options.alpha ?? 'linear');
  const alpha = kind === 'loop' ? loopAlpha(tOn, tOff, alphaOn) : plain;
  return { kind, eta, tOn, tOff, alpha, steps: options.steps };
}

function refuse(role: string, missing: string): never {
  throw new LacunaError(
    'INVALID_ARGUMENT',
    `${role}: remdm() gives a decoder and a refinement that work together, but ${missing} is not that ` +
      'of the same call; use generate(prompt, { ...remdm() })',
  );
}

/** What one run has drawn and remembers. */
class Sampler {
  readonly #run: RunFacts;
  readonly #settings: Settings;
  readonly #steps: number[] | undefined; // by block
  /** Probability of each known token as it was committed. */
  readonly #committed = new Map<number, number>();

  constructor(run: RunFacts, settings: Settings) {
    this.#run = run;
    this.#settings = settings;
    this.#steps = stepsPerBlock(run, 'remdm()', settings.steps);
  }

  /** Positions of the active block that change in this step; the same whenever asked. */
  draw(state: StepState): { reveal: Int32Array; back: number[] } {
    const { range, blockStep, masked } = state;
    const { prompt, tokens, seed } = this.#run;
    const rates = ratesOf(this.#settings, this.#planned(state), blockStep);
    const drawn = (position: number) => uniform(seed, state.step, position, Stream.transfer);
    const known: number[] = [];
    for (let i = Math.max(prompt, range.start); i < range.end; i++) {
      if (state.canvas[i] !== tokens.mask) known.push(i);
    }
    const share = this.#settings.kind === 'conf' ? softmax(known, this.#committed) : () => 1;
    return {
      reveal: masked.filter((position) => drawn(position) < rates.reveal),
      back: known.filter((position) => drawn(position) < rates.remask * share(position)),
    };
  }

  revise(state: StepState, report: StepResult, decided: readonly Change[]): Change[] {
    const { back } = this.draw(state);
    report.position.forEach((position, i) => {
      const change = decided.find((one) => one.position === position);
      if (change?.token === report.token[i]) this.#committed.set(position, report.probability[i]);
    });
    const written = new Set(decided.map((change) => change.position)); // by other refinements
    const masked = back.filter((position) => !written.has(position));
    return [...decided, ...masked.map((position) => ({ position, token: this.#run.tokens.mask }))];
  }

  /** Whether a full block may still lose tokens. */
  goesOn(state: StepState): boolean {
    const steps = this.#planned(state);
    if (state.masked.length > 0) return true;
    for (let i = state.blockStep; i < steps; i++) {
      if (ratesOf(this.#settings, steps, i).remask > 0) return true;
    }
    return false;
  }

  #planned({ block, blockMasks }: StepState): number {
    return this.#steps?.[block] ?? blockMasks;
  }
}

/** Of step `i` of `steps`. The last takes in the original's final pass, which reveals what is left. */
function ratesOf(settings: Settings, steps: number, i: number): Rates {
  if (i >= steps - 1) return { reveal: 1, remask: 0 };
  const time = (n: number) => 1 - (n * (1 - eps)) / steps;
  return ratesBetween(settings, time(i), time(i + 1));
}

function ratesBetween({ kind, eta, tOn, tOff, alpha }: Settings, t: number, s: number): Rates {
  const [alphaT, alphaS] = [alpha(t), alpha(s)];
  const most = alphaT > 0 ? Math.min(1, (1 - alphaS) / alphaT) : 1;
  const reveal = (remask: number) =>
    alphaT < 1 ? Math.min(1, (alphaS - (1 - remask) * alphaT) / (1 - alphaT)) : 1;
  switch (kind) {
    case 'cap':
      return { reveal: reveal(Math.min(eta, most)), remask: Math.min(eta, most) };
    case 'rescale':
      return { reveal: reveal(eta * most), remask: eta * most };
    case 'conf': // σ is 0 at masked positions
      return { reveal: reveal(0), remask: most };
    case 'loop': {
      const remask = t > tOff && t <= tOn ? eta : 0;
      return { reveal: reveal(remask), remask };
    }
  }
}

/** Rises to `alphaOn` at `tOn`, stays there until `tOff`, and rises to 1. */
function loopAlpha(tOn: number, tOff: number, alphaOn: number): (t: number) => number {
  return (t) => {
    if (t > tOn) return ((1 - t) / (1 - tOn)) * alphaOn;
    return t > tOff ? alphaOn : 1 - (t * (1 - alphaOn)) / tOff;
  };
}

/** exp(−p) of each known token over their sum. Tokens without a commit of their own count as p = 1. */
function softmax(
  known: readonly number[],
  committed: ReadonlyMap<number, number>,
): (position: number) => number {
  const weight = (position: number) => Math.exp(-(committed.get(position) ?? 1));
  const sum = known.reduce((total, position) => total + weight(position), 0);
  return (position) => weight(position) / sum;
}
