/** Answers that come and go: what a run would have answered at each of its steps. */
import { voteOverTime } from '../decoding/vote.js';
import { LacunaError } from '../errors.js';
import type { GenerateOptions, GenerationModel, Prompt } from '../plan.js';
import { invalid, knownKeys, list, object, oneOf, string } from '../validate.js';

/** A question whose answers can be checked. */
export interface CheckedTask {
  prompt: Prompt;
  check(text: string): boolean;
  /**
   * The answer in a text, in a form that compares; `undefined`: none, which leaves the step out of the
   * entropy. Default: the text without white space around it, if there is any.
   */
  normalise?(text: string): string | undefined;
}

/** One run. A step is a forward; its answer is the text that it would give if all masks got their proposals. */
export interface OscillationRun {
  prompt: Prompt;
  /** (forwards + 1) The last one is the result. */
  answers: (string | undefined)[];
  correct: boolean[];
  /** How often an answer differs from the one before. */
  changes: number;
  /** Temporal semantic entropy, nats: −Σ P log P over the answers of the second half; NaN: none. */
  entropy: number;
}

export interface Oscillation {
  tasks: number;
  /** Share of the runs that were right at some step: EverPass@1|T. */
  everPass: number;
  /** Share of the runs that were right at the end. */
  fullPass: number;
  /** everPass − fullPass: right on the way and lost again. */
  difference: number;
  /** Means over the runs; of the entropy, over those that have one. */
  changes: number;
  entropy: number;
  /** (points) EverPass@1|t and the share that is right at t, t a part of the run's steps, 0 … 1. */
  curve: { t: number; everPass: number; pass: number }[];
  runs: OscillationRun[];
}

const points = 20;

/**
 * Runs each task once and reads an answer after every forward, as `voteOverTime` does.
 *
 * Source: Time Is a Feature (arXiv 2508.09138): EverPass@1|t = E[max_(k ≤ t) e_k], and temporal semantic
 * entropy over the second half of the steps, every step of weight 1, steps without an answer left out.
 * Answers are the same when `normalise` gives the same text.
 *
 * @param options those of `generate`
 */
export async function oscillation(
  model: GenerationModel,
  tasks: readonly CheckedTask[],
  { onTask, ...options }: GenerateOptions & { onTask?: (done: number, of: number) => void } = {},
): Promise<Oscillation> {
  if (list('tasks', tasks).length === 0) {
    throw new LacunaError('INVALID_ARGUMENT', 'tasks must hold at least one task');
  }
  const runs: OscillationRun[] = [];
  for (const [i, task] of tasks.entries()) {
    const normalise = (text: string) => text;
    const vote = await voteOverTime(model, task.prompt, { ...options, normalise });
    runs.push(runOf(task, [...(vote.answers as string[]), vote.result.text]));
    onTask?.(i + 1, tasks.length);
  }
  return { tasks: tasks.length, ...summary(runs), runs };
}

/** @param texts of all steps, the result last */
export function runOf(task: CheckedTask, texts: readonly string[]): OscillationRun {
  const answers = texts.map(task.normalise?.bind(task) ?? trimmed);
  const changes = answers.slice(1).filter((answer, i) => answer !== answers[i]).length;
  return {
    prompt: task.prompt,
    answers,
    correct: texts.map((text) => task.check(text)),
    changes,
    entropy: entropyOf(answers.slice(Math.floor(answers.length / 2))),
  };
}

function trimmed(text: string): string | undefined {
  return text.trim() === '' ? undefined : text.trim();
}

function entropyOf(answers: readonly (string | undefined)[]): number {
  const counts = new Map<string, number>();
  for (const answer of answers) {
    if (answer !== undefined) counts.set(answer, (counts.get(answer) ?? 0) + 1);
  }
  const total = [...counts.values()].reduce((a, b) => a + b, 0);
  if (total === 0) return NaN;
  return [...counts.values()].reduce((sum, n) => sum + (n / total) * Math.log(total / n), 0);
}

function summary(runs: readonly OscillationRun[]): Omit<Oscillation, 'tasks' | 'runs'> {
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const share = (is: (correct: boolean[]) => boolean) =>
    mean(runs.map(({ correct }) => (is(correct) ? 1 : 0)));
  const everPass = share((correct) => correct.includes(true));
  const fullPass = share((correct) => correct.at(-1)!);
  const curve = Array.from({ length: points + 1 }, (_, i) => {
    const t = i / points;
    const upTo = (correct: boolean[]) => Math.round(t * (correct.length - 1));
    return {
      t,
      everPass: share((correct) => correct.slice(0, upTo(correct) + 1).includes(true)),
      pass: share((correct) => correct[upTo(correct)]),
    };
  });
  const entropies = runs.map(({ entropy }) => entropy).filter((value) => !Number.isNaN(value));
  return {
    ...{ everPass, fullPass, difference: everPass - fullPass, curve },
    changes: mean(runs.map(({ changes }) => changes)),
    entropy: mean(entropies),
  };
}

const matches = {
  exact: (text: string, answer: string) => text.trim() === answer,
  contains: (text: string, answer: string) => text.includes(answer),
};

/**
 * Tasks from JSON lines: `{ "prompt": …, "answer": …, "match": "exact" | "contains" }`. Exact (the default)
 * compares without white space around the text, contains looks for the answer anywhere in it. Empty lines
 * are skipped. Throws `INVALID_ARGUMENT`, with the number of the line.
 */
export function parseTasks(text: string): (CheckedTask & { prompt: string })[] {
  return text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    const name = `line ${i + 1}`;
    const task = object(name, parsed(name, line));
    knownKeys(name, task, ['prompt', 'answer', 'match', 'task', 'n']);
    const answer = string(`${name}: answer`, task.answer).trim();
    if (answer === '') invalid(`${name}: answer`, task.answer, 'a text that is not empty');
    const match = oneOf(`${name}: match`, task.match ?? 'exact', ['exact', 'contains']);
    const check = (text: string) => matches[match](text, answer);
    return [{ prompt: string(`${name}: prompt`, task.prompt), check }];
  });
}

function parsed(name: string, line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch (cause) {
    throw new LacunaError('INVALID_ARGUMENT', `${name} is no JSON`, { cause });
  }
}
