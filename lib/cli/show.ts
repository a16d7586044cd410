/** Runs a generation and shows it: live in a terminal, or not at all until it is done. */
import { basename } from 'node:path';
import type { GenerationResult } from '../generation.js';
import { loadModel, type LoadOptions, type Model, type ModelInfo } from '../model.js';
import type { GenerateOptions, Prompt } from '../plan.js';
import { traceFile, type TraceFile } from '../trace-file.js';
import { maskText, ratio } from './canvas.js';
import { colourDepth, painter } from './colour.js';
import { duration, plural } from './format.js';
import { interruptible } from './interrupt.js';
import { LiveView, tokenizerPieces } from './live.js';
import { loadProgress } from './progress.js';
import { Screen } from './screen.js';

const promptShown = 600; // characters of a long prompt that are shown

export interface ShowOptions {
  load: LoadOptions;
  generate: GenerateOptions;
  /** Draw in the terminal if there is one. */
  live: boolean;
  colour: boolean;
  /** Tokens after which a line ends, for answers that are grids. Default: none. */
  lineLength?: number;
}

export interface Shown {
  result: GenerationResult;
  info: ModelInfo;
  /** As `lacuna replay` takes it. */
  trace: TraceFile;
  /** The text stands in the terminal already. */
  drawn: boolean;
}

/** Loads a model, with progress on stderr, runs `work`, and disposes of the model in every path. */
export async function withModel<T>(
  path: string,
  options: LoadOptions,
  signal: AbortSignal,
  work: (model: Model) => Promise<T>,
): Promise<T> {
  const progress = loadProgress(process.stderr, basename(path));
  const onProgress = progress.update;
  const loading = loadModel(path, { ...options, signal, onProgress });
  await using model = await loading.finally(progress.done);
  return await work(model);
}

/**
 * Generates, drawing the canvas while it is denoised where that is wanted and possible.
 * @param before what the answer continues, shown in front of it while drawing
 */
export async function show(
  path: string,
  prompt: Prompt,
  before: string,
  options: ShowOptions,
): Promise<Shown> {
  const { stdout, env } = process;
  const canDraw = stdout.isTTY && env.TERM !== 'dumb';
  const screen = options.live && canDraw ? new Screen(stdout) : undefined;
  const generate = async (model: Model, signal: AbortSignal): Promise<Shown> => {
    const { info } = model;
    const generation = model.generate(prompt, { ...options.generate, signal });
    const done = (result: GenerationResult): Shown => ({
      ...{
        result,
        info,
        trace: traceFile(model, result, options.generate),
        drawn: screen !== undefined,
      },
    });
    if (!screen) return done(await generation.result);
    const pieces = tokenizerPieces(model.tokenizer);
    const view = new LiveView({
      screen,
      terminal: stdout,
      paint: painter(colourDepth(stdout, options.colour)),
      pieces,
      mask: info.tokens.mask ?? -1,
      maskText: maskText(generation.prompt, pieces),
      before: shortened(before),
      maxTokens: options.generate.maxTokens ?? 0, // of a template, the first frame shows the masks
      lineLength: options.lineLength,
    });
    return done(await view.follow(generation));
  };
  return interruptible(
    () => screen?.close(),
    (signal) => withModel(path, options.load, signal, (model) => generate(model, signal)),
  );
}

/** The end of a long prompt, from a word on. */
function shortened(prompt: string): string {
  if (prompt.length <= promptShown) return prompt;
  return `… ${prompt.slice(-promptShown).replace(/^\S*\s/, '')}`;
}

/** Prints the summary on stderr, a line apart from text that was drawn. */
export function printSummary(shown: Shown): void {
  const summary = summaryLine(shown.result);
  console.error(shown.drawn ? `\n${summary}` : summary);
}

type Summarised = Pick<GenerationResult, 'forwards' | 'finishReason' | 'timing'> & {
  tokens: ArrayLike<number>;
};

/** `96 tokens in 1.02 s · 94.2 tokens/s · 2.0 tokens/forward · length reached` */
export function summaryLine(result: Summarised): string {
  const tokens = result.tokens.length;
  const time = result.timing.total;
  const parts = [
    `${plural(tokens, 'token')} in ${duration(time)}`,
    `${ratio(tokens, time / 1000)} tokens/s`,
    `${ratio(tokens, result.forwards)} tokens/forward`,
    { eos: 'end of text', length: 'length reached', filled: 'filled', steps: 'steps used up' }[
      result.finishReason
    ],
  ];
  return parts.join(' · ');
}
