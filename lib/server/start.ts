/** From a checked request to an answer that runs. */
import { begin, type AnswerListener, type Answered, type Work } from './answer.js';
import type { Context } from './context.js';
import { lengthsOf, type Wanted } from './request.js';
import { draftWork } from './answers/draft.js';
import { jsonWork } from './answers/json.js';
import { textWork } from './answers/text.js';
import { toolsWork } from './answers/tools.js';

/** Who asks, and for how long the answer is wanted. */
export type Asker = Pick<Context, 'engine' | 'signal' | 'start'>;

/**
 * Waits for a slot and starts there. Rejects with whatever keeps the answer from starting.
 * @param index of several answers; each has a seed of its own
 */
export async function startAnswer(
  { engine, signal, start }: Asker,
  prompt: Int32Array,
  wanted: Wanted,
  index: number,
  listener: AnswerListener,
): Promise<{ done: Promise<Answered> }> {
  const lengths = lengthsOf(prompt.length, wanted, engine);
  const { canvas, candidates } = wanted.lacuna;
  const watch = canvas === 'delta' || canvas === 'full' ? candidates : undefined;
  const seed = (wanted.options.seed ?? engine.defaults.seed ?? 0) + index;
  const job = { engine, prompt, ...lengths, wanted, signal, watch, seed };
  return begin(workOf(wanted), job, listener, start);
}

function workOf({ tools, json, prediction }: Wanted): Work {
  if (tools !== undefined) return (job) => toolsWork(job, tools);
  if (json !== undefined) return jsonWork;
  return prediction === undefined ? textWork : (job) => draftWork(job, prediction);
}
