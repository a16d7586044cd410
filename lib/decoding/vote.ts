/** Answers by vote: over the steps of one run, or over runs in blocks of different sizes. */
import { answerEnd } from '../frames.js';
import type { GenerationResult } from '../generation.js';
import { generate } from '../generate.js';
import type { GenerateOptions, GenerationModel, Prompt } from '../plan.js';
import type { StepResult } from '../types.js';
import { integer, invalid, list, number, oneOf } from '../validate.js';
import { blocks } from './blocks.js';
import { named } from './named.js';
import type { Refinement, RunFacts, StepState } from './policy.js';

/**
 * From what was written to the answer in it, in a form that compares: `'42'` from "… so it is 42."
 * `undefined`: there is no answer in it, and no vote.
 * @param text up to the end of text; `''` for a model without a usable tokenizer
 * @param tokens the same as token ids
 */
export type Normalise = (text: string, tokens: Int32Array) => string | undefined;

/** An answer and the weight of its votes. */
export interface Standing {
  answer: string;
  weight: number;
  votes: number;
}

export interface Vote {
  /** That of the largest weight, ties to the earlier one; `undefined` if there was no answer at all. */
  answer: string | undefined;
  /** All answers, the largest weight first. */
  standings: Standing[];
  /** What each voter said. */
  answers: (string | undefined)[];
}

export interface TimeVoteOptions extends GenerateOptions {
  normalise: Normalise;
  /** How much the answer of a step counts. Default `'exponential'`. */
  weights?: (typeof weightings)[number];
  /** Of `'exponential'`: how much more the last steps count, at least 0. Default 5. */
  alpha?: number;
}

const weightings = ['fixed', 'linear', 'exponential'] as const;

/**
 * Temporal self-consistency: a run may have had the right answer before it settled on another. In every
 * forward s = 0 … S − 1 the answer is read from the whole canvas, known tokens as they are and every
 * mask, in later blocks too, as its proposal; it counts
 *
 *     fixed 1   |   linear (s + 1) / S   |   exponential exp(alpha · s / S)
 *
 * with S the forwards of the run. No forward more, but the head works on all masks. A position that a
 * cache leaves out keeps its last proposal; one without any is left out.
 *
 * Source: Time Is a Feature (arXiv 2508.09138), `eval/generate.py`, `get_acc.py`; alpha 5 in the paper
 * and the README, 11 in `run_eval.sh`. The text ends at the first end of text, as that of a result;
 * the original reads on. Not for answers that are almost never right before the end (Sudoku).
 *
 * @param options those of `generate`, and how to vote. Throws `INVALID_ARGUMENT`.
 * @returns the vote, and the run's own `result`
 */
export async function voteOverTime(
  model: GenerationModel,
  prompt: Prompt,
  options: TimeVoteOptions,
): Promise<Vote & { result: GenerationResult }> {
  const { normalise, weights = 'exponential', alpha = 5, refine = [], ...run } = options;
  checkNormalise('voteOverTime()', normalise);
  oneOf('voteOverTime(): weights', weights, weightings);
  number('voteOverTime(): alpha', alpha, { min: 0 });
  const answers: (string | undefined)[] = [];
  const read = reader((text, tokens) => answers.push(normalise(text, tokens)));
  const others: readonly Refinement[] = typeof refine === 'function' ? [refine] : refine;
  const result = await generate(model, prompt, { ...run, refine: [read, ...others] }).result;
  const weightOf = {
    fixed: () => 1,
    linear: (s: number) => (s + 1) / answers.length,
    exponential: (s: number) => Math.exp((alpha * s) / answers.length),
  }[weights];
  return {
    ...count(
      answers,
      answers.map((_, s) => weightOf(s)),
    ),
    result,
  };
}

export interface BlockVoteOptions extends Omit<GenerateOptions, 'blocks'> {
  normalise: Normalise;
  /** Block sizes, one run each. Default ⌊maxTokens / 32⌋, / 16, / 8, / 4, / 2, those above 0. */
  sizes?: readonly number[];
}

