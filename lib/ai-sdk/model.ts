/** `lacuna(model)`: what the AI SDK calls a language model. */
import type { LanguageModelV3, LanguageModelV3CallOptions } from '@ai-sdk/provider';
import type { Model } from '../model.js';
import { checkOptions, type GenerateOptions } from '../plan.js';
import type { PresetName } from '../decoding/presets.js';
import { Engine } from '../server/engine.js';
import { idOf } from '../server/handler.js';
import { limitsOf } from '../server/limits.js';
import { answerParts, wholeAnswer } from './answer.js';

/** Options of `generate` are the defaults of all calls; those of a call have their way over them. */
export interface LacunaSettings extends Omit<GenerateOptions, 'signal'> {
  /** What the model is called. Default: the name of its file, without `.gguf`. */
  id?: string;
  /** Calls that are answered at a time; they share forwards. Default 8. */
  parallel?: number;
  /** Calls that may wait; more get a retryable error. Default 64. */
  queue?: number;
}

/** What may stand in a call's `providerOptions.lacuna`. */
export interface LacunaCallOptions {
  preset?: PresetName;
  /** Most steps of the run. */
  steps?: number;
  /**
   * What raw chunks hold: the text so far, the changes of each step, or whole canvases. None are made
   * unless the call says `includeRawChunks: true`. Default `'delta'`.
   */
  canvas?: 'off' | 'text' | 'delta' | 'full';
  /** A frame every so many steps, for `'text'` and `'full'`. Default 1. */
  every?: number;
  /** Most probable tokens of each masked position, at most 20. Default 0. */
  candidates?: number;
}

/**
 * A language model for `generateText`, `streamText` and the rest of the AI SDK (ai 6 and 7), in this
 * process. Make one for a model and use it for all calls: they share forwards and one queue.
 *
 * Without settings the preset is `'fast'`. Throws `INVALID_ARGUMENT` for settings that are misspelt or
 * out of range. Calls reject with `LacunaError`s; where the queue is full with one that the AI SDK
 * tries again; after an abort with the signal's reason.
 */
export function lacuna(model: Model, settings: LacunaSettings = {}): LanguageModelV3 {
  const { id = idOf(model.info.file.path), parallel, queue, ...options } = settings;
  const limits = limitsOf({
    ...(parallel !== undefined && { parallel }),
    ...(queue !== undefined && { queue }),
  });
  checkOptions(model, options);
  const defaults = Object.keys(options).length === 0 ? { preset: 'fast' as const } : options;
  const engine = new Engine({ model, id, defaults, limits });
  return {
    specificationVersion: 'v3',
    provider: 'lacuna',
    modelId: id,
    supportedUrls: {},
    doGenerate: (call: LanguageModelV3CallOptions) => wholeAnswer(engine, limits, call),
    doStream: (call: LanguageModelV3CallOptions) => answerParts(engine, limits, call),
  };
}
