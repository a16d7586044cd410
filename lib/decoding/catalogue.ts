/** The policies that plain data can name: what each is, what it takes, how it is made. */
import { knownKeys, object, oneOf } from '../validate.js';
import { absoluteBlocks, blocks, blocksFields, blocksFromEnd, wholeAnswer } from './blocks.js';
import { beam, beamFields } from './beam.js';
import { blockCausalCache, exactCache } from './caches/block-causal.js';
import { dkvCache, dkvFields } from './caches/dkv.js';
import { dllmCache, dllmFields } from './caches/dllm.js';
import { dualCache, dualFields } from './caches/dual.js';
import { noCache } from './caches/none.js';
import { prefixCache } from './caches/prefix.js';
import { refreshFields } from './caches/refresh.js';
import { dilated, dilatedFields } from './dilated.js';
import { dream, dreamFields } from './dream.js';
import { readFields, type Fields } from './fields.js';
import { klass, klassFields } from './klass.js';
import { localLeap, localLeapFields } from './local-leap.js';
import {
  countFields,
  leftToRight,
  lladaFields,
  lowConfidence,
  randomOrder,
  rightToLeft,
  topK,
} from './low-confidence.js';
import type { BlockPlan, CachePlan, Decoder } from './policy.js';
import { sdar, sdarFields } from './sdar.js';
import {
  entropyBound,
  entropyBoundFields,
  factor,
  factorFields,
  threshold,
  thresholdFields,
} from './threshold.js';
import { wino, winoFields } from './wino.js';

/** A policy that data can name. The name is that of the library's function. */
export interface Listed<P> {
  about: string;
  fields: Fields;
  make: (options: object) => P;
}

const listed = <P>(about: string, fields: Fields, make: (options: object) => P): Listed<P> => ({
  about,
  fields,
  make,
});

/** Policies that take the size of a block and not an object. */
const sized = (name: string, plan: (size: number) => BlockPlan) => (options: object) =>
  plan(readFields(`${name}()`, blocksFields, options).size);

export const catalogue = {
  decode: {
    lowConfidence: listed(
      'a fixed number a step, the most probable first (LLaDA)',
      lladaFields,
      lowConfidence,
    ),
    randomOrder: listed('a fixed number a step, in random order (LLaDA)', lladaFields, randomOrder),
    topK: listed('the k most probable in every step', countFields, topK),
    threshold: listed('all that are probable enough (Fast-dLLM)', thresholdFields, threshold),
    factor: listed('the more at once, the surer each must be (Fast-dLLM)', factorFields, factor),
    entropyBound: listed(
      'as many as keep their joint entropy low (EB-Sampler)',
      entropyBoundFields,
      entropyBound,
    ),
    dream: listed("at Dream's times, lowest entropy first (Dream)", dreamFields, dream),
    klass: listed('all that are sure and have stopped changing (KLASS)', klassFields, klass),
    localLeap: listed(
      'all that are sure, and near them all that are fairly sure (LocalLeap)',
      localLeapFields,
      localLeap,
    ),
    sdar: listed("SDAR's strategies, by the sampled distribution", sdarFields, sdar),
    wino: listed('drafts generously, takes back what does not stand up (WINO)', winoFields, wino),
    dilated: listed('positions far apart first (DUS)', dilatedFields, dilated),
    beam: listed('the tokens that are best together, by a search', beamFields, beam),
    leftToRight: listed('in reading order', countFields, leftToRight),
    rightToLeft: listed('from the end of each block', countFields, rightToLeft),
  } satisfies Record<string, Listed<Decoder>>,
  blocks: {
    blocks: listed(
      'from left to right, counted from the prompt',
      blocksFields,
      sized('blocks', blocks),
    ),
    blocksFromEnd: listed(
      'the same, counted from the end: the first one may be shorter',
      blocksFields,
      sized('blocksFromEnd', blocksFromEnd),
    ),
    absoluteBlocks: listed(
      'from left to right at multiples of the size, as block-causal models are trained',
      blocksFields,
      sized('absoluteBlocks', absoluteBlocks),
    ),
    wholeAnswer: listed('the whole answer at once', {}, wholeAnswer),
  } satisfies Record<string, Listed<BlockPlan>>,
  cache: {
    exactCache: listed('whatever is exact for the model', {}, exactCache),
    noCache: listed('compute every token in every forward', {}, noCache),
    prefixCache: listed('keep what lies before the block (Fast-dLLM)', refreshFields, prefixCache),
    dualCache: listed(
      'keep what lies before and after the block (Fast-dLLM)',
      dualFields,
      dualCache,
    ),
    dkvCache: listed('keep tokens from the second forward on (dKV-Cache)', dkvFields, dkvCache),
    dllmCache: listed('renew the prompt rarely, the answer in part', dllmFields, dllmCache),
    blockCausalCache: listed(
      'keep what lies before the block; exact for block-causal models',
      {},
      blockCausalCache,
    ),
  } satisfies Record<string, Listed<CachePlan>>,
} as const;

export type Role = keyof typeof catalogue;

/** What data may name in each role. */
interface Made {
  decode: Decoder;
  blocks: BlockPlan;
  cache: CachePlan;
}

/**
 * The policy that `{ name, options }` names. Throws `INVALID_ARGUMENT`.
 * @param at where the data stands, for messages: `'lacuna.decode'`
 */
export function policyNamed<R extends Role>(role: R, at: string, value: unknown): Made[R] {
  const given = object(at, value);
  knownKeys(at, given, ['name', 'options']);
  const entries: Readonly<Record<string, Listed<Made[Role]>>> = catalogue[role];
  const { make, fields } = entries[oneOf(`${at}.name`, given.name, Object.keys(entries))];
  const options = object(`${at}.options`, given.options ?? undefined);
  knownKeys(`${at}.options`, options, Object.keys(fields));
  return make(options) as Made[R];
}

/** JSON Schema (2020-12) of a policy's options, with the defaults of the library. */
export function schemaOf({ about, fields }: Pick<Listed<unknown>, 'about' | 'fields'>): object {
  return { type: 'object', description: about, properties: fields, additionalProperties: false };
}