/**
 * HEX: the same prompt with blocks of different sizes, each of which writes in an order of its own, and
 * a majority vote over the answers. As many runs as sizes, one after the other.
 *
 * Source: HEX (arXiv 2510.05040), `HEX/eval/HEX.py`, selecting rule "frequency": runs without an answer
 * do not count, ties go to the size that comes first. There `lowConfidence` with
 * `steps: maxTokens / 2`, greedy; for 256 tokens blocks of 8, 16, 32, 64, 128.
 *
 * @param options those of `generate` but `blocks`, and how to vote. Throws `INVALID_ARGUMENT`.
 * @returns the vote, and `results` in the order of `sizes`
 */
export async function voteOverBlocks(
  model: GenerationModel,
  prompt: Prompt,
  { normalise, sizes, ...run }: BlockVoteOptions,
): Promise<Vote & { results: GenerationResult[] }> {
  const name = 'voteOverBlocks()';
  checkNormalise(name, normalise);
  if ('blocks' in run) invalid(`${name}: blocks`, run.blocks, 'left out: give sizes');
  const plans = list(`${name}: sizes`, sizes ?? usualSizes(run.maxTokens)).map((size, i) =>
    blocks(integer(`${name}: sizes[${i}]`, size, { min: 1 })),
  );
  integer(`${name}: number of sizes`, plans.length, { min: 1 });
  const results: GenerationResult[] = [];
  for (const plan of plans) {
    results.push(await generate(model, prompt, { ...run, blocks: plan }).result);
  }
  const answers = results.map(({ text, tokens }) => normalise(text, tokens));
  return {
    ...count(
      answers,
      answers.map(() => 1),
    ),
    results,
  };
}

function checkNormalise(name: string, normalise: unknown): void {
  if (typeof normalise === 'function') return;
  invalid(`${name}: normalise`, normalise, 'a function from a text to the answer in it');
}

function usualSizes(maxTokens = 128): number[] {
  const sizes = [32, 16, 8, 4, 2].map((parts) => Math.floor(maxTokens / parts));
  const some = [...new Set(sizes)].filter((size) => size > 0);
  return some.length > 0 ? some : [1];
}

function count(answers: readonly (string | undefined)[], weights: readonly number[]): Vote {
  const byAnswer = new Map<string, Standing>();
  answers.forEach((answer, i) => {
    if (answer === undefined) return;
    const { weight, votes } = byAnswer.get(answer) ?? { weight: 0, votes: 0 };
    byAnswer.set(answer, { answer, weight: weight + weights[i], votes: votes + 1 });
  });
  const standings = [...byAnswer.values()].sort((a, b) => b.weight - a.weight); // stable
  return { answer: standings.at(0)?.answer, standings, answers: [...answers] };
}

/** Shows what each forward would write if all masks got their proposals. */
function reader(show: (text: string, tokens: Int32Array) => void): Refinement {
  const refinement: Refinement = (run) => {
    const proposals = new Proposals(run);
    return {
      ask: (state) => ({ query: proposals.masks(state) }),
      revise: (state, report) => {
        const answer = proposals.filled(state, report);
        const tokens = answer.subarray(0, answerEnd(answer, run.ends));
        show(run.tokenizer?.decode(tokens) ?? '', tokens);
        return undefined;
      },
    };
  };
  return named('voteOverTime', {}, refinement);
}

/** The last proposal of each masked position. */
class Proposals {
  readonly #run: RunFacts;
  #length = 0;
  readonly #last = new Map<number, number>();

  constructor(run: RunFacts) {
    this.#run = run;
  }

  masks({ canvas }: StepState): Int32Array {
    const { prompt, tokens } = this.#run;
    const answer = [...canvas.keys()].slice(prompt);
    return Int32Array.from(answer.filter((position) => canvas[position] === tokens.mask));
  }

  /** The answer without its masks. */
  filled({ canvas }: StepState, { position, token }: StepResult): Int32Array {
    const { prompt, maxTokens, tokens } = this.#run;
    if (canvas.length !== this.#length) this.#last.clear(); // positions may have moved
    this.#length = canvas.length;
    position.forEach((place, i) => this.#last.set(place, token[i]));
    const answer = canvas.subarray(prompt, prompt + maxTokens);
    return answer
      .map((known, i) => (known === tokens.mask ? (this.#last.get(prompt + i) ?? known) : known))
      .filter((known) => known !== tokens.mask);
  }
}
