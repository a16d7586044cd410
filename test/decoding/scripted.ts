/** Runs of a decoder on a model whose confidence a test writes down. */
import { expect } from 'vitest';
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

/** Position i proposes i mod 10, surer from the left. */
const ascending: Predict = (position) => confident(position % 10, 0.9 - 0.02 * position);

/** Runs to the end, with every frame, and checks that what was drawn is what there is. */
export async function drawn(options: GenerateOptions, model = new FakeModel(ascending)) {
  const defaults = { maxTokens: 6, blocks: wholeAnswer(), stopAtEos: false };
  const generation = generate(model, prompt, { ...defaults, ...options });
  const frames = [];
  for await (const frame of generation) frames.push([...frame.tokens]);
  const result = await generation.result;
  for (const session of model.sessions) expect(session.disposed).toBe(true);
  // what was drawn is what there is, and what the session held
  const answer = [...result.canvas.subarray(2)];
  expect(frames.at(-1)).toEqual(answer);
  expect([...model.sessions[0].canvas.subarray(2, 2 + answer.length)]).toEqual(answer);
  return { ...result, answer, frames, model };
}
