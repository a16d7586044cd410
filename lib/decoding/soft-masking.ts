import { boolean, integer, knownKeys, number } from '../validate.js';
import { LacunaError } from '../errors.js';
import type { SoftMask, StepResult } from '../types.js';
import { named } from './named.js';
import type { Refinement, RunFacts, StepState } from './policy.js';

/** What a model learned with its weights when it was trained on soft masks. */
export interface SoftMaskParameters {
  /** Of the tokens that a mask is mixed with, how many; at least 1. */
  k: number;
  /** w_s, the largest share of the mix, 0 … 1. */
  scale: number;
  /** w_a, how sharply the share depends on the entropy, at least 0. */
  slope: number;
  /** w_b, minus the entropy in nats at which the share is half of `scale`. */
  centre: number;
}

export interface SoftMaskOptions extends Partial<SoftMaskParameters> {
  /** Share of the forwards that see soft masks, spread evenly, 0 … 1. Default 1. */
  share?: number;
  /** Only while more than the share 1 − `first` of the answer is masked, 0 … 1. Default 1: always. */
  first?: number;
  /** Multiply `scale` with the share of the answer that is masked. Default false. */
  linear?: boolean;
}

/** Of the original's three numbers before training; k as for its language models. */
const usual = { k: 3, slope: 10 / 1.5, centre: -0.75 };

/** What a position was last expected to hold, MASK left out. */
interface Expectation {
  /** Nats. */
  entropy: number;
  /** (k) Most probable first, and their probabilities with sum 1. */
  token: Int32Array;
  weight: Float32Array;
}

/**
 * Soft masking: a mask that was predicted before goes into the next forward as a mixture of the mask
 * and of what it was expected to be, with p the last prediction of the position and H its entropy:
 *
 *     alpha = scale · sigmoid(slope · (−H − centre))
 *     input = (1 − alpha) · E[MASK] + alpha · Σ q_j E[j],   q the k largest p, with sum 1
 *
 * The first forward sees hard masks; so do positions that were not predicted since their token was
 * taken back or the canvas changed its length. A row that a cache leaves out keeps its last
 * prediction. `scale: 0` is exactly the decoder without it. The parameters are those of the file
 * (`info.softMask`) unless given here; without them `scale` must be given, and the others are k 3,
 * slope 6.67, centre −0.75. Statistics are the decoder's: those of the model unless it samples.
 *
 * For models trained with it. Others were never shown such inputs: expect harm unless `scale` is small.
 * Source: Soft-Masked Diffusion Language Models (arXiv 2510.17206), `algo.py` (`MDLM_SM`),
 * `softmasking_utils`. As in `algo.py`, MASK counts neither in H nor among the k (the patch for Dream
 * leaves it in). `first: 0.5` and `linear` are the code's schedules "stepwise" and "linear"; the 80 % of
 * the steps that others report (`share: 0.8`) seems to be a probability of the training.
 */
export function softMask(options: SoftMaskOptions = {}): Refinement {
  const name = 'softMask()';
  const keys = ['k', 'scale', 'slope', 'centre', 'share', 'first', 'linear'];
  knownKeys(name, options, keys);
  const share = number(`${name}: share`, options.share ?? 1, { min: 0, max: 1 });
  const first = number(`${name}: first`, options.first ?? 1, { min: 0, max: 1 });
  const linear = boolean(`${name}: linear`, options.linear ?? false);
  if (options.k !== undefined) integer(`${name}: k`, options.k, { min: 1 });
  if (options.scale !== undefined) number(`${name}: scale`, options.scale, { min: 0, max: 1 });
  if (options.slope !== undefined) number(`${name}: slope`, options.slope, { min: 0 });
  if (options.centre !== undefined) number(`${name}: centre`, options.centre);

  const refinement: Refinement = (run) => {
    const parameters = parametersOf(run, options);
    const memory = new Expectations(run);
    return {
      ask: (state) => {
        if (parameters.scale === 0) return undefined;
        const masks = memory.masks(state);
        const masked = masks.length / (state.canvas.length - run.prompt);
        const due = (n: number) => Math.floor(n * share + 1e-9); // of the first n forwards
        const soft = due(state.forwards + 1) > due(state.forwards) && masked > 1 - first;
        const scale = linear ? parameters.scale * masked : parameters.scale;
        return {
          query: masks,
          topK: Math.min(parameters.k + 1, run.vocabulary),
          probe: Int32Array.of(run.tokens.mask),
          ...(soft && { softMask: memory.mixed(state, masks, { ...parameters, scale }) }),
        };
      },
      revise: (state, report) => {
        if (parameters.scale > 0) memory.note(state, report, parameters.k);
        return undefined;
      },
    };
  };
  return named('softMask', options, refinement, ['softMask', 'remembers']);
}

