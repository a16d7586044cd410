/** Presets side by side: what they write on the same prompts, how good it is, what it costs. */
import { presetNames, type PresetName } from '../decoding/presets.js';
import type { Model } from '../model.js';
import type { GenerateOptions, Prompt } from '../plan.js';
import { leftToRight } from './left-to-right.js';

export interface CompareOptions extends Omit<GenerateOptions, 'preset'> {
  /** Default: all. */
  presets?: readonly PresetName[];
  /** After each run. */
  onRun?: (preset: PresetName, prompt: number) => void;
}

/** A preset over all prompts. */
export interface Comparison {
  preset: PresetName;
  /** Of the answers, without their end of text. */
  tokens: number;
  /**
   * Nats per token, read from left to right by the same model: the mean over all tokens. Nearer to 0 is
   * what the model finds likelier, which repetition is too: a proxy of quality, not quality. NaN
   * where nothing was written.
   */
  logProbability: number;
  /** One after the other. */
  forwards: number;
  canvases: number;
  tokensPerForward: number;
  /** From the call to the result. */
  tokensPerSecond: number;
  texts: string[];
}

/**
 * Runs each preset on each prompt, with the same other options, and scores the answers with the same
 * model by `leftToRight`. A preset takes its turn on every prompt before the next prompt comes, so that
 * all of them share what else the machine does; a first run that nobody counts loads what must be
 * loaded.
 *
 * @returns in the order of `presets`
 */
export async function compare(
  model: Model,
  prompts: readonly Prompt[],
  { presets = presetNames, onRun, ...options }: CompareOptions = {},
): Promise<Comparison[]> {
  const sums = presets.map((preset) => ({
    ...{ preset, tokens: 0, nats: 0, forwards: 0, canvases: 0, milliseconds: 0 },
    texts: [] as string[],
  }));
  if (prompts.length > 0) await model.generate(prompts[0], { ...options, maxTokens: 1 }).result;
  for (const [i, prompt] of prompts.entries()) {
    for (const sum of sums) {
      const run = model.generate(prompt, { ...options, preset: sum.preset });
      const { tokens, canvas, forwards, counts, timing, text } = await run.result;
      const answer = { start: run.prompt.length, end: run.prompt.length + tokens.length };
      const written = Int32Array.of(...run.prompt, ...tokens); // without positions left masked
      const full = canvas.slice();
      full.set(written);
      const scores = await leftToRight(model, full, answer, options.signal);
      sum.tokens += tokens.length;
      sum.nats += scores.reduce((a, b) => a + b, 0);
      sum.forwards += forwards;
      sum.canvases += counts.canvases;
      sum.milliseconds += timing.total;
      sum.texts.push(text);
      onRun?.(sum.preset, i);
    }
  }
  return sums.map(({ nats, milliseconds, ...sum }) => ({
    ...sum,
    logProbability: nats / sum.tokens,
    tokensPerForward: sum.tokens / sum.forwards,
    tokensPerSecond: (1000 * sum.tokens) / milliseconds,
  }));
}
