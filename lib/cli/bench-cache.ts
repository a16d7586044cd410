/** `lacuna bench cache`: what each cache saves, and what it costs in quality. */
import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import {
  absoluteBlocks,
  blockCausalCache,
  blocks,
  dkvCache,
  dllmCache,
  dpad,
  dualCache,
  lowConfidence,
  noCache,
  prefixCache,
  type CachePlan,
} from '../decoding/index.js';
import { LacunaError } from '../errors.js';
import type { LoadOptions, Model } from '../model.js';
import { machine, type Machine } from './bench.js';
import { digits3, table } from './format.js';
import { interruptible } from './interrupt.js';
import { measureCaches, type CacheMeasurement } from './cache-quality.js';
import {
  embeddedModel,
  loadOptions,
  machineOptions,
  overrideOptions,
  whole,
  type ModelFlags,
} from './options.js';
import { note } from './progress.js';
import { withModel } from './show.js';

interface CacheFlags extends ModelFlags {
  prompts?: string;
  tokens: number;
  blockLength?: number;
  steps?: number;
  runs: number;
  quality: boolean;
  json?: boolean;
}

/** Our own lines, in the manner of the embedded model's training text. */
const scenes = [
  'FIRST MESSENGER:\nThe ships are lost, my lord, and all your friends with them.\n\nDUKE OF MILAN:\n',
  'GLOUCESTER:\nWhat news abroad? Speak, and be brief with me.\n\n',
  'QUEEN:\nI dreamt last night that all the orchard burned.\n\nLADY:\n',
  'FIRST CITIZEN:\nThey say the corn is kept within the walls.\n\n' +
    'SECOND CITIZEN:\nThen let us ask the senate for the keys.\n\n',
];

/** For models with full attention; the first is what the others are compared to. */
const approximations: (CachePlan | 'auto')[] = [
  noCache(),
  prefixCache(),
  prefixCache({ refresh: 4 }),
  dualCache(),
  dualCache({ refresh: 4 }),
  dualCache({ around: 16, warmUp: 4 }),
  dkvCache(),
  dkvCache({ refresh: 4 }),
  dllmCache(),
  dpad(),
  dpad({ cache: prefixCache() }),
  dpad({ cache: dualCache() }),
  'auto',
];
const exactOnes: (CachePlan | 'auto')[] = [noCache(), blockCausalCache(), 'auto'];

interface Report extends Machine {
  settings: { prompts: number; tokens: number; blockLength: number; steps: number; runs: number };
  caches: CacheMeasurement[];
  /** The embedded model read as block-causal, for the exact cache. */
  blockCausal?: CacheMeasurement[];
}

export function benchCacheCommand(): Command {
  const command = new Command('cache')
    .description(
      'Compares the caches: answers to several prompts with each, how far they are from those ' +
        'without a cache, and how long they take. Greedy, a fixed number of tokens a step, end of ' +
        'text never chosen, so that every answer has the same length.',
    )
    .summary('compare the caches, quality and speed')
    .argument('[model]', 'GGUF file (default: the small Shakespeare model in the package)')
    .optionsGroup('What to measure:')
    .option(
      '--prompts <file>',
      'one prompt a line, \\n stands for a line break (default: built in)',
    )
    .option('--tokens <n>', 'length of each answer', whole(1), 96)
    .option('--block-length <n>', 'of the answer (default: 8, other models 32)', whole(1))
    .option('--steps <n>', 'steps of each answer (default: half the tokens)', whole(1))
    .option('--runs <n>', 'timed runs of each prompt and cache, medians count', whole(1), 3)
    .option('--no-quality', 'only the speed, which is the smaller part of the work');
  machineOptions(command);
  overrideOptions(command);
  return command.optionsGroup('Output:').option('--json', 'everything as JSON').action(benchCache);
}

