/** Options of a generation on the command line, and the policies they name. */
import { Option, type Command } from 'commander';
import {
  absoluteBlocks,
  ancestral,
  beam,
  blocks,
  cap,
  credit,
  dilated,
  dream,
  entropyBound,
  factor,
  klass,
  leftToRight,
  presets,
  localLeap,
  lowConfidence,
  osdt,
  pcSampler,
  randomOrder,
  rightToLeft,
  sdar,
  threshold,
  type Background,
  type Decoder,
  type PresetName,
  type ThresholdProfile,
} from '../decoding/index.js';
import type { GenerateOptions } from '../plan.js';
import { cachePlan, caches, type CacheName } from './caches.js';
import { readJson } from './files.js';
import { fields } from './format.js';
import { defined, oneOf, real, UsageError, whole } from './options.js';

export interface GenerationFlags {
  maxTokens: number;
  preset?: PresetName;
  decode?: DecoderName;
  steps?: number;
  blockLength?: number;
  absoluteBlocks?: boolean;
  tau?: number;
  factor?: number;
  gamma?: number;
  algTemp?: number;
  depth?: number;
  width?: number;
  background?: string;
  profile?: string;
  maxPerplexity?: number;
  temperature?: number;
  topP?: number;
  topK?: number;
  seed?: number;
  cfgScale?: number;
  bos?: boolean;
  cache?: CacheName;
  refresh?: number;
}

/** Options that only some decoders know. */
type Own =
  'steps' | 'tau' | 'factor' | 'gamma' | 'algTemp' | 'depth' | 'width' | 'background' | 'profile';

interface DecoderEntry {
  about: string;
  own: Own[];
  make(flags: GenerationFlags): Decoder;
}

const dreamEntry = (
  alg: 'origin' | 'maskgit_plus' | 'topk_margin' | 'entropy',
  about: string,
): DecoderEntry => ({
  about,
  own: ['steps', 'algTemp'],
  make: ({ algTemp }) => dream({ alg, algTemp }),
});

const decoders = {
  'low-confidence': {
    about: 'a fixed number a step, the most probable first (LLaDA)',
    own: ['steps'],
    make: () => lowConfidence(),
  },
  random: {
    about: 'a fixed number a step, in random order (LLaDA)',
    own: ['steps'],
    make: () => randomOrder(),
  },
  threshold: {
    about: 'all that are at least --tau probable (Fast-dLLM)',
    own: ['tau'],
    make: ({ tau }) => threshold({ tau }),
  },
  factor: {
    about: 'the more at once, the surer each must be, by --factor (Fast-dLLM)',
    own: ['factor'],
    make: (flags) => factor({ factor: flags.factor }),
  },
  'entropy-bound': {
    about: 'as many as keep their joint entropy below --gamma (EB-Sampler)',
    own: ['gamma'],
    make: ({ gamma }) => entropyBound({ gamma }),
  },
  'left-to-right': {
    about: 'one a step, in reading order',
    own: [],
    make: () => leftToRight(),
  },
  'right-to-left': {
    about: 'one a step, from the end of each block',
    own: [],
    make: () => rightToLeft(),
  },
  'local-leap': {
    about: 'all that are sure, and near them all that are fairly sure (LocalLeap)',
    own: [],
    make: () => localLeap(),
  },
  credit: {
    about: 'like threshold, but sooner what has come first for long (CreditDecoding)',
    own: ['tau'],
    make: ({ tau }) => credit(threshold({ tau })),
  },
  beam: {
    about: 'the --depth tokens that are best together, a search over --width canvases',
    own: ['depth', 'width'],
    make: ({ depth, width }) => beam({ depth, width }),
  },
  klass: {
    about: 'all above --tau that have stopped changing (KLASS)',
    own: ['tau'],
    make: ({ tau }) => klass({ tau }),
  },
  sdar: {
    about: 'all above --tau, by the sampled distribution (SDAR)',
    own: ['tau'],
    make: ({ tau }) => sdar({ tau }),
  },
  dilated: {
    about: 'positions far apart first, log2(block length) forwards a block (DUS)',
    own: [],
    make: () => dilated(),
  },
  'pc-sampler': {
    about: 'like low-confidence, but common tokens of --background later (PC-Sampler)',
    own: ['steps', 'background'],
    make: ({ background }) =>
      pcSampler({ background: json<Background>('pc-sampler', '--background', background) }),
  },
  osdt: {
    about: 'all above the thresholds of --profile, see lacuna calibrate (OSDT)',
    own: ['profile'],
    make: ({ profile }) => osdt({ profile: json<ThresholdProfile>('osdt', '--profile', profile) }),
  },
  ancestral: {
    about: 'each token by chance, as the training noise was undone; use -t 1 (MDLM, MD4)',
    own: ['steps'],
    make: () => ancestral(),
  },
  'dream-entropy': dreamEntry('entropy', 'a fixed number a step, lowest entropy first (Dream)'),
  'dream-maskgit-plus': dreamEntry('maskgit_plus', 'the same, most probable first'),
  'dream-topk-margin': dreamEntry('topk_margin', 'the same, clearest lead over the second first'),
  'dream-origin': dreamEntry('origin', 'each token by chance, at an even rate'),
} satisfies Record<string, DecoderEntry>;

type DecoderName = keyof typeof decoders;

const ownFlags: Record<Own, string> = {
  steps: '--steps',
  tau: '--tau',
  factor: '--factor',
  gamma: '--gamma',
  algTemp: '--alg-temp',
  depth: '--depth',
  width: '--width',
  background: '--background',
  profile: '--profile',
};

