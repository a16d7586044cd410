/** Every decoding method, for the tests that hold for all of them. */
import {
  ancestral,
  beam,
  cap,
  countTokens,
  credit,
  daedal,
  dilated,
  draftAndEdit,
  dream,
  editTokens,
  entropyBound,
  factor,
  fillAfterEos,
  freeDave,
  growUntilEos,
  klass,
  leftToRight,
  localLeap,
  lowConfidence,
  osdt,
  pcSampler,
  prophet,
  randomOrder,
  randomStart,
  remask,
  remdm,
  rightToLeft,
  sdar,
  selfDraft,
  softMask,
  spaced,
  threshold,
  topK,
  wino,
} from '../../lib/decoding/index.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { vocabulary as fake } from './fake.js';

const profile = {
  ...{ kind: 'thresholds', granularity: 'step', metric: 'mean', cap: 0.9, slack: 0.1 },
  ...{ overall: 0.3, thresholds: [[0.5, 0.2]] },
} as const;

/** Every decoder that leaves known tokens alone. */
export const decodersFor = (vocabulary: number) => ({
  lowConfidence: lowConfidence({ steps: 10 }),
  'lowConfidence margin': lowConfidence({ score: 'margin' }),
  'lowConfidence eos': lowConfidence({ logitsEosInf: true, confidenceEosEotInf: true }),
  randomOrder: randomOrder({ steps: 7 }),
  topK: topK({ k: 3, score: 'negEntropy' }),
  leftToRight: leftToRight({ k: 2 }),
  threshold: threshold({ tau: 0.3 }),
  'threshold strict': threshold({ tau: 0.3, strict: true, min: 2, statistics: 'sampled' }),
  factor: factor({ factor: 2 }),
  'factor literal': factor({ literal: true }),
  entropyBound: entropyBound({ gamma: 4 }),
  'dream origin': dream({ alg: 'origin', steps: 9 }),
  'dream maskgit_plus': dream({ alg: 'maskgit_plus', steps: 30 }),
  'dream topk_margin': dream({ alg: 'topk_margin', steps: 6 }),
  'dream entropy': dream(),
  'lowConfidence dilated': lowConfidence({ schedule: 'dilated', steps: 12 }),
  'randomOrder cosine': randomOrder({ schedule: 'cosine' }),
  rightToLeft: rightToLeft(),
  pcSampler: pcSampler({ background: countTokens([[1, 2, 2, 3, 3, 3]], vocabulary), steps: 11 }),
  klass: klass({ tau: 0.2, kappa: 0.5 }),
  'klass minKl': klass({ tau: 0.1, kappa: 1, history: 1, strict: false, pick: 'minKl' }),
  localLeap: localLeap({ kappa: 0.4, tau: 0.2 }),
  dilated: dilated(),
  'sdar dynamic': sdar({ tau: 0.3 }),
  'sdar static': sdar({ strategy: 'static', steps: 3 }),
  'sdar sequential': sdar({ strategy: 'sequential', steps: 3 }),
  'sdar entropyBounded': sdar({ strategy: 'entropyBounded', epsilon: 3 }),
  cap: cap(threshold({ tau: 0.1 }), { max: 3 }),
  spaced: spaced(entropyBound({ gamma: 9 })),
  ancestral: ancestral(),
  'ancestral cosine': ancestral({ alpha: 'cosine', grid: 'cosine', steps: 12 }),
  osdt: osdt({ profile: profile as never }),
  credit: credit(threshold({ tau: 0.3 })),
  'credit dInfer': credit(lowConfidence({ score: 'margin' }), { parameters: 'dInfer' }),
  'credit parameterFree': credit(sdar({ tau: 0.3 }), { parameters: 'parameterFree' }),
  'credit capped': credit(cap(localLeap({ kappa: 0.4, tau: 0.2 }), { max: 3 })),
  beam: beam({ depth: 3, width: 3 }),
  'beam leftmost': beam({ depth: 5, width: 2, score: 'position' }),
  'dream alg_temp': dream({ alg: 'entropy', steps: 8, algTemp: 0.5 }),
});
export const decoders = decodersFor(fake);

/** Of an answer of 19 tokens in blocks that end after one token at the soonest. */
const maxBlocks = 19;
const lengthening = 2 * 19; // forwards that find the length, and that filled what is cut off
const verifying = 4 * 19; // a step takes back fewer than the one before has drafted
const remasking = { fixed: true, revises: true, extra: maxBlocks * 24 } as const;

/** What a combination may do beyond committing each position once, a token a forward at least. */
interface Method {
  options: GenerateOptions;
  /** Writes over known tokens. */
  revises?: true;
  /** Forwards beyond one a token: those that take back, edit, or find the length. */
  extra?: number;
  /** Refuses blocks that the model ends. */
  fixed?: true;
}

