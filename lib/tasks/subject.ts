/** What the benchmark examines: a model, or the oracle in its place. */
import { Batch } from '../batch.js';
import { generate } from '../generate.js';
import type { GenerationResult } from '../generation.js';
import type { Model } from '../model.js';
import type { GenerateOptions } from '../plan.js';
import type { TaskInstance } from './index.js';
import { Oracle } from './oracle.js';
import type { Setting } from './strategies.js';

export interface Subject {
  /** How many runs it takes at a time. */
  readonly width: number;
  /** Whether it knows the exact distribution of the answers. */
  readonly exact: boolean;
  /** The answer, in words; `optionsOf` is told how long it is. */
  run: (
    instance: TaskInstance,
    optionsOf: (setting: Setting) => GenerateOptions,
  ) => Promise<{ text: string; result: GenerationResult }>;
}

/**
 * A model on canvases of exactly the right length: one mask for each token of the answer, and end of
 * text is never proposed.
 * @param width generations that share their forwards
 */
export function modelSubject(model: Model, width: number): Subject {
  const batch = new Batch(model);
  const { eos, eot } = model.info.tokens;
  const suppress = [eos, eot].filter((token) => token !== undefined);
  const { tokenizer } = model;
  const [stop] = tokenizer.encode(' .', { bos: false }).slice(-1);
  return {
    width,
    exact: false,
    run: async ({ prompt, answer }, optionsOf) => {
      // encoded with the prompt, so that a blank between them goes where the tokenizer puts it
      const all = tokenizer.encode(`${prompt} ${answer}`);
      const known = tokenizer.encode(prompt);
      const length = all.length - known.length;
      const options = { ...optionsOf({ length, stop }), maxTokens: length, suppress };
      const result = await generate(batch, known, options).result;
      return { text: result.text, result };
    },
  };
}

/** A model that knows each instance's right answers, and that they are equally probable. */
export function oracleSubject(): Subject {
  const oracles = new WeakMap<TaskInstance, Oracle>();
  return {
    width: 1,
    exact: true,
    run: async (instance, optionsOf) => {
      const oracle = oracles.get(instance) ?? new Oracle(instance);
      oracles.set(instance, oracle);
      const length = instance.answer.split(' ').length;
      const stop = Math.max(0, oracle.words.indexOf('.')); // else a word of the prompt: no answer has it
      const options = { ...optionsOf({ length, stop }), maxTokens: length };
      const result = await generate(oracle, oracle.prompt, options).result;
      return { text: oracle.decode(result.tokens), result };
    },
  };
}