/** The file of an option that the decoder cannot do without; the library checks what is in it. */
function json<T>(decoder: string, option: string, path: string | undefined): T {
  if (path === undefined) throw new UsageError(`--decode ${decoder} needs ${option}`);
  return readJson(option, path) as T;
}

type OptionRow = [flags: string, about: string, parse?: (text: string) => unknown, value?: unknown];

/** By group; what takes a path or is a switch has no parser. */
const optionRows: Record<string, OptionRow[]> = {
  Generation: [
    ['-n, --max-tokens <n>', 'length of the answer', whole(1), 128],
    [
      '--preset <name>',
      'settings that belong together, see below; other options have their way over them',
      oneOf(Object.keys(presets)),
    ],
    [
      '--decode <name>',
      'which tokens are committed in a step, see below (default: by model)',
      oneOf(Object.keys(decoders)),
    ],
    ['--steps <n>', 'steps in all: fewer is faster and worse (default: one a token)', whole(1)],
    ['--block-length <n>', 'work block by block, from left to right (default: by model)', whole(1)],
    ['--absolute-blocks', 'blocks start at multiples of their length (SDAR, LLaDA2)'],
    [
      '--cache <name>',
      'what is not computed anew, see below (default: by model)',
      oneOf(Object.keys(caches)),
    ],
    [
      '--refresh <n>',
      'with a --cache that is not exact: a full forward every n of a block (default: by cache)',
      whole(1),
    ],
    [
      '--tau <p>',
      'threshold, credit, klass, sdar: commit tokens at least this probable (default: 0.9; sdar 0.85)',
      real(0, 1),
    ],
    ['--factor <f>', 'factor: more commits more tokens in a step (default: 1)', real(0)],
    ['--gamma <nats>', 'entropy-bound: more commits more in a step (default: 0.1)', real(0)],
    ['--alg-temp <t>', 'dream-…: randomness of the order (default: 0)', real(0)],
    ['--depth <n>', 'beam: tokens that are decided together (default: 4)', whole(1)],
    ['--width <n>', 'beam: canvases that are kept (default: 4)', whole(1)],
    ['--background <path>', 'pc-sampler: a file made by lacuna background'],
    ['--profile <path>', 'osdt: a file made by lacuna calibrate'],
    [
      '--max-perplexity <x>',
      'with a --decode without --steps: commit fewer at once, the best first, until (Π p)^(−1/n) is x or less',
      real(1),
    ],
  ],
  Sampling: [
    ['-t, --temperature <t>', '0: always the most probable token (default: 0)', real(0)],
    ['--top-p <p>', 'sample from the most probable tokens that make up p (default: 1)', real(0, 1)],
    ['--top-k <k>', 'sample from the k most probable tokens (default: all)', whole(1)],
    ['--seed <n>', 'the same seed gives the same text (default: 0)', whole(0)],
    ['--cfg-scale <w>', 'stay closer to the prompt; twice the work (default: 0)', real(0)],
  ],
};

export function generationOptions(command: Command): void {
  for (const [group, rows] of Object.entries(optionRows)) {
    command.optionsGroup(`${group}:`);
    for (const [flags, about, parse, value] of rows) {
      const option = new Option(flags, about).default(value);
      command.addOption(parse === undefined ? option : option.argParser(parse));
    }
  }
}

/** Explains the values of --preset, --decode and --cache. */
export function policyHelp(): string {
  const list = (entries: Record<string, { about: string }>): string =>
    fields(Object.entries(entries).map(([name, { about }]) => [`  ${name}`, about]));
  const sets = `Presets:\n${list(presets)}`;
  return `${sets}\n\nDecoders, which tokens are committed in a step:\n${list(decoders)}\n\nCaches:\n${list(caches)}`;
}

/** The library's options for these flags. Throws `UsageError` for flags that do not fit together. */
export function generateOptions(flags: GenerationFlags): GenerateOptions & { maxTokens: number } {
  const decoder = flags.decode === undefined ? undefined : decoders[flags.decode];
  refuseStrangers(flags, decoder);
  if (flags.absoluteBlocks && flags.blockLength === undefined) {
    throw new UsageError('--absolute-blocks needs --block-length');
  }
  const plan = flags.absoluteBlocks ? absoluteBlocks : blocks;
  return defined({
    maxTokens: flags.maxTokens,
    preset: flags.preset,
    decode: capped(decoder?.make(flags), flags.maxPerplexity),
    steps: flags.steps,
    blocks: flags.blockLength === undefined ? undefined : plan(flags.blockLength),
    cache: cachePlan(flags.cache, flags.refresh),
    temperature: flags.temperature,
    topP: flags.topP,
    topK: flags.topK,
    seed: flags.seed,
    cfgScale: flags.cfgScale,
    bos: flags.bos,
  });
}

function capped(decoder: Decoder | undefined, perplexity: number | undefined) {
  if (perplexity === undefined) return decoder;
  if (decoder === undefined) throw new UsageError('--max-perplexity needs --decode');
  return cap(decoder, { perplexity });
}

function refuseStrangers(flags: GenerationFlags, decoder: DecoderEntry | undefined): void {
  for (const name of Object.keys(ownFlags) as Own[]) {
    // Without --decode the model's own decoder runs, and all of these take steps.
    if (flags[name] === undefined || (decoder?.own ?? ['steps']).includes(name)) continue;
    const users = Object.entries(decoders)
      .filter(([, entry]) => (entry.own as Own[]).includes(name))
      .map(([user]) => user);
    throw new UsageError(`${ownFlags[name]} needs --decode ${users.join(' or ')}`);
  }
}
