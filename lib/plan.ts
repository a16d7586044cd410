/** From the options of `generate` to the facts of a run: checks, defaults, prompt, canvas. */
import { LacunaError } from './errors.js';
import type { AnswerView } from './frames.js';
import type { ForwardPlan } from './forward.js';
import { absoluteBlocks, blocks, wholeAnswer } from './decoding/blocks.js';
import { pickCache } from './decoding/caches/auto.js';
import { exactCache } from './decoding/caches/block-causal.js';
import { refuseCombinations } from './decoding/combine.js';
import { dream } from './decoding/dream.js';
import { fixedLength } from './decoding/length.js';
import { leftToRight, lowConfidence } from './decoding/low-confidence.js';
import { factsOf, isNamed } from './decoding/named.js';
import { withPreset, type PresetName } from './decoding/presets.js';
import type { SoftMaskParameters } from './decoding/soft-masking.js';
import { threshold } from './decoding/threshold.js';
import type {
  AdaptPolicy,
  BlockPlan,
  CachePlan,
  CachePolicy,
  DecodePolicy,
  Decoder,
  LengthPlan,
  LengthPolicy,
  RefinePolicy,
  Refinement,
  RunFacts,
  DraftPolicy,
  Speculation,
} from './decoding/policy.js';
import { maskOf, promptIds, refuseMask, usableTokenizer, type PlainPrompt } from './prompt.js';
import type { Gap, Template } from './template/types.js';
import type { ChatOptions } from './text/template.js';
import type { Tokenizer } from './text/tokenizer.js';
import type { StepRequest, StepResult } from './types.js';
import {
  abortSignal,
  boolean,
  integer,
  invalid,
  knownKeys,
  number,
  object,
  tokenIds,
} from './validate.js';

/** Text, chat messages, token ids, or an answer of which parts are known. */
export type Prompt = PlainPrompt | Template | Gap;

export interface GenerateOptions {
  /** Settings that belong together; other options have their way over it. Default: none. */
  preset?: PresetName;
  /**
   * Length of the answer in tokens; with a length plan that grows, the most it can be. Default 128.
   * A template has its own.
   */
  maxTokens?: number;
  /**
   * Which positions get their token at each step. Default by the model: full attention without a
   * logit shift (LLaDA) `lowConfidence()`, with one (Dream) `dream()`, block-causal (SDAR, LLaDA2)
   * `threshold({ tau: 0.95, strict: true, statistics: 'sampled' })`, causal `leftToRight()`.
   */
  decode?: Decoder;
  /**
   * In which order parts of the answer are filled. Default by the model: full attention without a
   * logit shift `blocks(32)`, with one `wholeAnswer()`, block-causal(n) and causal (n = 1)
   * `absoluteBlocks(n)`.
   */
  blocks?: BlockPlan;
  /**
   * Which rows each forward computes. Default `exactCache()`: nothing is approximated. `'auto'` picks
   * by the model, the canvas and the blocks; `policies.cache` of the result says what, and why.
   */
  cache?: CachePlan | 'auto';
  /** How long the answer is. Default `fixedLength()`: `maxTokens`. */
  length?: LengthPlan;
  /** What goes along with the decoder, in this order. Default: nothing. */
  refine?: Refinement | readonly Refinement[];
  /**
   * Computes canvases that later steps may have together with the present one: the same answer in
   * fewer forwards. Default: nothing.
   */
  speculate?: Speculation;
  /** 0 (default): the most probable token. > 0: a sample of softmax(z / temperature). */
  temperature?: number;
  /** Sample among the k most probable tokens. Default: all. */
  topK?: number;
  /** Nucleus sampling; the token that crosses `topP` is kept. Default 1: all. */
  topP?: number;
  /** Of all random choices. The same seed gives the same answer. Default 0. */
  seed?: number;
  /**
   * Classifier-free guidance as in LLaDA: logits u + (cfgScale + 1)(c − u), u with a masked prompt.
   * Doubles the rows of every forward. Default 0: none.
   */
  cfgScale?: number;
  /** Tokens that are never proposed. Default: none. MASK never is. */
  suppress?: ArrayLike<number>;
  /**
   * Stop as soon as everything before the first end of text or turn is known. Default true; false
   * fills the whole canvas, as the original decoders do. The result's text ends there in any case.
   */
  stopAtEos?: boolean;
  /** Most steps of the run; decoders with a schedule plan for it. Default: what the decoder needs. */
  steps?: number;
  /** Ends the run with `ABORTED`. */
  signal?: AbortSignal;
  /**
   * When it fires, the next forward commits all that is still masked, each position its most probable
   * token, and the run ends with what there is: `AbortSignal.timeout(120)`.
   */
  deadline?: AbortSignal;
  /** For a text prompt: put the begin-of-text token in front. Default: as the file says. */
  bos?: boolean;
  /** For a text prompt: text of control tokens (`'<|eot_id|>'`) gives these tokens. Default false. */
  special?: boolean;
  /** For chat messages: another template, `addGenerationPrompt`, or more variables for it. */
  chat?: Omit<ChatOptions, 'architecture'>;
}

