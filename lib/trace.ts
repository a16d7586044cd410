/** What the steps of a generation did, and the answer after each. */
import type { Written } from './canvas.js';
import type { Splice } from './decoding/policy.js';
import type { Forward } from './forward.js';
import type { StepTiming } from './types.js';

/** What one step did. All positions are those of the canvas before `splices`. */
export interface TraceStep {
  step: number;
  /** Index of the active block. */
  block: number;
  /** One after the other; 0 for a step that can change nothing. */
  forwards: number;
  /** Canvases that the forwards computed: 1 each, more where several were looked at. */
  canvases: number;
  /** Rows computed in all. */
  rows: number;
  /** Whether every row of the canvas was computed. */
  refresh: boolean;
  /** Its forward was made in advance, with that of an earlier step. Left out if it was not. */
  reused?: true;
  /**
   * [canvas position, token, probability] in ascending order of position. The probability is that of
   * the step's statistics; NaN if a policy wrote a token that was not proposed.
   */
  committed: Entry[];
  /** Known tokens that were replaced. Left out if there are none. */
  edited?: Entry[];
  /** Positions whose token was taken back. Left out if there are none. */
  remasked?: number[];
  /** Positions of the answer, from its first on, that no later step changes. */
  stable: number;
  /**
   * Afterwards, `remove` positions from `at` on made room for `tokens`; ascending, apart from each
   * other. Left out if there are none.
   */
  splices?: { at: number; remove: number; tokens: number[] }[];
  /** From here on the answer is longer: see `AnswerView`. Left out if it is not. */
  longer?: { maxTokens: number; capacity: number; blocks: number };
  /** Of all forwards, if there were any. */
  timing?: StepTiming;
}

export type Entry = [position: number, token: number, probability: number];

/** Totals of a run. */
export interface Counts {
  /** (steps) Positions that each step committed. */
  commits: number[];
  /** Tokens of the result for each forward. */
  tokensPerForward: number;
  /** More than the forwards where several canvases were computed at once. */
  canvases: number;
  /** Steps whose forward had been made in advance. */
  reused: number;
  remasks: number;
  edits: number;
  /** Positions that the canvas gained while it was worked on. */
  insertions: number;
  /** Positions that it lost. */
  removals: number;
  /** Forwards that computed every row of the canvas. */
  refreshes: number;
}

/** What a step has come to. Each forward computed one canvas or more. */
export interface Outcome {
  written: readonly Written[];
  /** Ascending, apart from each other. */
  splices?: readonly Splice[];
  forwards: readonly (readonly Forward[])[];
  /** In their place: made in advance. */
  reused?: Forward;
  stable: number;
}

/** @param length of the canvas before the splices */
export function traceStep(
  step: number,
  block: number,
  { written, splices = [], forwards, reused, stable }: Outcome,
  length: number,
  mask: number,
): TraceStep {
  const [main = reused] = forwards.flat();
  const edited = written.filter(({ before, token }) => before !== mask && token !== mask);
  const remasked = written.filter(({ token }) => token === mask);
  const committed = written.filter(({ before }) => before === mask);
  const rows = forwards.flat().reduce((sum, { result }) => sum + result.rows, 0);
  const entries = (list: readonly Written[]) => list.map((change) => entry(change, main));
  return {
    step,
    block,
    forwards: forwards.length,
    canvases: forwards.flat().length,
    rows,
    refresh: forwards.length > 0 && computesAll(main!.request.rows, length),
    ...(reused && { reused: true as const }),
    committed: entries(committed),
    ...(edited.length > 0 && { edited: entries(edited) }),
    ...(remasked.length > 0 && { remasked: remasked.map(({ position }) => position) }),
    stable,
    ...(splices.length > 0 && {
      splices: splices.map((splice) => ({ ...splice, tokens: [...splice.tokens] })),
    }),
    ...(forwards.length > 0 && { timing: total(forwards.map(([{ result }]) => result.timing)) }),
  };
}

function entry({ position, token }: Written, main: Forward | undefined): Entry {
  if (main === undefined) return [position, token, NaN];
  const i = main.result.position.subarray(0, main.request.query!.length).indexOf(position);
  const proposed = i >= 0 && main.result.token[i] === token;
  return [position, token, proposed ? main.result.probability[i] : NaN];
}

function computesAll(rows: Forward['request']['rows'], length: number): boolean {
  if (rows === undefined) return true;
  return ('start' in rows ? rows.end - rows.start : rows.length) === length;
}

function total(timings: readonly StepTiming[]): StepTiming {
  return timings.reduce((sum, timing) => {
    const names = Object.keys(sum) as (keyof StepTiming)[];
    return Object.fromEntries(
      names.map((name) => [name, sum[name] + timing[name]]),
    ) as unknown as StepTiming;
  });
}

/** @param tokens how many tokens the result has */
export function countsOf(trace: readonly TraceStep[], tokens: number): Counts {
  const sum = (of: (step: TraceStep) => number) => trace.reduce((n, step) => n + of(step), 0);
  const forwards = sum((step) => step.forwards);
  const gained = (sign: 1 | -1) =>
    sum(({ splices = [] }) =>
      splices.reduce(
        (n, { tokens, remove }) => n + Math.max(0, sign * (tokens.length - remove)),
        0,
      ),
    );
  return {
    commits: trace.map(({ committed }) => committed.length),
    tokensPerForward: forwards === 0 ? 0 : tokens / forwards,
    canvases: sum(({ canvases }) => canvases),
    reused: sum(({ reused }) => (reused ? 1 : 0)),
    remasks: sum(({ remasked = [] }) => remasked.length),
    edits: sum(({ edited = [] }) => edited.length),
    insertions: gained(1),
    removals: gained(-1),
    refreshes: trace.filter(({ refresh }) => refresh).length,
  };
}
