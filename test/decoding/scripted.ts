/** Runs of a decoder on a model whose confidence a test writes down. */
import { generate } from '../../lib/generate.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { wholeAnswer } from '../../lib/decoding/index.js';
import { confident, FakeModel, type Predict } from './fake.js';

export const prompt = [7, 7];

/** Position i proposes token i mod 10 with probability p[i − prompt]. */
export function scripted(p: readonly number[]): Predict {
  return (position) => confident(position % 10, p[position - prompt.length] ?? 0.1);
}

/** Runs to the end; `order[k]` = positions committed by step k. */
export async function decoded(model: FakeModel, options: GenerateOptions) {
  const defaults = { stopAtEos: false, blocks: wholeAnswer() };
  const result = await generate(model, prompt, { ...defaults, ...options }).result;
  const order = result.trace.map(({ committed }) => committed.map(([position]) => position));
  return { ...result, order };
}

/** In which steps a decoder fills an answer of the given confidence. */
export async function order(options: GenerateOptions, p: readonly number[]): Promise<number[][]> {
  return (await decoded(new FakeModel(scripted(p)), { maxTokens: p.length, ...options })).order;
}