/** What `generate` needs of a session; `DiffusionSession` has it. */
export interface GenerationSession {
  set(position: number, tokens: Int32Array): void;
  step(
    request?: StepRequest<GenerationSession>,
    options?: { signal?: AbortSignal; queue?: boolean },
  ): Promise<StepResult>;
  /** A copy: canvas, keys and values. */
  fork(): GenerationSession;
  dispose(): void;
}

/** What `generate` needs of a model; `Model` has it. */
export interface GenerationModel {
  readonly info: {
    readonly architecture: string;
    readonly vocabulary: number;
    /** 0: unknown. */
    readonly context: number;
    readonly logitShift: number;
    readonly attention: 'full' | 'causal' | { readonly blockCausal: number };
    readonly tokens: { readonly mask?: number; readonly eos?: number; readonly eot?: number };
    readonly softMask?: SoftMaskParameters;
  };
  /** Whether steps of a session can wait for each other: see `StepOptions.queue`. */
  readonly queues?: boolean;
  /** Throws `UNSUPPORTED_TOKENIZER` where there is none. */
  readonly tokenizer: Tokenizer;
  createSession(options: { length: number }): GenerationSession;
  /** One forward for several sessions; results in their order. */
  step(
    items: readonly (StepRequest<never> & { session: never })[], // sessions of this model
    options?: { signal?: AbortSignal },
  ): Promise<StepResult[]>;
}

const optionNames = [
  'maxTokens',
  'preset',
  'decode',
  'blocks',
  'cache',
  'length',
  'refine',
  'speculate',
  'temperature',
  'topK',
  'topP',
  'seed',
  'cfgScale',
  'suppress',
  'stopAtEos',
  'steps',
  'signal',
  'deadline',
  'bos',
  'special',
  'chat',
];

/** Options with their defaults. */
export type Settings = ReturnType<typeof checkOptions>;

export function checkOptions({ info }: GenerationModel, given: GenerateOptions) {
  knownKeys('generate options', given, optionNames);
  const options = withPreset(given);
  const { decode, steps, deadline, topK, bos, special, chat } = options;
  const usual = defaults(info);
  abortSignal('signal', options.signal);
  abortSignal('deadline', deadline);
  const topP = number('topP', options.topP ?? 1, { min: 0, max: 1 });
  if (topP === 0) invalid('topP', topP, 'above 0');
  return {
    maxTokens: integer('maxTokens', options.maxTokens ?? 128, { min: 1 }),
    decode: policy('decode', decode ?? usual.decode, 'threshold({ tau: 0.9 })'),
    blocks: policy('blocks', options.blocks ?? usual.blocks, 'blocks(32)'),
    cache: cachePlan(options.cache ?? exactCache()),
    length: policy('length', options.length ?? fixedLength(), 'growUntilEos()'),
    refine: refinements(options.refine),
    speculate: options.speculate && policy('speculate', options.speculate, 'freeDave()'),
    temperature: number('temperature', options.temperature ?? 0, { min: 0 }),
    topK: topK === undefined ? undefined : integer('topK', topK, { min: 1 }),
    topP,
    seed: integer('seed', options.seed ?? 0, { min: 0 }),
    cfgScale: number('cfgScale', options.cfgScale ?? 0, { min: 0 }),
    suppress: tokenIds('suppress', options.suppress ?? [], info.vocabulary),
    stopAtEos: boolean('stopAtEos', options.stopAtEos ?? true),
    steps: steps === undefined ? undefined : integer('steps', steps, { min: 1 }),
    deadline,
    bos: bos === undefined ? undefined : boolean('bos', bos),
    special: special === undefined ? undefined : boolean('special', special),
    chat: chat === undefined ? undefined : object('chat', chat),
  };
}

function policy<Policy>(name: string, value: Policy, example: string): Policy {
  if (typeof value === 'function') return value;
  return invalid(name, value, `a policy, such as ${example}`);
}

function cachePlan(value: CachePlan | 'auto'): CachePlan | 'auto' {
  return value === 'auto' ? value : policy('cache', value, "dualCache(), or 'auto'");
}

function refinements(value: GenerateOptions['refine']): Refinement[] {
  const list = Array.isArray(value) ? (value as readonly Refinement[]) : [value as Refinement];
  const given = value === undefined ? [] : list;
  return given.map((item, i) =>
    policy(given.length > 1 ? `refine[${i}]` : 'refine', item, 'editTokens()'),
  );
}

/** What suits the kind of model best known to use it so. */
function defaults(info: GenerationModel['info']): { decode: Decoder; blocks: BlockPlan } {
  const n = attentionBlock(info);
  if (n > 0) {
    const dynamic = threshold({ tau: 0.95, strict: true, statistics: 'sampled' });
    return { decode: n === 1 ? leftToRight() : dynamic, blocks: absoluteBlocks(n) };
  }
  if (info.logitShift === 1) return { decode: dream(), blocks: wholeAnswer() };
  return { decode: lowConfidence(), blocks: blocks(32) };
}

