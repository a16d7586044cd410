/** The decoders that the benchmark sweeps: each with the parameter that trades speed for accuracy. */
import { adaBlocks } from '../decoding/adablock.js';
import { ancestral } from '../decoding/ancestral.js';
import { beam } from '../decoding/beam.js';
import { wholeAnswer } from '../decoding/blocks.js';
import { spaced } from '../decoding/cap.js';
import { credit } from '../decoding/credit.js';
import { dilated } from '../decoding/dilated.js';
import { dream } from '../decoding/dream.js';
import { entropyBound, factor, threshold } from '../decoding/threshold.js';
import { klass } from '../decoding/klass.js';
import { localLeap } from '../decoding/local-leap.js';
import { leftToRight, rightToLeft, topK } from '../decoding/low-confidence.js';
import { remask } from '../decoding/remask.js';
import type { BlockPlan } from '../decoding/policy.js';
import { sdar } from '../decoding/sdar.js';
import { wino } from '../decoding/wino.js';
import type { GenerateOptions } from '../plan.js';

/** What a strategy may depend on besides its value. */
export interface Setting {
  /** Tokens of the answer. */
  length: number;
  /** Token id of the full stop, which ends a unit of text where there are any. */
  stop: number;
}

export interface Strategy {
  about: string;
  /** What is swept, the slowest value first. */
  parameter: string;
  values: readonly number[];
  /** Whether the same number of tokens is committed in every step, whatever the model says. */
  fixed?: true;
  options: (value: number, setting: Setting) => GenerateOptions;
}

const counts = [1, 2, 3, 4, 5, 6, 7, 8, 16, 36];
const sure = [0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3];

function fixedCount(about: string, decode: (k: number) => GenerateOptions['decode']): Strategy {
  const options = (k: number) => ({ decode: decode(k) });
  return { about, parameter: 'k', values: counts, fixed: true, options };
}

/** `steps` so that each commits about k tokens. */
function scheduled(about: string, decode: GenerateOptions['decode']): Strategy {
  const options = (k: number, { length }: Setting) => ({ decode, steps: Math.ceil(length / k) });
  return { about, parameter: 'tokens a step', values: counts, fixed: true, options };
}

function thresholded(about: string, decode: (tau: number) => GenerateOptions['decode']): Strategy {
  return { about, parameter: 'tau', values: sure, options: (tau) => ({ decode: decode(tau) }) };
}

const all = {
  random: fixedCount('k at random places', (k) => topK({ k, score: 'random' })),
  'left-to-right': fixedCount('the first k', (k) => leftToRight({ k })),
  'right-to-left': fixedCount('the last k', (k) => rightToLeft({ k })),
  confidence: fixedCount('the k most probable', (k) => topK({ k })),
  margin: fixedCount('the k with the clearest lead', (k) => topK({ k, score: 'margin' })),
  entropy: fixedCount('the k of lowest entropy', (k) => topK({ k, score: 'negEntropy' })),
  dream: scheduled("Dream's schedule, lowest entropy first", dream()),
  ancestral: scheduled('each by chance, as MDLM and MD4 sample', ancestral()),
  dilated: {
    about: 'places far apart first (DUS); a higher base takes fewer steps',
    parameter: 'base',
    values: [2, 3, 4, 8],
    fixed: true,
    options: (base) => ({ decode: dilated({ base, floor: 0 }) }),
  },
  threshold: thresholded('all with p ≥ tau (Fast-dLLM)', (tau) => threshold({ tau })),
  spaced: thresholded('of these only such that are no neighbours', (tau) =>
    spaced(threshold({ tau })),
  ),
  sdar: thresholded("SDAR's dynamic rule", (tau) => sdar({ tau })),
  klass: thresholded('confident and stable (KLASS)', (tau) => klass({ tau })),
  'local-leap': thresholded('more near confident places (LocalLeap)', (kappa) =>
    localLeap({ kappa, tau: Math.min(kappa, 0.75) }),
  ),
  credit: thresholded('threshold with credits (CreditDecoding)', (tau) =>
    credit(threshold({ tau })),
  ),
  wino: {
    about: 'drafts p > tau, verifies at 0.9 (WINO)',
    parameter: 'draft',
    values: [0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3],
    options: (draft) => ({ decode: wino({ draft, least: 1 }) }),
  },
  'threshold-remask': {
    about: 'threshold, and each answer gets a second look at its least sure tokens',
    parameter: 'tau',
    values: sure,
    options: (tau) => ({ decode: threshold({ tau }), refine: remask() }),
  },
  factor: {
    about: 'the more at once the surer each must be (Fast-dLLM)',
    parameter: 'factor',
    values: [0.1, 0.3, 0.5, 0.7, 1, 1.3, 1.6, 1.9],
    options: (value) => ({ decode: factor({ factor: value }) }),
  },
  'entropy-bound': {
    about: 'joint entropy at most gamma (EB-Sampler)',
    parameter: 'gamma',
    values: [0.01, 0.05, 0.1, 0.3, 0.6, 1, 2, 4],
    options: (gamma) => ({ decode: entropyBound({ gamma }) }),
  },
  adablock: {
    about: 'threshold tau in blocks that the model ends at a full stop, else of 4 (AdaBlock)',
    parameter: 'tau',
    values: sure,
    options: (tau, { stop }) => ({
      decode: threshold({ tau }),
      blocks: adaBlocks({ size: 4, delimiters: [stop] }),
    }),
  },
  beam: {
    about: 'the tokens of `depth` steps that are best together, over 4 canvases',
    parameter: 'depth',
    values: [1, 2, 4],
    fixed: true,
    options: (depth) => ({ decode: beam({ depth, width: 4 }) }),
  },
} satisfies Record<string, Strategy>;

export type StrategyName = keyof typeof all;
export const strategyNames = Object.keys(all) as StrategyName[];
export const strategies: Readonly<Record<StrategyName, Strategy>> = all;

/** Options of one run; `blocks` unless the strategy has its own. */
export function strategyOptions(
  name: StrategyName,
  value: number,
  setting: Setting,
  blocks: BlockPlan = wholeAnswer(),
): GenerateOptions {
  return { blocks, ...strategies[name].options(value, setting) };
}