async function benchCache(path: string | undefined, flags: CacheFlags): Promise<void> {
  const texts = flags.prompts === undefined ? scenes : await readPrompts(flags.prompts);
  const embedded = path === undefined;
  const { tokens, blockLength = embedded ? 8 : 32, steps = Math.ceil(tokens / 2), runs } = flags;
  const settings = { prompts: texts.length, tokens, blockLength, steps, runs };
  const onProgress = (text: string): void => note(process.stderr, text);

  const report = await interruptible(
    () => onProgress(''),
    async (signal) => {
      const measure = (options: LoadOptions) =>
        withModel(path ?? embeddedModel, options, signal, async (model) => {
          const full = model.info.attention === 'full';
          const { eos, eot } = model.info.tokens;
          const generate = {
            maxTokens: tokens,
            decode: lowConfidence({ steps }),
            blocks: (full ? blocks : absoluteBlocks)(blockLength),
            suppress: [eos, eot].filter((token) => token !== undefined),
            stopAtEos: false,
          };
          const prompts = texts.map((text) => promptIds(model, text, embedded));
          const { quality } = flags;
          const caches = await measureCaches(model, full ? approximations : exactOnes, {
            ...{ prompts, generate, runs, quality, signal, onProgress },
          });
          return { ...machine(model, flags), full, caches };
        });
      const { full, caches, ...rest } = await measure(loadOptions(flags));
      const report: Report = { ...rest, settings, caches };
      if (embedded && full) {
        const attention = { blockCausal: blockLength };
        report.blockCausal = (await measure({ ...loadOptions(flags), attention })).caches;
      }
      return report;
    },
  );
  console.log(flags.json ? JSON.stringify(report, null, 2) : asText(report));
}

async function readPrompts(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch((cause: Error) => {
    throw new LacunaError('FILE_ERROR', `--prompts: ${cause.message}`, { cause });
  });
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  if (lines.length > 0) return lines.map((line) => line.replaceAll('\\n', '\n'));
  throw new LacunaError('INVALID_ARGUMENT', `--prompts: ${path} holds no prompt`);
}

function promptIds({ tokenizer }: Model, text: string, embedded: boolean): Int32Array {
  return tokenizer.encode(text, embedded ? { bos: true } : {});
}

function asText({ settings, caches, blockCausal, ...rest }: Report): string {
  const { prompts, tokens, blockLength, steps, runs } = settings;
  const { model, cpu, threads } = rest;
  const parts = [
    `${model.name || model.architecture} on ${cpu}, ${threads} threads, ${model.backend}`,
    `${prompts} prompts, ${tokens} tokens each in ${steps} steps, blocks of ${blockLength}, ` +
      `medians of ${runs} runs`,
    cacheTable(caches),
  ];
  if (blockCausal) {
    parts.push(`The same model read as block-causal:${blockLength}`, cacheTable(blockCausal));
  }
  return parts.join('\n\n');
}

function cacheTable(measurements: CacheMeasurement[]): string {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const exact = measurements[0];
  const rows = measurements.map((measured) => {
    const { quality, reason, cache } = measured;
    const change = quality && quality.logProbability - exact.quality!.logProbability;
    return [
      reason === undefined ? cache : `auto: ${cache}`,
      ...(quality ? [percent(quality.agreement), percent(quality.equal)] : []),
      ...(change === undefined ? [] : [`${change < 0 ? '−' : '+'}${Math.abs(change).toFixed(3)}`]),
      String(measured.forwards),
      String(measured.rows),
      digits3(measured.milliseconds),
      digits3(measured.processorMilliseconds),
      digits3(measured.millisecondsPerForward),
      digits3(measured.tokensPerSecond),
      `${digits3(exact.milliseconds / measured.milliseconds)} ×`,
    ];
  });
  const compared = exact.quality ? ['>agree', '>equal', '>Δ log p'] : [];
  const header = ['cache', ...compared, '>forwards', '>rows', '>ms', '>cpu ms', '>ms/forward'];
  return table([...header, '>tokens/s', '>speed'], rows);
}