/** Everything that goes along with a decoder, or is more than one. */
export const methods: Record<string, Method> = {
  'semi-autoregressive': {
    options: { decode: lowConfidence(), length: growUntilEos({ initial: 6, by: 5 }) },
    fixed: true,
  },
  daedal: {
    options: {
      decode: threshold({ tau: 0.9, strict: true }),
      length: daedal({ initial: 6, expand: 3, low: 0.4, window: 4 }),
    },
    ...{ fixed: true, extra: lengthening },
  },
  'daedal, wino': {
    options: { decode: wino(), length: daedal({ initial: 9, expand: 3, low: 0.3 }) },
    ...{ fixed: true, revises: true, extra: lengthening + verifying },
  },
  remask: {
    options: { decode: threshold({ tau: 0.4 }), refine: remask({ k: 2, rounds: 2, after: 0.5 }) },
    ...{ revises: true, extra: maxBlocks * 2 * 2 },
  },
  'remdm cap': { options: remdm({ kind: 'cap', eta: 0.2, steps: 24 }), ...remasking },
  'remdm rescale': { options: remdm({ kind: 'rescale', eta: 0.3, steps: 24 }), ...remasking },
  'remdm conf': { options: remdm({ kind: 'conf', steps: 24 }), ...remasking },
  'remdm loop': { options: remdm({ kind: 'loop', steps: 24 }), ...remasking },
  wino: { options: { decode: wino() }, revises: true, extra: verifying },
  'wino, bold': {
    options: { decode: wino({ draft: 0.2, verify: 0.2 }) },
    ...{ revises: true, extra: verifying },
  },
  draftAndEdit: {
    options: draftAndEdit({ mode: 'speed', maxPostSteps: 4 }),
    ...{ revises: true, extra: maxBlocks * 5 },
  },
  randomStart: {
    options: { decode: threshold({ tau: 0.3 }), refine: randomStart({ share: 0.3 }) },
  },
  'randomStart, edited': {
    options: {
      decode: threshold({ tau: 0.3 }),
      refine: [randomStart({ share: 0.3 }), editTokens({ tau: 0.3, maxPostSteps: 2 })],
    },
    ...{ revises: true, extra: maxBlocks * 3 },
  },
  'randomStart, wino': {
    options: { decode: wino(), refine: randomStart({ share: 0.5 }) },
    ...{ revises: true, extra: verifying },
  },
  'remask, then edit': {
    options: {
      decode: topK(),
      refine: [remask({ after: 0.5, rounds: 2 }), editTokens({ tau: 0.5, maxPostSteps: 2 })],
    },
    ...{ revises: true, extra: maxBlocks * (2 + 3) },
  },
  prophet: {
    options: { decode: topK(), refine: prophet({ early: 2, middle: 1.5, late: 1 }) },
  },
  fillAfterEos: { options: { decode: topK(), refine: fillAfterEos() } },
  softMask: { options: { decode: threshold({ tau: 0.3 }), refine: softMask({ scale: 0.3 }) } },
  'softMask, now and then': {
    options: {
      decode: topK(),
      refine: softMask({ k: 20, scale: 1, share: 0.5, first: 0.8, linear: true }),
    },
  },
  'softMask, wino': {
    options: { decode: wino(), refine: softMask({ k: 1, scale: 0.5 }) },
    ...{ revises: true, extra: verifying },
  },
  'softMask, beam, edited': {
    options: {
      decode: beam({ depth: 3, width: 3 }),
      refine: [softMask({ scale: 0.5 }), editTokens({ tau: 0.5, maxPostSteps: 2 })],
    },
    ...{ revises: true, extra: maxBlocks * 3 },
  },
  'softMask, daedal': {
    options: {
      decode: threshold({ tau: 0.9 }),
      refine: softMask({ scale: 0.5 }),
      length: daedal({ initial: 6, expand: 3, low: 0.4, window: 4 }),
    },
    ...{ fixed: true, extra: lengthening },
  },
  'credit, wino': { options: { decode: credit(wino()) }, revises: true, extra: verifying },
  'credit, daedal': {
    options: {
      decode: credit(threshold({ tau: 0.9 })),
      length: daedal({ initial: 6, expand: 3, low: 0.4, window: 4 }),
    },
    ...{ fixed: true, extra: lengthening },
  },
  selfDraft: {
    options: { decode: topK(), speculate: selfDraft({ alternatives: 1 }) },
    fixed: true,
  },
  freeDave: {
    options: { decode: threshold({ tau: 0.4 }), speculate: freeDave() },
    fixed: true,
  },
};