function parametersOf({ softMask }: RunFacts, options: SoftMaskOptions): SoftMaskParameters {
  const { k, slope, centre } = { ...usual, ...softMask, ...given(options) };
  const scale = options.scale ?? softMask?.scale;
  if (scale === undefined) {
    throw new LacunaError(
      'INVALID_ARGUMENT',
      'softMask(): scale must be given: the file names no parameters, so the model was probably ' +
        'not trained with soft masks; try 0.05',
    );
  }
  return { k, scale, slope, centre };
}

function given({ k, scale, slope, centre }: SoftMaskOptions): Partial<SoftMaskParameters> {
  const entries = Object.entries({ k, scale, slope, centre });
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

/** The last prediction of each masked position. */
class Expectations {
  readonly #run: RunFacts;
  #length = 0;
  readonly #last = new Map<number, Expectation>();

  constructor(run: RunFacts) {
    this.#run = run;
  }

  /** Masked positions of the answer, ascending. */
  masks({ canvas }: StepState): Int32Array {
    const { prompt, tokens } = this.#run;
    const positions: number[] = [];
    for (let i = prompt; i < canvas.length; i++) if (canvas[i] === tokens.mask) positions.push(i);
    return Int32Array.from(positions);
  }

  /** The inputs of the masks that were predicted before. */
  mixed(
    { canvas }: StepState,
    masks: Int32Array,
    { k, scale, slope, centre }: SoftMaskParameters,
  ): SoftMask | undefined {
    if (canvas.length !== this.#length) return undefined; // positions may have moved
    const position = masks.filter((place) => this.#last.has(place));
    if (position.length === 0) return undefined;
    const last = [...position].map((place) => this.#last.get(place)!);
    const alpha = last.map(({ entropy }) => scale / (1 + Math.exp(-slope * (-entropy - centre))));
    const token = new Int32Array(last.length * k);
    const weight = new Float32Array(last.length * k);
    last.forEach((expectation, i) => {
      token.set(expectation.token, i * k);
      weight.set(expectation.weight, i * k);
    });
    return { position, alpha: Float32Array.from(alpha), token, weight };
  }

  note({ canvas }: StepState, report: StepResult, k: number): void {
    if (canvas.length !== this.#length) this.#last.clear();
    this.#length = canvas.length;
    const { mask } = this.#run.tokens;
    for (const place of this.#last.keys()) if (canvas[place] !== mask) this.#last.delete(place);
    report.position.forEach((place, row) => {
      const expectation = expectationOf(report, row, k, mask);
      if (expectation !== undefined) this.#last.set(place, expectation);
    });
  }
}

/** `undefined` where nothing but MASK is expected. */
function expectationOf(
  { entropy, top, probe }: StepResult,
  row: number,
  k: number,
  mask: number,
): Expectation | undefined {
  const { k: listed, token: tokens, probability } = top!;
  const cells = Array.from({ length: listed }, (_, i) => row * listed + i)
    .filter((cell) => tokens[cell] !== mask)
    .slice(0, k);
  const sum = cells.reduce((total, cell) => total + probability[cell], 0);
  const rest = 1 - probe![row]; // what MASK leaves
  if (!(sum > 0) || !(rest > 0)) return undefined;
  const token = new Int32Array(k); // weight 0 where the vocabulary is smaller
  const weight = new Float32Array(k);
  cells.forEach((cell, i) => {
    token[i] = tokens[cell];
    weight[i] = probability[cell] / sum;
  });
  const own = probe![row] > 0 ? probe![row] * Math.log(probe![row]) : 0;
  return { entropy: Math.max(0, (entropy[row] + own) / rest + Math.log(rest)), token, weight };
}