function attentionBlock({ attention }: GenerationModel['info']): number {
  if (attention === 'full') return 0;
  return attention === 'causal' ? 1 : attention.blockCausal;
}

/** Everything the loop needs, settled before the first forward. */
export interface Plan {
  run: RunFacts;
  view: AnswerView;
  forward: ForwardPlan;
  decode: DecodePolicy;
  /** Whether the decoder may take tokens back or edit them, in the active block. */
  revises: boolean;
  /** Whether anything else may, anywhere in the answer. */
  revisesAll: boolean;
  cache: CachePolicy;
  adapt: AdaptPolicy | undefined;
  length: LengthPolicy;
  refine: readonly RefinePolicy[];
  speculate: DraftPolicy | undefined;
  /** Nothing but the decoder has a say in what a step commits. */
  simple: boolean;
  stopAtEos: boolean;
  deadline: AbortSignal | undefined;
}

/** Calls the roles once; they refuse what does not fit together. */
export function planOf(model: GenerationModel, prompt: PlainPrompt, settings: Settings): Plan {
  const { info } = model;
  const mask = maskOf(model);
  const tokenizer = usableTokenizer(model, prompt);
  const ids = promptIds(model, prompt, settings);
  refuseMask('prompt', ids, mask);
  const { eos, eot = tokenizer?.eot } = info.tokens;
  const { adapt, ...layout } = settings.blocks(ids.length, settings.maxTokens);
  const facts = { ...layout, adapts: adapt !== undefined, attentionBlock: attentionBlock(info) };
  const cache = settings.cache === 'auto' ? pickCache(facts) : settings.cache;
  const tokens = { mask, eos, eot };
  const run = factsOfRun(info, ids.length, { ...settings, cache }, tokens, tokenizer);
  const length = settings.length(run);
  const decode = settings.decode(run);
  const refine = settings.refine.map((refinement) => refinement(run));
  const { maxTokens, cfgScale, suppress, stopAtEos, temperature, topK, topP, seed } = settings;
  // End of text ends a hole of a template, not the answer.
  const holes = run.policies.length.traits.includes('holes');
  const { logitShift } = info;
  return {
    run,
    view: {
      prompt: ids,
      maxTokens,
      initial: answerAtFirst(length, run, settings.blocks),
      capacity: layout.length - ids.length,
      mask,
      ends: holes ? new Set() : run.ends,
      blocks: layout.blocks.length,
      tokenizer,
    },
    forward: {
      model,
      prompt: ids,
      capacity: layout.length,
      logitShift,
      sampling: { temperature, topK, topP, seed },
      cfgScale,
      suppress,
    },
    decode,
    revises: run.policies.decode.traits.includes('revises'),
    revisesAll: settings.refine.some(
      (refinement, i) =>
        refine[i].revise !== undefined &&
        (!isNamed(refinement) || factsOf(refinement).traits.includes('revises')),
    ),
    cache: cache(run),
    adapt: adapt?.(run),
    length,
    refine,
    speculate: settings.speculate?.(run),
    simple: refine.length === 0 && length.resize === undefined && !settings.speculate,
    stopAtEos,
    deadline: settings.deadline,
  };
}

/** A number of masks fills up its last block; a template is as long as it is. */
function answerAtFirst(
  { initial }: LengthPolicy,
  { prompt, maxTokens, tokens }: RunFacts,
  blocks: BlockPlan,
): readonly number[] {
  if (typeof initial === 'object') return initial;
  const { length } = blocks(prompt, initial ?? maxTokens);
  return new Array<number>(length - prompt).fill(tokens.mask);
}

function factsOfRun(
  info: GenerationModel['info'],
  prompt: number,
  settings: Settings & { cache: CachePlan },
  tokens: RunFacts['tokens'],
  tokenizer: Tokenizer | undefined,
): RunFacts {
  const { maxTokens, steps, temperature, seed, decode, blocks, length, cache, refine } = settings;
  const layout = blocks(prompt, maxTokens);
  if (info.context > 0 && layout.length > info.context) {
    throw new LacunaError(
      'INVALID_ARGUMENT',
      `maxTokens: the prompt of ${prompt} tokens and ${maxTokens} more make a canvas of ` +
        `${layout.length}, but the model's context is ${info.context}; shorten one of them`,
    );
  }
  const policies = {
    decode: factsOf(decode),
    blocks: factsOf(blocks),
    length: factsOf(length),
    cache: factsOf(cache),
    refine: refine.map(factsOf),
    ...(settings.speculate && { speculate: factsOf(settings.speculate) }),
  };
  refuseCombinations(policies);
  return {
    prompt,
    length: layout.length,
    maxTokens,
    blocks: layout.blocks,
    steps,
    temperature,
    seed,
    tokens,
    ends: new Set([tokens.eos, tokens.eot].filter((token) => token !== undefined)),
    architecture: info.architecture,
    vocabulary: info.vocabulary,
    tokenizer,
    attentionBlock: attentionBlock(info),
    logitShift: info.logitShift,
    softMask: info.softMask,
    policies,
  };
}
